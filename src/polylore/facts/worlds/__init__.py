"""Controlled worlds: facts told in several languages, in which every cause is a knob."""

from polylore.facts.worlds.association import association, attribute_design, baselines
from polylore.facts.worlds.card import card_markdown, make_card, presentations
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.export import design_table, dump_stream, to_factset
from polylore.facts.worlds.folder import load_world, save_world
from polylore.facts.worlds.information import joint, unigram
from polylore.facts.worlds.leaks import LeakReport, check_leaks
from polylore.facts.worlds.make import make_world
from polylore.facts.worlds.presets import PRESETS, token_preset
from polylore.facts.worlds.stream import Batch, Stream
from polylore.facts.worlds.tokenizer import write_tokenizer
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
    "association",
    "attribute_design",
    "baselines",
    "card_markdown",
    "check_leaks",
    "design_table",
    "dump_stream",
    "joint",
    "load_world",
    "make_card",
    "make_world",
    "presentations",
    "save_world",
    "to_factset",
    "token_preset",
    "unigram",
    "write_tokenizer",
]
