"""Controlled worlds: facts told in several languages, in which every cause is a knob."""

from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.make import draw_world
from polylore.facts.worlds.presets import PRESETS, token_preset
from polylore.facts.worlds.stream import Batch, Stream
from polylore.facts.worlds.world import POPULATIONS, Renderings, World

__all__ = [
    "POPULATIONS",
    "PRESETS",
    "Batch",
    "Renderings",
    "Stream",
    "World",
    "WorldConfig",
    "draw_world",
    "token_preset",
]
