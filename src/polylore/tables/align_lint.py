"""Contracts of the linter of parallel sets and invented worlds (`align`, section 3.8)."""

import polars as pl

from polylore.tables.align import ALIGN_LANG, DATASET
from polylore.tables.contract import Column, Table

CHECK = Column("check", pl.String(), "name of the check")
SEVERITY = Column("severity", pl.String(), "error, warning or note")

LINT = Table(
    "align_lint",
    "What a parallel set cannot show: one row per finding.",
    (
        DATASET,
        ALIGN_LANG,
        Column("item", pl.Int32(), "item or row concerned; null: the whole file", "", True),
        CHECK,
        SEVERITY,
        Column("evidence", pl.String(), "what was found there"),
    ),
)

LINT_SUMMARY = Table(
    "align_lint_summary",
    "Findings counted.",
    (
        DATASET,
        ALIGN_LANG,
        CHECK,
        SEVERITY,
        Column("n", pl.Int64(), "findings", "findings"),
        Column("message", pl.String(), "what it means and how to mend it"),
    ),
    key=("dataset", "lang", "check"),
)

BASELINES = Table(
    "align_baselines",
    "What answering without knowledge would reach.",
    (
        DATASET,
        ALIGN_LANG,
        Column(
            "baseline",
            pl.String(),
            "chance, position (most frequent gold letter), overlap (longest common substring with "
            "the question), largest, smallest (numeric options)",
        ),
        Column("n", pl.Int64(), "items", "items"),
        Column("acc", pl.Float64(), "its accuracy", "percent"),
    ),
    key=("dataset", "lang", "baseline"),
)
