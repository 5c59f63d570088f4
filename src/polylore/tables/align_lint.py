"""Contracts of what speaks against sets and answers: lint (`align`, 3.8) and letters (2.5)."""

import polars as pl

from polylore.tables.align import ALIGN_LANG, DATASET, SYSTEM, SYSTEM_KEY
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

LETTERS = Table(
    "align_letters",
    "Which letters a system answers with; of scored letters, over all orders of the options.",
    (
        *SYSTEM,
        DATASET,
        ALIGN_LANG,
        Column("letter", pl.String(), "first character of an answer, or the letter scored highest"),
        Column("n", pl.Int64(), "answers with it", "answers"),
        Column("gold", pl.Int64(), "questions with it as their answer", "answers"),
        Column("total", pl.Int64(), "answers of the cell", "answers"),
    ),
    key=(*SYSTEM_KEY, "dataset", "lang", "letter"),
)
