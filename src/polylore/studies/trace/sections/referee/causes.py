"""Causes: what is lost without the pivot's documents, by label, dose and surface."""

import altair as alt
import polars as pl

from polylore.metrics.referee.counterfactual import DOSES, dose_words
from polylore.report import Block, Chart, interval, shapes
from polylore.report.axes import share
from polylore.studies.trace.context import Context, with_interval
from polylore.studies.trace.sections.referee.rows import (
    BEST,
    LABELS,
    METHODS,
    conditions,
    judged,
    pivot_name,
)


def cause_blocks(context: Context) -> list[Block]:
    """Figures about losses, if the model was trained again."""
    rows = judged(context, "counterfactual")
    if rows is None:
        return []
    pooled = rows.filter((pl.col("arm") == "both") & (pl.col("lang") == "all"))
    pivot = pivot_name(context)
    doses = [dose_words(low, high) for low, high in DOSES]
    made: list[Block | None] = [
        _lost(context, pooled),
        _precision(context, pooled),
        _effects(
            context, pooled, "dose", "The effect, by how often the language told the fact",
            f"Rows: documents of the language that tell the fact. If {pivot} helps where the "
            "language is silent, the effect is large at 0 and fades as it tells the fact itself.",
            {f"dose:{words}": words for words in doses},
        ),
        _effects(
            context, pooled, "told", f"The effect, by how often {pivot} told the fact",
            f"Rows: {pivot} documents that were taken away.",
            {f"pivot_dose:{words}": words for words in doses},
        ),
        _effects(
            context, pooled, "kind", "The effect, by spelling and by where the fact was told",
            "Rows: how the answer is spelled compared with the pivot, and whether the language "
            "told the fact too.",
            {
                "surface:same": "spelled alike", "surface:cognate": "cognate",
                "surface:disjoint": "spelled otherwise", "condition:both": "told in both",
                "condition:pivot_only": f"told in {pivot} alone",
            },
        ),
    ]  # fmt: skip
    return [block for block in made if block is not None]


