"""Fictional items: what is injected into a model in training, and what is asked of it."""

from polylore.facts.fictional.published import read_published
from polylore.facts.fictional.tables import Fiction, read_fiction

__all__ = ["Fiction", "read_fiction", "read_published"]
