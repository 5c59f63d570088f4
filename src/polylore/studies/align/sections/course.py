"""Learning curves: accuracy and consistency over the checkpoints of a series."""

import altair as alt
import polars as pl

from polylore.report import Chart, interval, shapes
from polylore.report.axes import LogAxis
from polylore.report.numbers import number_axis
from polylore.studies.align.context import AlignContext, slug

SERIES = 6
"""Models whose curves stand in one picture."""


def accuracy_curves(context: AlignContext, dataset: str) -> Chart | None:
    """Accuracy over steps, one panel per language; None without several checkpoints of a model."""
    cells = context.tables["align_cells"].filter(context.headline & (pl.col("dataset") == dataset))
    frame = _curves(cells)
    if frame is None:
        return None
    without = context.table("align_baselines")
    if without is not None:
        whole = ~pl.col("baseline").str.contains(":")  # not those of single relations
        lines = without.filter(whole & (pl.col("dataset") == dataset))
        best = lines.group_by("lang").agg(baseline=pl.col("acc").max())
        frame = frame.join(best, on="lang", how="left", maintain_order="left")
    else:
        frame = frame.with_columns(baseline=pl.col("chance"))
    return _chart(
        context,
        frame,
        f"align-course-{slug(dataset)}",
        f"{dataset}: accuracy over training",
        "Band: 95 %. Dashed: the best that needs no knowledge (place, order, likeness to the "
        "question, most frequent answer).",
        ("acc", "lo", "hi"),
        "accuracy (percent)",
        "baseline",
    )


def consistency_curves(context: AlignContext, dataset: str) -> Chart | None:
    """Normalised consistency with the pivot over steps; None without several checkpoints."""
    pairs = context.table("align_consistency")
    if pairs is None:
        return None
    own = pairs.filter(
        context.headline
        & (pl.col("dataset") == dataset)
        & (pl.col("exposure_class") == "all")
        & (pl.col("pivot") == context.pivot)
        & pl.col("interpretable")
    )
    frame = _curves(own)
    if frame is None:
        return None
    return _chart(
        context,
        frame.with_columns(nothing=pl.lit(0.0)),
        f"align-course-consistency-{slug(dataset)}",
        f"{dataset}: consistency with {context.pivot} over training",
        "Normalised: 0 is what letter habits and accuracy alone give (dashed), 1 all that they "
        "allow. Band: 95 %. Checkpoints whose consistency says nothing are left out.",
        ("co_norm", "co_norm_lo", "co_norm_hi"),
        "consistency beyond habits",
        "nothing",
    )


def _curves(rows: pl.DataFrame) -> pl.DataFrame | None:
    """Rows of models with several steps; the first few models."""
    rows = rows.filter(pl.col("step").is_not_null())
    several = rows.filter(pl.col("step").n_unique().over("model") > 1)
    models = several["model"].unique(maintain_order=True).to_list()[:SERIES]
    kept = several.filter(pl.col("model").is_in(models))
    return kept.sort("step", maintain_order=True) if kept.height else None


def _chart(
    context: AlignContext,
    frame: pl.DataFrame,
    name: str,
    title: str,
    caption: str,
    columns: tuple[str, str, str],
    label: str,
    reference: str,
) -> Chart:
    value, low, high = columns
    models = frame["model"].unique(maintain_order=True).to_list()
    axis = LogAxis.over(frame["step"].to_list())
    frame = frame.with_columns(at=axis.place("step"))
    layers = shapes.lines(
        axis.encode("at", "step"),
        number_axis(frame, value, label, low, high, reference, axis=alt.Y),
        {"model": ("model", ""), "lang": ("language", ""), "step": ("step", "d"),
         value: (label, ".3~f"), low: ("from", ".3~f"), high: ("to", ".3~f")},
        series="model", order=models, band=(low, high), reference=reference,
    )  # fmt: skip
    there = set(frame["lang"])
    return Chart(
        name,
        title,
        f"{caption} n = {frame['n'].max()}.",
        f"Line charts of {label} by training step, one per language.",
        shapes.panels(layers, "lang", [code for code in context.languages if code in there]),
        frame.with_columns(interval(value, low, high)),
        {"model": "Model", "step": "Step", "lang": "Language", f"{value}_ci": label.capitalize(),
         "n": "n"},
        {"lang": "lang", f"{value}_ci": "interval"},
        "panels",
    )  # fmt: skip
