"""Labels against the truth: precision, recall and AUC, confusion, calibration, missed matches."""

from typing import Any

import altair as alt
import polars as pl

from polylore.report import Block, Chart, interval, shapes
from polylore.report.axes import rows as source
from polylore.report.axes import share
from polylore.studies.trace.context import Context, percent, with_interval
from polylore.studies.trace.sections.referee.rows import (
    BEST,
    LABELS,
    LEVELS,
    METHODS,
    TRANSFER,
    conditions,
    judged,
)


def label_blocks(context: Context, rows: pl.DataFrame) -> list[Block]:
    """Every figure about labels that the run's tables allow; `rows`: table of scores."""
    made: list[Block | None] = [
        _score(context, rows, "precision", "Called transfer: how often true?",
               "Share of cells with the label that truly came by transfer."),
        _score(context, rows, "recall", "True transfer: how often found?",
               "Share of true transfers that carry the label."),
        _score(context, rows, "auc", "Evidence for transfer, true transfers above others?",
               "AUC of the evidence for transfer among right answers; 0.5 tells nothing."),
        _deleted(context, rows),
        *(_confusion(context, method) for method in METHODS),
        _reliability(context),
    ]  # fmt: skip
    return [block for block in made if block is not None]


def _score(
    context: Context, rows: pl.DataFrame, column: str, title: str, words: str
) -> Chart | None:
    frame = (
        rows.filter(
            (pl.col("lang") == "all")
            & (pl.col("label") == TRANSFER)
            & pl.col("info_level").is_in(list(LEVELS))
        )
        .drop_nulls(column)
        .select(
            "matcher", "n", "n_truth", "n_label", "tp", "info_level",
            told=pl.col("info_level").replace_strict(LEVELS, return_dtype=pl.String),
            series=pl.col("method").replace_strict(METHODS, return_dtype=pl.String),
            value=column, lo=f"{column}_lo", hi=f"{column}_hi",
        )
    )  # fmt: skip
    if not frame.height:
        return None
    number = column == "auc"
    form = ".3f" if number else ".1%"
    x = (
        alt.X("value:Q", title="AUC", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5))
        if number
        else share("value", column)
    )
    spec = shapes.dots(
        x,
        "told",
        [w for w in LEVELS.values() if w in set(frame["told"])],
        {"told": ("told", ""), "series": ("method", ""), "value": (column, form),
         "lo": ("from", form), "hi": ("to", form), "n_truth": ("true", ","),
         "n_label": ("labelled", ",")},
        series="series",
        series_order=[w for w in METHODS.values() if w in set(frame["series"])],
        rule=0.5 if number else None,
    )  # fmt: skip
    return Chart(
        f"referee-{column}",
        title,
        f"{words} Rows: what the method was told. {conditions(context, frame)}",
        f"Dot plot of {column} of the label transfer by what the method was told: "
        + "; ".join(
            f"{r['told']}, {r['series']} "
            + (f"{r['value']:.2f}" if number else with_interval(r["value"], r["lo"], r["hi"]))
            for r in frame.iter_rows(named=True)
        )
        + ".",
        spec,
        frame.with_columns(interval("value")),
        {"told": "Told", "series": "Method", "n_truth": "True", "n_label": "Labelled",
         "tp": "Both", "value_ci": column.capitalize() if not number else "AUC"},
        {"value_ci": "interval.number" if number else "interval"},
        "half",
    )  # fmt: skip


def _deleted(context: Context, rows: pl.DataFrame) -> Chart | None:
    """What missed matches do to the evidence."""
    kept = rows.filter(
        (pl.col("lang") == "all")
        & (pl.col("label") == TRANSFER)
        & pl.col("info_level").str.contains("^L[13]")
    ).drop_nulls("auc")
    frame = kept.select(
        "matcher", "n", "auc", "auc_lo", "auc_hi", "precision",
        deleted=pl.col("info_level").str.slice(3).replace("", "0").cast(pl.Float64),
        series=pl.col("method").replace("paper", "threshold")
        + pl.lit(", ")
        + pl.col("info_level").str.head(2).replace_strict({"L1": "strings", "L3": "exact"}),
    )  # fmt: skip
    if frame["deleted"].n_unique() < 2:
        return None
    layers = shapes.lines(
        alt.X("deleted:Q", title="share of matches deleted",
              axis=alt.Axis(format=".0%", values=[0, 0.1, 0.3, 0.5])),
        alt.Y("auc:Q", title="AUC", scale=alt.Scale(zero=False)),
        {"series": ("", ""), "deleted": ("deleted", ".0%"), "auc": ("AUC", ".3f"),
         "auc_lo": ("from", ".3f"), "auc_hi": ("to", ".3f"), "precision": ("precision", ".1%")},
        series="series",
        order=sorted(set(frame["series"])),
    )  # fmt: skip
    return Chart(
        "referee-deleted",
        "If counting misses matches",
        "AUC of the evidence for transfer when a share of all matches is deleted at random, as "
        "inflected names are missed. Strings: counted in documents of any language; exact: in its "
        f"own, up to the checkpoint. {conditions(context, frame)}",
        "Line chart of the AUC over the share of matches deleted, one line per method and count.",
        shapes.single(layers),
        frame.with_columns(interval("auc", "auc_lo", "auc_hi")),
        {"series": "Method and count", "deleted": "Deleted", "auc_ci": "AUC",
         "precision": "Precision"},
        {"deleted": "share", "auc_ci": "interval.number", "precision": "share"},
        "half",
    )  # fmt: skip


