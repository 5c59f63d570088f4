"""Where the way from one language to another breaks, and how learning went."""

import altair as alt
import polars as pl

from polylore.report import Chart, shapes
from polylore.report.axes import LogAxis, rows, share
from polylore.studies.align.context import AlignContext

HOPS = {
    "p_h1": "name → source",
    "p_h2": "fact in source",
    "p_h3": "answer → target",
    "p_all": "all three",
    "acc_t": "fact in target",
    "predicted": "if joined",
}
"""Columns in plain words, in the order of the way."""
COMPONENTS = {
    "source_0": "taught in both, source",
    "source_1": "taught in source, source",
    "target_0": "taught in both, target",
    "translate_ts": "translation → source",
    "translate_st": "translation → target",
    "target_1": "taught in source, target",
}
PANELS = 24


def panel() -> pl.Expr:
    """Arm and pair of languages."""
    return pl.format("{}, {}→{}", "arm", "source", "target").alias("panel")


def hop_chart(found: pl.DataFrame) -> Chart | None:
    """Bars of every hop; None where translations were not asked.

    Args:
        found: rows of ALIGN_CONDUCTIVITY of one subset and scoring, last steps.
    """
    asked = found.filter(pl.col("p_all").is_not_null())
    if not asked.height:
        return None
    means = asked.group_by("arm", "source", "target", maintain_order=True).agg(
        pl.col(list(HOPS)).mean(), seeds=pl.col("seed").n_unique(), n=pl.col("n").max()
    )
    frame = means.with_columns(panel()).unpivot(
        on=list(HOPS), index=["panel", "arm", "source", "target", "seeds", "n"],
        variable_name="hop", value_name="value",
    ).with_columns(words=pl.col("hop").replace_strict(HOPS, return_dtype=pl.String()))  # fmt: skip
    panels = frame["panel"].unique(maintain_order=True).to_list()[:PANELS]
    y = alt.Y("words:N", sort=list(HOPS.values()), title=None, axis=alt.Axis(labelLimit=110))
    outcome = alt.condition("datum.hop == 'acc_t'", alt.value(1.0), alt.value(0.55))
    tips = [
        alt.Tooltip("panel:N", title="arm"), alt.Tooltip("words:N", title="what"),
        alt.Tooltip("value:Q", title="right", format=".1%"), alt.Tooltip("n:Q", title="facts"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]  # fmt: skip
    x = alt.X("value:Q", title="right", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format=".0%", values=[0, 0.5, 1]))  # fmt: skip
    bars = alt.Chart(rows()).mark_bar().encode(x=x, y=y, opacity=outcome, tooltip=tips)
    drawn = frame.filter(pl.col("panel").is_in(panels))
    return Chart(
        "align-hops",
        "Hops from target to source and back",
        "A fact taught in the source can be reached from the target by three hops. `If joined`: "
        "what would be right in the target if all three were used; a shorter bar for the fact "
        "itself means that hops which are known are not joined. Mean over seeds."
        + (f" {len(set(frame['panel']))} arms and pairs, the first {PANELS} shown."
           if frame["panel"].n_unique() > PANELS else ""),
        "Bar charts of the three hops, all together, and the fact in the target language.",
        shapes.panels([bars], "panel", panels, height=100),
        drawn,
        {"arm": "Arm", "source": "Source", "target": "Target", "words": "What", "value": "Right",
         "n": "Facts", "seeds": "Seeds"},
        {"source": "lang", "target": "lang", "value": "share"},
        "panels",
    )  # fmt: skip


def learning_chart(context: AlignContext) -> Chart | None:
    """Gate components and facts of type 1 in the target over updates; None without steps."""
    gates = context.table("align_gates")
    if gates is None:
        return None
    key = ["run_id", "arm", "seed", "step", "source", "target"]
    wanted = pl.col("trained") | (pl.col("component") == "target_1")
    curves = gates.filter(wanted).select(*key, "component", "value").drop_nulls("value")
    several = curves.filter(pl.col("step").n_unique().over("run_id") > 1)
    if not several.height:
        return None
    frame = (
        several.with_columns(panel())
        .group_by("panel", "component", "step", maintain_order=True)
        .agg(pl.col("value").mean(), lo=pl.col("value").min(), hi=pl.col("value").max(),
             seeds=pl.col("seed").n_unique())
        .with_columns(
            words=pl.col("component").replace_strict(COMPONENTS, return_dtype=pl.String()),
            gate=pl.lit(float(gates["threshold"][0])),
        )
        .sort("step", maintain_order=True)
    )  # fmt: skip
    axis = LogAxis.over(frame["step"].to_list())
    frame = frame.with_columns(at=axis.place("step"))
    order = [words for words in COMPONENTS.values() if words in set(frame["words"])]
    panels = frame["panel"].unique(maintain_order=True).sort().to_list()[:PANELS]
    tips = {"words": ("what", ""), "step": ("update", "d"), "value": ("right", ".1%"),
            "lo": ("least seed", ".1%"), "hi": ("best seed", ".1%")}  # fmt: skip
    layers = [
        alt.Chart(rows()).mark_line(style="reference").encode(x="at:Q", y="gate:Q"),
        *shapes.lines(
            axis.encode("at", "update"), share("value", "right", axis=alt.Y), tips,
            series="words", order=order,
        ),
    ]  # fmt: skip
    return Chart(
        "align-learning",
        "How learning went",
        "Share right of what was taught, and of facts taught in the source alone when asked in "
        "the target. Dashed: the gate, below which a run says nothing. Mean over seeds.",
        "Line charts of what was learned over updates, one per arm and pair of languages.",
        shapes.panels(layers, "panel", panels),
        frame.filter(pl.col("panel").is_in(panels)),
        {"panel": "Arm", "words": "What", "step": "Update", "value": "Right", "lo": "least seed",
         "hi": "best seed", "seeds": "Seeds"},
        {"value": "share", "lo": "share", "hi": "share"},
        "panels",
    )  # fmt: skip
