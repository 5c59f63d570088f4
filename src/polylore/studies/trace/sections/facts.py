"""Facts: every single one, with its history in every language."""

import polars as pl

from polylore import metrics
from polylore.report import FactList, Page
from polylore.studies.trace.context import Context

_CELL = ["fact_id", "lang", "ckpt_id"]


def facts_page(context: Context) -> Page | None:
    """None without facts or grades."""
    facts, grades = context.table("facts"), context.table("grades")
    if facts is None or grades is None:
        return None
    rows = context.headline(grades)
    there = set(rows["ckpt_id"])
    checkpoints = tuple(
        (ckpt, label)
        for ckpt, label in context.checkpoints.select("ckpt_id", "label").iter_rows()
        if ckpt in there
    )
    if not checkpoints:
        return None
    known = [code for code in context.languages if code in set(facts["lang"])]
    # The pivot leads, so that a reader finds a fact in the language most can read.
    languages = sorted(known, key=lambda code: code != context.pivot)
    block = FactList(
        "fact-list",
        "Every fact, in every language",
        "Open a fact to see it at each checkpoint. Squares of its line: the last checkpoint, one "
        "per language. With several wordings, right means right in at least half of them, and "
        "different answers stand side by side. " + context.conditions(facts["fact_id"].n_unique()),
        facts.select("fact_id", "relation", "lang", "subject", "object"),
        _history(context, rows),
        _answers(context),
        tuple(languages),
        checkpoints,
    )
    lead = "Look a fact up: what was asked, what was answered, and since when it is known."
    return Page("facts", "Facts", lead, (block,))


def _history(context: Context, rows: pl.DataFrame) -> pl.DataFrame:
    right = rows.group_by(_CELL, maintain_order=True).agg(
        y=pl.col("y").cast(pl.Float64).mean() >= 0.5
    )
    counts = exposure_at(context)
    if counts is None:
        return right.with_columns(exposure=pl.lit(None, pl.Int64))
    return right.join(counts, on=_CELL, how="left", maintain_order="left")


def exposure_at(context: Context) -> pl.DataFrame | None:
    """Documents read up to each checkpoint per fact and language: `exposure`.

    Only where the order of training is known (kind `exact`): a corpus-wide total says nothing
    about what had been read by a checkpoint.
    """
    exposure, facts = context.table("exposure"), context.table("facts")
    checkpoints = context.table("checkpoints")
    if exposure is None or facts is None or checkpoints is None:
        return None
    if context.exposure_kind != "exact":
        return None
    counts = metrics.exposure_at(exposure, checkpoints, facts)
    return counts.select(*_CELL, pl.col("exposure").round().cast(pl.Int64))


def _answers(context: Context) -> pl.DataFrame:
    empty = pl.DataFrame(schema={"fact_id": pl.String, "lang": pl.String, "answer": pl.String})
    table = context.table("answers")
    if table is None:
        return empty
    said = table.filter(
        (pl.col("ckpt_id") == context.final)
        & (pl.col("mode") == "generate")
        & pl.col("raw_text").is_not_null()
    )
    if not said.height:
        return empty
    # Only the line that is graded is shown; wordings that were answered alike are shown once.
    line = pl.col("raw_text").str.strip_chars_start().str.split("\n").list.first().fill_null("")
    return (
        said.with_columns(answer=line.str.strip_chars_end())
        .sort("variant", maintain_order=True)
        .group_by("fact_id", "lang", maintain_order=True)
        .agg(pl.col("answer").unique(maintain_order=True).str.join(" / "))
    )
