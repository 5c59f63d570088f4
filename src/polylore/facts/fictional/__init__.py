"""Fictional items: what is injected into a model in training, and what is asked of it."""

from polylore.facts.fictional.lint import lint_items
from polylore.facts.fictional.make import FictionConfig, fictional_facts, make_fiction
from polylore.facts.fictional.pack import Pack, load_pack, shipped
from polylore.facts.fictional.published import read_published
from polylore.facts.fictional.tables import Fiction, read_fiction

__all__ = [
    "Fiction",
    "FictionConfig",
    "Pack",
    "fictional_facts",
    "lint_items",
    "load_pack",
    "make_fiction",
    "read_fiction",
    "read_published",
    "shipped",
]
