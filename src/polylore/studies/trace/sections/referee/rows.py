"""What every part of the referee's page looks at: pooled runs at the last checkpoint compared."""

import polars as pl

from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context

LEVELS = {
    "L0": "answers alone",
    "L1": "counts of strings",
    "L2": "counts by language",
    "L3": "counts up to the checkpoint",
}
"""Levels of information in words."""
METHODS = {"pathways": "pathways", "paper": "frequency threshold (published)"}
LABELS = {
    "known-by-frequency": "known by frequency",
    "transfer-candidate": "transfer",
    "copied-string": "copied string",
    "guess": "guess",
    "unknown": "unknown",
}
TRANSFER, FREQUENCY = "transfer-candidate", "known-by-frequency"
BEST = "L3"
"""The level of information behind the headline."""


def judged(context: Context, name: str) -> pl.DataFrame | None:
    """Rows of one of the referee's tables: all runs together, last checkpoint compared."""
    table = context.table(name)
    if table is None or context.final is None:
        return None
    pooled = table.filter(pl.col("seed").is_null())
    rows = (pooled if pooled.height else table).filter(pl.col("ckpt_id") == context.final)
    return rows if rows.height else None


def runs(context: Context) -> int:
    """Training runs that were compared."""
    arms = context.table("arms")
    return 1 if arms is None else arms["seed"].n_unique()


def pivot_name(context: Context) -> str:
    """English name of the pivot."""
    return language_name(context.pivot)


def conditions(context: Context, rows: pl.DataFrame, column: str = "n") -> str:
    """The conditions every caption names, with the runs and what n counts."""
    n = [int(v) for v in rows[column].drop_nulls()]
    low, high = (min(n), max(n)) if n else (0, 0)
    many = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    several = runs(context)
    return (
        f"Preset {context.preset}; matcher {rows['matcher'][0]}; exposure exact; pivot "
        f"{pivot_name(context)}; {several} training run{'s' if several > 1 else ''}; n = {many} "
        "cells (a fact in a language)."
    )
