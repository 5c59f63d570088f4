"""Overview: recall over training, per language, read and never-read facts apart."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, interval, shapes
from polylore.report.axes import share, upper
from polylore.studies.trace.context import ALL, SERIES, Context, percent, with_names


def overview(context: Context) -> Page | None:
    """The key figures; None without a table of recall."""
    recall = context.table("recall")
    if recall is None:
        return None
    rows = headline_rows(context, recall)
    if not context.trajectory:
        why = (
            "Results of only one checkpoint have a place in training, so nothing can be said about "
            "when facts were learned; the next part shows what is known at that checkpoint."
        )
        return Page("overview", "Over training", LEAD, (Prose((why,)),))
    blocks: list[Block] = [_panels(context, rows)]
    for stratum in context.strata:
        blocks.append(_heat_map(context, rows, stratum))
    return Page("overview", "Over training", LEAD, tuple(blocks))


LEAD = "How many facts each checkpoint recalls in each language, from the first to the last."


def headline_rows(context: Context, recall: pl.DataFrame) -> pl.DataFrame:
    """Recall of all relations together by the headline matcher, in the headline strata."""
    rows = context.headline(recall).filter(
        (pl.col("relation") == "all") & pl.col("stratum").is_in(context.strata)
    )
    named = with_names(rows).with_columns(
        series=pl.col("stratum").replace_strict(SERIES, return_dtype=pl.String)
    )
    return named.sort(context.place("lang"), maintain_order=True)


def _panels(context: Context, rows: pl.DataFrame) -> Chart:
    frame = context.on_axis(rows).select(
        "language", "series", "x", "step", "tokens", "n", "acc", "lo", "hi", "baseline",
        "baseline_name",
    )  # fmt: skip
    order = [SERIES[s] for s in context.strata]
    top = upper(frame, "acc", "hi")
    y = share("acc", None, top, axis=alt.Y)
    layers = shapes.lines(
        context.axis.encode("x", None),
        y,
        {
            "language": ("language", ""),
            "series": ("facts", ""),
            "step": ("step", ","),
            "tokens": ("tokens", ","),
            "acc": ("recall", ".1%"),
            "lo": ("from", ".1%"),
            "hi": ("to", ".1%"),
            "baseline": ("baseline", ".1%"),
            "n": ("facts", ","),
        },
        series="series",
        order=order,
        band=("lo", "hi"),
        reference="baseline",
    )
    return Chart(
        "recall-over-training",
        "Recall over training",
        "One panel per language, best recall at the end first, over "
        f"{context.axis_title} (log scale with a place for 0). Solid: share of facts answered "
        "right, with its 95 % band. Dashed: the best a guesser reaches without knowing anything. "
        + _colours(context)
        + context.conditions(frame["n"]),
        _describe(context, rows),
        shapes.panels(layers, "language", context.names),
        frame.with_columns(interval("acc")),
        {
            "language": "Language", "series": "Facts", "step": "Step", "tokens": "Tokens",
            "n": "n", "acc_ci": "Recall", "baseline": "Baseline", "baseline_name": "Which",
        },
        {"acc_ci": "interval", "baseline": "share", "tokens": "tokens"},
        "panels",
    )  # fmt: skip


def _colours(context: Context) -> str:
    if context.strata == ("all",):
        return ""
    return (
        "Facts read in that language during training and facts never read in it are drawn apart. "
    )


def _describe(context: Context, rows: pl.DataFrame) -> str:
    end = context.at_end(rows).filter(pl.col("stratum") == context.strata[0])
    end = end.drop_nulls("acc").sort("acc", descending=True)
    if not end.height:
        return "Line charts of recall over training, one per language."
    best, worst = end.row(0, named=True), end.row(-1, named=True)
    words = f"Line charts of recall over training, one per language, {end.height} in all. "
    words += f"At the end {best['language']} stands highest with {percent(best['acc'])}"
    if end.height > 1:
        words += f" and {worst['language']} lowest with {percent(worst['acc'])}"
    return words + "."


def _heat_map(context: Context, rows: pl.DataFrame, stratum: str) -> Chart:
    own = context.on_axis(rows.filter(pl.col("stratum") == stratum))
    frame = own.join(
        context.checkpoints.select("ckpt_id", "label"), on="ckpt_id", how="left"
    ).select("language", "label", "step", "tokens", "n", "acc", "lo", "hi")
    words = SERIES[stratum]
    labels = [
        label
        for ckpt, label in context.checkpoints.select("ckpt_id", "label").iter_rows()
        if ckpt in set(own["ckpt_id"])
    ]
    top = upper(context.on_axis(rows), "acc")
    spec = shapes.heat_map(
        alt.X("label:N", sort=list(dict.fromkeys(labels)), title=context.axis_title,
              axis=alt.Axis(labelAngle=0, labelOverlap="greedy")),
        alt.Y("language:N", sort=context.names, title=None),
        "acc",
        f"recall, {words}",
        {
            "language": ("language", ""),
            "label": (context.axis_title, ""),
            "acc": ("recall", ".1%"),
            "lo": ("from", ".1%"),
            "hi": ("to", ".1%"),
            "n": ("facts", ","),
        },
        domain=(0, top),
        rows_count=frame["language"].n_unique(),
    )  # fmt: skip
    title = "Every language at every checkpoint" + ("" if words == ALL else f": {words}")
    return Chart(
        f"recall-map-{stratum.replace('_', '-')}",
        title,
        "Rows are languages, columns checkpoints; the stronger the colour, the more facts are "
        "answered right. " + context.conditions(frame["n"]),
        f"Heat map of recall for {words}, languages by checkpoints.",
        spec,
        frame.with_columns(interval("acc")),
        {"language": "Language", "label": context.axis_title.capitalize(), "step": "Step",
         "n": "n", "acc_ci": "Recall"},
        {"acc_ci": "interval"},
        "half" if len(context.strata) > 1 else "wide",
    )  # fmt: skip
