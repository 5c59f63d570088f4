"""Controlled worlds: facts told in several languages, in which every cause is a knob."""

from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.leaks import LeakReport, check_leaks
from polylore.facts.worlds.make import make_world
from polylore.facts.worlds.presets import PRESETS, token_preset
from polylore.facts.worlds.stream import Batch, Stream
from polylore.facts.worlds.world import POPULATIONS, Renderings, World

__all__ = [
    "POPULATIONS",
    "PRESETS",
    "Batch",
    "LeakReport",
    "Renderings",
    "Stream",
    "World",
    "WorldConfig",
    "check_leaks",
    "make_world",
    "token_preset",
]
