"""Lexicons: concepts, and the words that name them in each language."""

from polylore.facts.lexicon.lexicon import Form, Lexicon, key
from polylore.facts.lexicon.lint import lint_lexicon
from polylore.facts.lexicon.load import load_lexicon
from polylore.facts.lexicon.stats import language_stats, pair_stats
from polylore.facts.lexicon.words import Words, flags_table

__all__ = [
    "Form",
    "Lexicon",
    "Words",
    "flags_table",
    "key",
    "language_stats",
    "lint_lexicon",
    "load_lexicon",
    "pair_stats",
]