def _confusion(context: Context, method: str) -> Chart | None:
    rows = judged(context, "truth_confusion")
    if rows is None:
        return None
    kept = rows.filter(
        (pl.col("lang") == "all") & (pl.col("method") == method) & (pl.col("info_level") == BEST)
    )
    size = pl.col("n").sum().over("truth")
    frame = (
        kept.with_columns(total=size, share=pl.col("n") / size)
        .filter(pl.col("total") > 0)
        .select(
            "matcher", "n", "share", "total",
            truth=pl.col("truth").replace_strict(LABELS, return_dtype=pl.String),
            label=pl.col("label").replace_strict(LABELS, return_dtype=pl.String),
        )
    )  # fmt: skip
    if not frame.height:
        return None
    order = list(LABELS.values())
    spec = shapes.heat_map(
        alt.X("label:N", sort=order, title="label", axis=alt.Axis(labelAngle=-30)),
        alt.Y("truth:N", sort=order, title="truth"),
        "share",
        "share of the truth's cells",
        {"truth": ("truth", ""), "label": ("label", ""), "n": ("cells", ","),
         "share": ("share", ".1%"), "total": ("of", ",")},
        rows_count=frame["truth"].n_unique(),
        row=26,
    )  # fmt: skip
    right = frame.filter(pl.col("truth") == pl.col("label"))
    return Chart(
        f"referee-confusion-{method}",
        f"Truth and label: {METHODS[method]}",
        "Rows: what is true; columns: the label, told counts up to the checkpoint. Each row adds "
        f"up to all cells of that truth. {conditions(context, frame, 'total')}",
        "Heat map of labels by truth. On the diagonal: "
        + ", ".join(f"{r['truth']} {percent(r['share'])}" for r in right.iter_rows(named=True))
        + ".",
        spec,
        frame,
        {"truth": "Truth", "label": "Label", "n": "Cells", "share": "Share"},
        {"share": "share"},
        "half",
    )


def _reliability(context: Context) -> Chart | None:
    rows = judged(context, "reliability")
    if rows is None:
        return None
    frame = rows.filter((pl.col("lang") == "all") & (pl.col("info_level") == BEST)).select(
        "matcher", "n", "evidence", "truth", "lo", "hi"
    )
    if frame.height < 2:
        return None
    tips: dict[str, tuple[str, str]] = {
        "evidence": ("evidence", ".2f"), "truth": ("true", ".1%"), "lo": ("from", ".1%"),
        "hi": ("to", ".1%"), "n": ("cells", ","),
    }  # fmt: skip
    x = share("evidence", "evidence for transfer")
    y = share("truth", "truly transfer", axis=alt.Y)
    bar: Any = alt.Chart(source()).mark_rule(strokeWidth=2, opacity=0.5)
    even: Any = alt.Chart(source()).mark_line(style="reference")
    layers = [
        even.encode(x=x, y=alt.Y("evidence:Q")),
        bar.encode(x=x, y=alt.Y("lo:Q"), y2="hi"),
        *shapes.lines(x, y, tips),
    ]
    return Chart(
        "referee-reliability",
        "Is the evidence as good as it says?",
        "Right answers in bins of the evidence for transfer; height: share that truly came by "
        "transfer. On the dashed line evidence is a probability. The truth calls all that was told "
        "in the language even once known by frequency, though transfer may have helped. "
        f"{conditions(context, frame)}",
        "Line of the share of true transfers over the evidence for transfer: "
        + ", ".join(
            f"{r['evidence']:.2f} {percent(r['truth'])}" for r in frame.iter_rows(named=True)
        )
        + ".",
        shapes.single(layers),
        frame.with_columns(interval("truth")),
        {"evidence": "Evidence", "truth_ci": "True", "n": "Cells"},
        {"truth_ci": "interval"},
        "half",
    )
