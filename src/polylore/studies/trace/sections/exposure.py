"""Exposure: how far does what was read explain what is recalled?"""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import LogAxis, share
from polylore.studies.trace.context import Context, with_names


def exposure_page(context: Context) -> Page | None:
    """None unless some table relates recall to exposure."""
    makers = (_curve, _auc, _gain, _correlations, _thresholds)
    blocks: list[Block] = [b for make in makers if (b := make(context)) is not None]
    if not blocks:
        return None
    lead = (
        "How often a fact had been read by the last checkpoint, and how often such facts are "
        "recalled."
    )
    return Page("exposure", "Exposure", lead, tuple(blocks))


def _end(context: Context, name: str) -> pl.DataFrame | None:
    table = context.table(name)
    if table is None:
        return None
    rows = context.at_end(context.headline(table))
    return with_names(rows) if rows.height else None


def _curve(context: Context) -> Chart | None:
    rows = _end(context, "freq_curve")
    if rows is None or not rows.drop_nulls("p").height:
        return None
    filled = rows.drop_nulls("p").with_columns(
        # Edges of a bin are far apart on a log axis: its geometric centre stands for it.
        centre=pl.when(pl.col("bin") < 0)
        .then(0.0)
        .otherwise((pl.col("lo_edge").clip(1.0) * pl.col("hi_edge").clip(1.0)).sqrt())
    )
    axis = LogAxis.over(filled["centre"].to_list())
    frame = filled.with_columns(
        x=axis.place("centre"),
        zero=pl.when(pl.col("bin") < 0).then(pl.col("p")),
        some=pl.when(pl.col("bin") >= 0).then(pl.col("p")),
        exposure=pl.when(pl.col("bin") < 0)
        .then(pl.lit("never read"))
        .otherwise(
            pl.format("{} to under {}", pl.col("lo_edge").round(1), pl.col("hi_edge").round(1))
        ),
    ).select("language", "exposure", "bin", "x", "n", "right", "p", "lo", "hi", "zero", "some")
    x, y = axis.encode("x", None), share("some", None, axis=alt.Y)
    chart = alt.Chart(alt.NamedData(name="rows"))
    tips = [
        alt.Tooltip("language:N", title="language"),
        alt.Tooltip("exposure:N", title="documents read"),
        alt.Tooltip("p:Q", title="share right", format=".1%"),
        alt.Tooltip("lo:Q", title="from", format=".1%"),
        alt.Tooltip("hi:Q", title="to", format=".1%"),
        alt.Tooltip("n:Q", title="facts", format=","),
    ]
    layers = [
        chart.mark_bar(size=9, style="reference-tick", fillOpacity=1).encode(
            x=x, y="zero:Q", tooltip=tips
        ),
        chart.mark_rule(opacity=0.45, strokeWidth=1.5).encode(x=x, y=alt.Y("lo:Q"), y2="hi"),
        chart.mark_line().encode(x=x, y=y),
        chart.mark_point(size=26, opacity=1).encode(x=x, y=y, tooltip=tips),
    ]
    return Chart(
        "exposure-curve",
        "Share right by documents read",
        "One panel per language, share right over documents read (log scale). Points: facts "
        "grouped by how many documents told them in that language; bar on the left: facts never "
        "read. Vertical lines: 95 % intervals. "
        + context.conditions(frame["n"]),
        "Small multiples of the share of facts answered right against the number of documents "
        "read, one per language, with a separate bar for facts never read.",
        shapes.panels(layers, "language", context.names),
        frame.with_columns(interval("p")),
        {"language": "Language", "exposure": "Documents read", "n": "n", "right": "Right",
         "p_ci": "Share right"},
        {"p_ci": "interval"},
        "panels",
    )  # fmt: skip


def _auc(context: Context) -> Chart | None:
    rows = _end(context, "freq_corr")
    if rows is None:
        return None
    frame = rows.filter(pl.col("subset") == "all").drop_nulls("auc")
    if not frame.height:
        return None
    spec = shapes.dots(
        alt.X("auc:Q", title="AUC of documents read", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(tickCount=5)),
        "language",
        [n for n in context.names if n in set(frame["language"])],
        {"language": ("language", ""), "auc": ("AUC", ".3f"), "auc_lo": ("from", ".3f"),
         "auc_hi": ("to", ".3f"), "n": ("facts", ",")},
        interval=("auc_lo", "auc_hi"),
        rule=0.5,
    )  # fmt: skip
    return Chart(
        "exposure-auc",
        "Does reading more rank right over wrong?",
        "Probability that a right fact had been read more often than a wrong one; dashed line: "
        "0.5, exposure tells nothing. " + context.conditions(frame["n"]),
        "Dot plot of the AUC of exposure by language, with intervals and a line at 0.5.",
        spec,
        frame.select("language", "n", "auc", "auc_lo", "auc_hi").with_columns(
            interval("auc", "auc_lo", "auc_hi")
        ),
        {"language": "Language", "n": "n", "auc_ci": "AUC"},
        {"auc_ci": "interval.number"},
        "half",
    )


