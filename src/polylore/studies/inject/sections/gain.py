"""Effectivity: the published and the corrected form side by side, and exposure by exposure."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.numbers import in_lines, number_axis, wrapped
from polylore.studies.inject.context import (
    SHOWN,
    InjectContext,
    in_words,
    order,
    own,
    pair,
    suffixed_column,
    suffixed_note,
)

OURS, PAPER = "corrected (default)", "published form"
_NAMES = {"default": OURS, "paper": PAPER}
_MOST = 24
"""Rows of a dot plot."""
_TIPS = {
    "label": ("", ""),
    "form": ("form", ""),
    "estimate": ("gain", ".3f"),
    "lo": ("from", ".3f"),
    "hi": ("to", ".3f"),
    "control_estimate": ("never injected", ".3f"),
    "n_items": ("items", "d"),
}


def gain_page(context: InjectContext) -> Page | None:
    """None without effectivity."""
    table = context.pooled("inject_effectivity")
    if table is None:
        return None
    blocks: list[Block] = [
        b for b in (_bars(context, table), _by_exposure(context, table)) if b is not None
    ]
    if not blocks:
        words = "No gain could be computed: "
        reasons = table["reason"].drop_nulls().unique().to_list()
        blocks = [Prose((words + "; ".join(map(str, reasons)) + ".",), "caution")]
    blocks.append(_table(context.ordered(table)))
    lead = (
        "How much does an exposure add? The published form takes the largest of many noisy "
        "readings and so finds a gain even where nothing was taught; the corrected form reads the "
        "gain at a lag chosen on other items and takes the drift of never-injected items off."
    )
    return Page("gain", "Gain per exposure", lead, tuple(blocks))


def _whole(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(
        pl.col("exposure").is_null() & own() & pl.col("preset").is_in(list(_NAMES))
    ).with_columns(form=pl.col("preset").replace_strict(_NAMES, return_dtype=pl.String))


def _bars(context: InjectContext, table: pl.DataFrame) -> Chart | None:
    frame = _whole(table).drop_nulls("estimate")
    if not frame.height:
        return None
    one = frame["probe_lang"].n_unique() == 1
    place = pl.col("depth") if one else pl.format("{} ({})", "depth", "probe_lang")
    frame = frame.with_columns(label=pl.format("{}, {}", pl.col("arm"), place))
    order_by = order(order(frame, "depth", context.depths), "arm", context.arms)
    names = order_by["label"].unique(maintain_order=True).to_list()[:_MOST]
    frame = order_by.filter(pl.col("label").is_in(names)).with_columns(
        shown=pl.Series(wrapped(order_by.filter(pl.col("label").is_in(names))["label"]))
    )
    there = [f for f in (OURS, PAPER) if f in set(frame["form"])]
    spec = shapes.dots(
        number_axis(frame, "estimate", "gain per exposure, nats per token", "lo", "hi",
                    "control_estimate", zero=True),
        "shown", wrapped(names), _TIPS, series="form", series_order=there,
        reference="control_estimate", rule=0,
    )  # fmt: skip
    alone = (
        " The published form alone: without never-injected items nothing can be corrected, and a "
        "part of every number here is noise."
    ) * (there == [PAPER])
    gaps = " States are missing, so the published maximum is over those read." * context.sparse
    return Chart(
        "inject-effectivity",
        "Gain per exposure, published and corrected",
        "Mean gain over exposures and items. Grey tick: the same form applied to items that were "
        "never injected, which should be 0; of the corrected form with one exposure it is less, as "
        f"the page on trust says.{gaps}{alone} Line: 95 % over items. Language of "
        f"injection.{suffixed_note(frame)} "
        + context.said(f"presets paper (IQR factor 1.5) and default; {context.items} items"),
        "Dot plot of the gain per exposure by arm and depth, in two forms, with never-injected "
        "items beside.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("estimate")),
        {"arm": "Arm", "depth": "Depth", "probe_lang": "Language", "form": "Form",
         "estimate_ci": "Gain", "control_estimate": "Never injected", "n_items": "Items",
         **suffixed_column(frame)},
        {"estimate_ci": "interval.number", "suffixed": "share"},
        "wide",
    )  # fmt: skip


def _by_exposure(context: InjectContext, table: pl.DataFrame) -> Chart | None:
    each = table.filter(pl.col("exposure").is_not_null() & own()).drop_nulls("estimate")
    ours = each.filter(preset="default")
    several = ours.group_by("arm").agg(pl.col("exposure").max()).filter(pl.col("exposure") > 0)
    arms = [a for a in context.arms if a in set(several["arm"])][:SHOWN]
    if not arms:
        return None
    published = each.filter(preset="paper").select(
        "arm", "depth", "inject_lang", "probe_lang", "exposure", paper="estimate"
    )
    keys = ["arm", "depth", "inject_lang", "probe_lang", "exposure"]
    frame = (
        ours.filter(pl.col("arm").is_in(arms))
        .join(published, on=keys, how="left")
        .with_columns(
            number=pl.col("exposure") + 1,
            panel=pl.format("{}, {}", "depth", "probe_lang")
            if len(context.langs) > 1
            else pl.col("depth"),
        )
        .sort("arm", "probe_lang", "number")
    )
    frame = order(frame, "depth", context.depths)
    panels = frame["panel"].unique(maintain_order=True).to_list()[:12]
    frame = frame.filter(pl.col("panel").is_in(panels))
    longest = int(frame["number"].max())  # type: ignore[arg-type]
    ticks = list(range(1, longest + 1, max(1, -(-longest // 6))))
    drawn = shapes.lines(
        alt.X("number:Q", title="exposure number", axis=alt.Axis(values=ticks, format="d")),
        number_axis(frame, "estimate", "gain, nats per token", "lo", "hi", "paper", zero=True,
                    axis=alt.Y),
        {"arm": ("arm", ""), "number": ("exposure", "d"), "estimate": ("gain", ".3f"),
         "lo": ("from", ".3f"), "hi": ("to", ".3f"), "paper": ("published form", ".3f")},
        series="arm", order=arms, band=("lo", "hi"),
        reference="paper" if frame["paper"].count() else None,
    )  # fmt: skip
    return Chart(
        "inject-by-exposure",
        "Gain by exposure number",
        "Solid: corrected, with its 95 % band over items. Dashed: published form, which leaves "
        "values below zero out and so never falls to 0. " + context.said("language of injection"),
        "Small multiples of the gain by the number of the exposure.",
        shapes.panels(drawn, "panel", panels, height=130),
        frame.with_columns(interval("estimate")),
        {"panel": "Depth", "arm": "Arm", "number": "Exposure", "estimate_ci": "Gain",
         "paper": "Published form", "n_items": "Items"},
        {"estimate_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _table(table: pl.DataFrame) -> TableView:
    frame = table.filter(pl.col("exposure").is_null()).with_columns(
        pair(), interval("estimate"), why=in_words()
    )
    return TableView(
        "inject-effectivity-table",
        "All gains",
        "Means over exposures. default: control-subtracted and cross-fitted, items weigh equally; "
        "paper and repo: largest reading within the window minus the last one before, outliers "
        "beyond 1.5 or 2.0 interquartile ranges dropped. Never injected: the same number of the "
        "control items at the same times." + suffixed_note(frame),
        frame,
        {"arm": "Arm", "depth": "Depth", "pair": "Told → asked", "preset": "Form",
         "estimate_ci": "Gain", "control_estimate": "Never injected", "lag": "Read at lag",
         "n_items": "Items", "n_values": "Values", "n_dropped": "Dropped",
         **suffixed_column(frame), "why": "Remark"},
        {"estimate_ci": "interval.number", "suffixed": "share"},
    )  # fmt: skip
