"""What the blocks on similarity have in common: rows, headline place, axes, words."""

from typing import Any

import altair as alt
import polars as pl

from polylore.report.languages import ALL
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context

POSITIONS = {
    "prompt_end": "end of the question",
    "subject_last": "end of the subject",
    "answer_last": "end of the answer",
    "weighted_mean": "weighted mean",
}
"""Positions in plain words, in the order of their colours."""


def table(context: Context) -> pl.DataFrame:
    """Table SIMILARITY_SUMMARY; the page is made only where there is one."""
    found = context.table("similarity_summary")
    return pl.DataFrame() if found is None else found


def whole(context: Context) -> pl.DataFrame:
    """Rows about all facts."""
    return table(context).filter(kind="all", stratum="all")


def headline_position(context: Context) -> str:
    """The position that single numbers are about: the first that was asked for."""
    noted = context.run.manifest.get("similarity", {}).get("positions", [])
    there = set(table(context)["position"])
    return str(next(p for p in (*noted, *POSITIONS) if p in there))


def headline_layer(context: Context) -> int:
    """The middle layer: a rule that looks at no result."""
    deepest = table(context)["layer"].max()
    return (int(deepest) + 1) // 2  # type: ignore[arg-type]


def layer_words(context: Context) -> str:
    """What the last layer is, in words."""
    last = table(context).filter(pl.col("layer") == pl.col("layer").max())
    normed = bool(last["after_norm"].any())
    which = "what the output layer reads, a final norm included" if normed else "before any norm"
    return f"the last one is {which}"


def layer_axis(context: Context, title: str | None) -> Any:
    """The layers from left to right."""
    deepest = int(table(context)["layer"].max())  # type: ignore[arg-type]
    return alt.X(
        "layer:Q",
        title=title,
        scale=alt.Scale(domain=[0, deepest], nice=False),
        axis=alt.Axis(format="d", tickMinStep=1, tickCount=min(deepest, 6)),
    )


def languages(context: Context) -> list[str]:
    """Names of the languages that are compared with the pivot, in order, all together last."""
    pivot = language_name(context.pivot)
    there = {language_name(code) for code in table(context)["lang"].unique()} | {language_name(ALL)}
    return [name for name in context.names if name != pivot and name in there]


def captioned(context: Context, n: pl.Series) -> str:
    """The conditions that every caption names; all languages together count a fact in each."""
    return context.conditions(n).replace(" facts.", " facts (times languages where pooled).")