def _lost(context: Context, rows: pl.DataFrame) -> Chart | None:
    """Share lost by label, where documents are gone and where they are not."""
    own = rows.filter(
        (pl.col("method") == "pathways") & (pl.col("info_level") == BEST) & (pl.col("n") > 0)
    )
    sides = {
        f"{pivot_name(context)} documents gone": ("l1", "n"),
        "left alone: chance": ("l0", "n_untouched"),
    }
    words = {"all": "any label", **LABELS}
    parts = [
        own.select(
            "matcher",
            label=pl.col("label").replace_strict(words, return_dtype=pl.String),
            series=pl.lit(side),
            lost=value,
            lo=f"{value}_lo",
            hi=f"{value}_hi",
            n=size,
        )
        for side, (value, size) in sides.items()
    ]
    frame = pl.concat(parts).drop_nulls("lost")
    if not frame.height:
        return None
    spec = shapes.dots(
        share("lost", "share of right answers that are lost"),
        "label",
        [w for w in words.values() if w in set(frame["label"])],
        {"label": ("label", ""), "series": ("facts", ""), "lost": ("lost", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "n": ("right cells", ",")},
        series="series",
        series_order=list(sides),
    )  # fmt: skip
    return Chart(
        "referee-lost",
        f"What hangs on {pivot_name(context)}",
        "Right answers that turn wrong when the documents about their facts are gone, by the label "
        "they carried. A label that means transfer should lose much; frequency, copies and guesses "
        f"little more than chance. {conditions(context, frame)}",
        "Dot plot of the share lost by label: "
        + "; ".join(
            f"{r['label']}, {r['series']} {with_interval(r['lost'], r['lo'], r['hi'])}"
            for r in frame.iter_rows(named=True)
        )
        + ".",
        spec,
        frame.with_columns(interval("lost")),
        {"label": "Label", "series": "Facts", "n": "Right", "lost_ci": "Lost"},
        {"lost_ci": "interval"},
        "half",
    )


def _precision(context: Context, rows: pl.DataFrame) -> Chart | None:
    frame = (
        rows.filter(
            (pl.col("info_level") == BEST) & (pl.col("label") != "all") & (pl.col("n") > 0)
        )
        .drop_nulls("causal_precision")
        .select(
            "matcher", "n", "lost",
            label=pl.col("label").replace_strict(LABELS, return_dtype=pl.String),
            series=pl.col("method").replace_strict(METHODS, return_dtype=pl.String),
            value="causal_precision", lo="causal_precision_lo", hi="causal_precision_hi",
            found=pl.col("causal_recall"),
        )
    )  # fmt: skip
    if not frame.height:
        return None
    spec = shapes.dots(
        share("value", "causal precision"),
        "label",
        [w for w in LABELS.values() if w in set(frame["label"])],
        {"label": ("label", ""), "series": ("method", ""), "value": ("causal precision", ".1%"),
         "lo": ("from", ".1%"), "hi": ("to", ".1%"), "found": ("causal recall", ".1%"),
         "n": ("right cells", ",")},
        series="series",
        series_order=[w for w in METHODS.values() if w in set(frame["series"])],
    )  # fmt: skip
    return Chart(
        "referee-causal-precision",
        "Labels against causes",
        "Share of a label's cells that were right because of the documents taken away: near 1 "
        "wanted for transfer, near 0 for the others. It is a lower bound for transfer, since a "
        f"fact may also come from a third language. {conditions(context, frame)}",
        "Dot plot of causal precision by label and method: "
        + "; ".join(
            f"{r['label']}, {r['series']} {with_interval(r['value'], r['lo'], r['hi'])}"
            for r in frame.iter_rows(named=True)
        )
        + ".",
        spec,
        frame.with_columns(interval("value")),
        {"label": "Label", "series": "Method", "n": "Right", "lost": "Lost",
         "value_ci": "Causal precision", "found": "Causal recall"},
        {"value_ci": "interval", "found": "share"},
        "half",
    )  # fmt: skip


def _effects(
    context: Context,
    rows: pl.DataFrame,
    id_: str,
    title: str,
    words: str,
    strata: dict[str, str],
) -> Chart | None:
    frame = (
        rows.filter(pl.col("method").is_null() & pl.col("stratum").is_in(list(strata)))
        .drop_nulls("effect")
        .select(
            "matcher", n="n_cells",
            cells=pl.col("stratum").replace_strict(strata, return_dtype=pl.String),
            effect=100 * pl.col("effect"),
            lo=100 * pl.col("effect_lo"), hi=100 * pl.col("effect_hi"),
        )
    )  # fmt: skip
    if not frame.height:
        return None
    spec = shapes.dots(
        alt.X("effect:Q", title="points of recall lost beyond chance", axis=alt.Axis(tickCount=5)),
        "cells",
        [w for w in strata.values() if w in set(frame["cells"])],
        {"cells": ("cells", ""), "effect": ("effect", ".1f"), "lo": ("from", ".1f"),
         "hi": ("to", ".1f"), "n": ("cells", ",")},
        rule=0.0,
    )  # fmt: skip
    return Chart(
        f"referee-effect-{id_}",
        title,
        f"{words} Effect: fall of recall where the documents are gone minus the fall elsewhere. "
        f"{conditions(context, frame)}",
        "Dot plot of effects: "
        + "; ".join(
            f"{r['cells']} {r['effect']:.1f} points"
            + (f" [{r['lo']:.1f}, {r['hi']:.1f}]" if r["lo"] is not None else "")
            for r in frame.iter_rows(named=True)
        ).replace("-", "−")
        + ".",
        spec,
        frame.with_columns(interval("effect")),
        {"cells": "Cells", "n": "n", "effect_ci": "Effect, points"},
        {"effect_ci": "interval.number"},
        "half",
    )
