"""Letter histograms of the cells that letter flags speak against."""

import altair as alt
import polars as pl

from polylore.report import Chart, shapes
from polylore.report.axes import rows, share
from polylore.studies.align.context import AlignContext
from polylore.tables.align import SYSTEM_KEY

PANELS = 16
_CELL = [*SYSTEM_KEY, "dataset", "lang"]


def letters_chart(context: AlignContext) -> Chart | None:
    """None where every cell's letters are varied."""
    letters = context.table("align_letters")
    cells = context.table("align_cells")
    if letters is None or cells is None:
        return None
    habits = cells.unique(_CELL, keep="first", maintain_order=True)
    top = letters.group_by(_CELL, maintain_order=True).agg(
        top=(pl.col("n") / pl.col("total")).max(), expected=(pl.col("gold") / pl.col("total")).max()
    )
    # A letter far beyond its share among the right answers.
    flagged = top.filter(pl.col("top") - pl.col("expected") >= FAR)
    kept = habits.select(_CELL).join(flagged, on=_CELL, how="inner", nulls_equal=True)
    # One panel per system and set, its worst language: habits are much the same in all.
    worst = kept.sort("top", descending=True, maintain_order=True)
    shown = worst.unique([*SYSTEM_KEY, "dataset"], keep="first", maintain_order=True).head(PANELS)
    frame = context.named(
        letters.join(shown.select(_CELL), on=_CELL, how="semi", nulls_equal=True)
    ).with_columns(
        share=pl.col("n") / pl.col("total"),
        right=pl.col("gold") / pl.col("total"),
        panel=_panel(shown),
    )
    if not frame.height:
        return None
    frame = frame.filter((pl.col("share") >= 0.01) | (pl.col("right") > 0))
    order = shown.select(_panel(shown).alias("panel"))["panel"].unique(maintain_order=True)
    x = alt.X("letter:N", title=None, axis=alt.Axis(labelAngle=0))
    chart = alt.Chart(rows())
    tips = [
        alt.Tooltip("panel:N", title="cell"), alt.Tooltip("letter:N", title="letter"),
        alt.Tooltip("share:Q", title="answers", format=".1%"),
        alt.Tooltip("right:Q", title="right answers", format=".1%"),
    ]  # fmt: skip
    layers = [
        chart.mark_bar().encode(x=x, y=share("share", "answers", axis=alt.Y), tooltip=tips),
        chart.mark_tick(style="reference-tick", size=16).encode(x=x, y="right:Q"),
    ]
    more = kept.height - shown.height
    return Chart(
        "align-letters",
        "Letters of flagged cells",
        "What answers begin with, or which letter is scored highest over all orders of the "
        "options; grey tick: the letter's share among the right answers. Shown where one letter "
        f"is {FAR:.0%} of the answers or more beyond that, in the worst language of a model and set"
        + (f"; {more} more cells in the table align_letters." if more else "."),
        "Bar charts of the letters that models answer with, one per flagged cell.",
        shapes.panels(layers, "panel", order.to_list(), height=70),
        frame,
        {"system": "Model", "dataset": "Set", "lang": "Language", "letter": "Letter",
         "n": "Answers", "gold": "Right answers", "total": "of"},
        {"lang": "lang"},
        "panels",
    )  # fmt: skip


def _panel(shown: pl.DataFrame) -> pl.Expr:
    """Set and language, and what else tells the cells apart."""
    parts = [pl.format("{} {}", "dataset", "lang")]
    for name, said in (
        ("model", pl.format(", {}", "model")),
        ("step", pl.format(", step {}", "step").fill_null("")),
        ("mode", pl.when(pl.col("mode") == "generate").then(pl.lit(", written")).otherwise(
            pl.lit(", scored"))),
        ("variant", pl.format(", {}", "variant")),
    ):  # fmt: skip
        if shown[name].n_unique() > 1:
            parts.append(said)
    return pl.concat_str(parts)


FAR = 0.25
"""Excess of a letter over the right answers' from which on a cell is shown."""
