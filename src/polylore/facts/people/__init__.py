"""Fictional items: what is injected into a model in training, and what is asked of it."""

from polylore.facts.people.lint import lint_items
from polylore.facts.people.make import FictionConfig, fictional_facts, make_fiction
from polylore.facts.people.pack import Pack, load_pack, shipped
from polylore.facts.people.published import read_published
from polylore.facts.people.tables import Fiction, read_fiction

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
