"""Facts: sets of them, readers, the linter, and the prompts that ask for them."""

from polylore.facts.bmlama import join_candidates
from polylore.facts.factset import FactSet
from polylore.facts.lint import lint
from polylore.facts.load import load
from polylore.facts.prompts import CONTENT_FREE, build_prompts, content_free_prompts
from polylore.facts.sentences import build_sentences
from polylore.facts.tabular import read_file, read_templates

load_facts = load

__all__ = [
    "CONTENT_FREE",
    "FactSet",
    "build_prompts",
    "build_sentences",
    "content_free_prompts",
    "join_candidates",
    "lint",
    "load",
    "load_facts",
    "read_file",
    "read_templates",
]
