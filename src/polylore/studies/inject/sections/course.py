"""Trajectories: what every exposure does, step by step, beside items that are never injected."""

from typing import Any

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, interval, shapes
from polylore.report.axes import rows
from polylore.report.numbers import number_axis
from polylore.studies.inject.context import SHOWN, InjectContext, order, own, pair

_TIPS = {
    "series": ("", ""),
    "since": ("steps since first exposure", ",d"),
    "rise": ("rise", ".3f"),
    "lo": ("from", ".3f"),
    "hi": ("to", ".3f"),
    "control": ("control", ".3f"),
    "n_items": ("items", "d"),
}
_LABELS = {
    "panel": "Arm and depth", "series": "Languages", "since": "Steps since first exposure",
    "rise_ci": "Rise", "control": "Never injected", "n_items": "Items",
}  # fmt: skip
_MOST = 12
"""Panels of a figure."""


def course_page(context: InjectContext) -> Page | None:
    """None without curves."""
    curves = context.pooled("inject_curves")
    if curves is None:
        return None
    blocks: list[Block] = [_own(context, curves)]
    if not context.several:
        blocks.append(
            Prose(("Facts were asked in the language of injection only, so there is nothing to "
                   "show of other languages.",))
        )  # fmt: skip
    lead = (
        "What does one exposure do, what does the next one add, and how much is left between "
        "them? Every plot holds items that were never injected, at the same states of training."
    )
    return Page("course", "Step by step", lead, tuple(blocks))


def _own(context: InjectContext, curves: pl.DataFrame) -> Chart:
    frame = curves.filter(own()).with_columns(
        panel=pl.format("{}, {}", "arm", "depth"), series=pl.col("probe_lang")
    )
    panels = [f"{a}, {d}" for d in context.depths for a in context.arms]
    panels = [p for p in panels if p in set(frame["panel"])][:_MOST]
    frame = order(frame.filter(pl.col("panel").is_in(panels)), "panel", panels)
    series = context.langs[:SHOWN]
    frame = frame.filter(pl.col("series").is_in(series))
    return Chart(
        "inject-course",
        "Log-probability around exposures",
        "Item mean of y(t) − y(before), y being the mean log-probability of the target's tokens; "
        "not yet corrected. Ticks below: exposures. Dashed, grey band: items that are never "
        "injected, at the same states, and their 95 %. Band: 95 % over items. Language of "
        "injection. "
        + context.said(f"{context.items} injected items"),
        "Small multiples of the rise of log-probability since the first exposure, one panel per "
        "arm and depth.",
        shapes.panels(layers(frame, series, marks(context, frame)), "panel", panels, height=140),
        pl.concat([frame, marks(context, frame)], how="diagonal").with_columns(interval("rise")),
        _LABELS,
        {"rise_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def pairs_chart(context: InjectContext, arm: str) -> Chart | None:
    """y(t) in B for injection in A, one panel per ordered pair."""
    curves = context.pooled("inject_curves")
    if curves is None:
        return None
    frame = curves.filter(arm=arm).with_columns(pair().alias("panel"), series=pl.col("depth"))
    names = frame.select("inject_lang", "probe_lang", "panel").unique().sort(
        "inject_lang", "probe_lang"
    )["panel"].to_list()[:16]  # fmt: skip
    frame = order(frame.filter(pl.col("panel").is_in(names)), "panel", names)
    flags = marks(context, frame)
    return Chart(
        f"inject-pairs-{arm.replace('_', '-')}",
        f"Told in one language, asked in another: {arm}",
        "Item mean of y(t) − y(before) by ordered pair: language of injection → language of the "
        "probe. Ticks below: exposures. Dashed, grey band: never-injected items in the "
        "language of the probe, and their 95 %. " + context.said(f"arm {arm}"),
        "Small multiples of the rise of log-probability, one panel per pair of languages.",
        shapes.panels(layers(frame, context.depths, flags), "panel", names, height=130),
        pl.concat([frame, flags], how="diagonal").with_columns(interval("rise")),
        {**_LABELS, "panel": "Pair", "series": "Depth"},
        {"rise_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def marks(context: InjectContext, frame: pl.DataFrame) -> pl.DataFrame:
    """When exposures come, by panel: rows with `at`, below everything that is drawn."""
    times = context.table("_exposures")
    if times is None:
        schema = {"panel": pl.String, "at": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(schema=schema)
    low, high = _ends(frame)
    height = 0.06 * (high - low)
    found = frame.select("panel", "arm").unique(maintain_order=True).join(times, on="arm")
    return found.select(
        "panel", at=pl.col("since").cast(pl.Float64), low=pl.lit(low - 2 * height),
        high=pl.lit(low - height),
    )  # fmt: skip


def _ends(frame: pl.DataFrame) -> tuple[float, float]:
    values = pl.concat([frame[n] for n in ("rise", "lo", "hi", "control_lo", "control_hi")])
    known = values.drop_nulls().drop_nans()
    if known.is_empty():
        return 0.0, 1.0
    return float(known.min()), float(known.max())  # type: ignore[arg-type]


def layers(frame: pl.DataFrame, series: list[str], flags: pl.DataFrame) -> list[Any]:
    """Lines with bands, the control ribbon, and ticks of exposures."""
    y = number_axis(
        pl.concat([frame, flags.rename({"low": "floor"})], how="diagonal"),
        "rise", "rise, nats per token", "lo", "hi", "control_lo", "control_hi", "floor",
        axis=alt.Y,
    )  # fmt: skip
    x = alt.X("since:Q", title="steps since first exposure", axis=alt.Axis(tickCount=4))
    drawn = shapes.lines(
        x, y, _TIPS, series="series", order=series, band=("lo", "hi"), reference="control",
        reference_band=("control_lo", "control_hi"),
    )  # fmt: skip
    # A trajectory has many states: its points are there for the pop-up alone.
    drawn[-1] = drawn[-1].mark_point(size=40, opacity=0)
    ticks = (
        alt.Chart(rows())
        .transform_filter("isValid(datum.at)")
        .mark_rule(style="reference", strokeDash=[1, 0])
        .encode(x=alt.X("at:Q"), y=alt.Y("low:Q"), y2="high")
    )
    return [ticks, *drawn]
