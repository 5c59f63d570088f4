"""Concept vectors, read off the residual stream and written over that of another prompt."""

from polylore.models.patching.answers import patched_answers
from polylore.models.patching.blocks import Blocks, find_blocks
from polylore.models.patching.engines import Engine, choose, sweep
from polylore.models.patching.extract import concept_states
from polylore.models.patching.prompts import Form, PatchPrompt
from polylore.models.patching.read import Reading
from polylore.models.patching.selfcheck import Check, require, self_check
from polylore.models.patching.vectors import RunningMean, gaussian, mean_of, with_norm

__all__ = [
    "Blocks",
    "Check",
    "Engine",
    "Form",
    "PatchPrompt",
    "Reading",
    "RunningMean",
    "choose",
    "concept_states",
    "find_blocks",
    "gaussian",
    "mean_of",
    "patched_answers",
    "require",
    "self_check",
    "sweep",
    "with_norm",
]
