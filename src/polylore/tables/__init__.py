"""The column contracts of every table that polylore reads or writes."""

from polylore.tables import (
    align,
    align_lint,
    arms,
    compared,
    continued,
    derived,
    fiction,
    inject,
    injection,
    injection_evidence,
    lexicon,
    patch,
    patch_derived,
    pathways,
    plan,
    quality,
    raw,
    referee,
    similarity,
    unify,
    unify_results,
    worlds,
)
from polylore.tables.contract import Column, Table

_MODULES = (
    raw,
    derived,
    compared,
    pathways,
    referee,
    similarity,
    plan,
    quality,
    lexicon,
    patch,
    patch_derived,
    unify,
    unify_results,
    worlds,
    align,
    align_lint,
    fiction,
    arms,
    inject,
    injection,
    injection_evidence,
    continued,
)

ALL: dict[str, Table] = {
    value.name: value
    for module in _MODULES
    for value in vars(module).values()
    if isinstance(value, Table)
}
"""Every table by name."""

__all__ = [
    "ALL",
    "Column",
    "Table",
    "align",
    "align_lint",
    "arms",
    "compared",
    "continued",
    "derived",
    "fiction",
    "inject",
    "injection",
    "injection_evidence",
    "lexicon",
    "patch",
    "patch_derived",
    "pathways",
    "plan",
    "quality",
    "raw",
    "referee",
    "similarity",
    "unify",
    "unify_results",
    "worlds",
]