def _gain(context: Context) -> Chart | None:
    rows = _end(context, "threshold")
    if rows is None:
        return None
    words = {"paper": "published: same facts", "cv": "cross-validated"}
    # Only a judgement on other facts than those it was chosen on may be called a prediction.
    judged = pl.when(pl.col("rule") == "cv").then("cv_acc").otherwise("acc")
    frame = (
        rows.filter(pl.col("rule").is_in(list(words)))
        .with_columns(
            accuracy=judged, series=pl.col("rule").replace_strict(words, return_dtype=pl.String)
        )
        .with_columns(gain=100 * (pl.col("accuracy") - pl.col("majority")))
        .drop_nulls("gain")
        .select("language", "series", "n", "t", "accuracy", "majority", "gain")
    )
    if not frame.height:
        return None
    spec = shapes.dots(
        alt.X("gain:Q", title="points gained over the commoner outcome"),
        "language",
        [n for n in context.names if n in set(frame["language"])],
        {"language": ("language", ""), "series": ("judged on", ""), "gain": ("gain", ".1f"),
         "accuracy": ("accuracy", ".1%"), "majority": ("majority", ".1%"), "n": ("facts", ",")},
        series="series",
        series_order=[w for w in words.values() if w in set(frame["series"])],
        interval=None,
        rule=0.0,
    )  # fmt: skip
    return Chart(
        "exposure-gain",
        "Does a threshold predict recall?",
        "Accuracy of “right iff read at least t times” minus that of always naming the commoner "
        "outcome. The published form judges the threshold on the facts it was chosen on. "
        + context.conditions(frame["n"]),
        "Dot plot by language of the accuracy gained over the majority by a threshold on exposure, "
        "in sample and cross-validated.",
        spec,
        frame,
        {"language": "Language", "series": "Judged on", "n": "n", "t": "t",
         "accuracy": "Accuracy", "majority": "Majority", "gain": "Gain, points"},
        {"accuracy": "share", "majority": "share"},
        "half",
    )  # fmt: skip


def _correlations(context: Context) -> TableView | None:
    rows = _end(context, "freq_corr")
    if rows is None:
        return None
    return TableView(
        "exposure-correlation",
        "Correlation of exposure with being right",
        "With never-read facts (all) and without (positive). The published binned r averages the "
        "noise away and is always inflated: read it only beside the others. "
        + context.conditions(rows["n"]),
        rows.with_columns(interval("auc", "auc_lo", "auc_hi")),
        {"lang": "Language", "subset": "Facts", "n": "n", "auc_ci": "AUC", "pearson": "Pearson r",
         "spearman": "Spearman", "binned_r": "Binned r", "reason": "Why empty"},
        {"lang": "lang", "auc_ci": "interval.number"},
        ("auc", True),
    )  # fmt: skip


def _thresholds(context: Context) -> TableView | None:
    rows = _end(context, "threshold")
    if rows is None:
        return None
    frame = rows.with_columns(gain=pl.coalesce("cv_acc", "acc") - pl.col("majority"))
    return TableView(
        "exposure-threshold",
        "Predicting recall by a threshold on exposure",
        "Right is predicted iff a fact was read at least t times. The published rule (paper) is "
        "chosen and judged on the same facts; cross-validation (cv) judges on others. What counts "
        "is the gain over always naming the commoner outcome. " + context.conditions(frame["n"]),
        frame,
        {"lang": "Language", "rule": "Rule", "n": "n", "t": "t", "acc": "In sample",
         "cv_acc": "Cross-validated", "majority": "Majority", "gain": "Gain over majority",
         "balanced_accuracy": "Balanced", "reason": "Why empty"},
        {"lang": "lang", "acc": "share", "cv_acc": "share", "majority": "share", "gain": "share",
         "balanced_accuracy": "share"},
        ("gain", True),
    )  # fmt: skip
