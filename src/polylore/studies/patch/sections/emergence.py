"""When in training the spaces emerged, and how language pairs differ at the end."""

from typing import Any

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import LogAxis, upper
from polylore.report.axes import rows as plotted_rows
from polylore.report.languages import ALL
from polylore.studies.patch.context import (
    BAR,
    METRICS,
    ONE_RUN,
    SUMMARIES,
    PatchContext,
    with_pairs,
    with_words,
)

_SEEN = "seen-random_concept"
_AGAINST = (
    "Vectors minus another concept's, the source prompt minus the target prompt, both unpatched"
)
_KINDS = {"E1": "above the floor", "E2": "half of its final value"}


def emergence_page(context: PatchContext) -> Page | None:
    """None without contrasts."""
    contrasts = context.table("patch_contrasts")
    if contrasts is None:
        return None
    blocks: list[Block] = [Prose((ONE_RUN, _first(context)), "caution")]
    if context.trajectory:
        blocks += [b for b in (_curves(context, contrasts), _times(context)) if b is not None]
    forest = _forest(context, contrasts)
    blocks += [b for b in (forest, _table(context)) if b is not None]
    lead = "Since when does a concept's vector name it, and is the shared one early or late?"
    return Page("emergence", "Since when", lead, tuple(blocks))


def _first(context: PatchContext) -> str:
    row = context.checkpoints.row(0, named=True)
    if row[context.axis_column] == 0:
        return "The first checkpoint is untrained: nothing that was learned can come before it."
    return (
        f"The first checkpoint is {row['ckpt_id']}, at {row['label']} {context.axis_title}: what "
        "was there by then is censored on the left, and “early” says no more than that."
    )


def _curves(context: PatchContext, contrasts: pl.DataFrame) -> Chart | None:
    emergence = context.table("patch_emergence")
    if emergence is None:
        return None
    dated = emergence["contrast"].unique(maintain_order=True).to_list()
    rows = context.here(contrasts).filter(
        pl.col("contrast").is_in(dated) & pl.col("at").is_in(["best_crossfit", "unpatched"])
    )
    if not rows.height:
        return None
    frame = context.placed(_named(rows, "line"))
    layers = shapes.lines(
        context.axis.encode("x", context.axis_title),
        _difference(frame, "sim_lo", "sim_hi", axis=alt.Y),
        {"line": ("", ""), "label": (context.axis_title, ""), "mean": ("difference", ".3f"),
         "sim_lo": ("from", ".3f"), "sim_hi": ("to", ".3f"), "n_items": ("items", ",")},
        series="line",
        order=frame["line"].unique(maintain_order=True).to_list(),
        band=("sim_lo", "sim_hi"),
    )  # fmt: skip
    layers += _phases(context)
    return Chart(
        "patch-emergence",
        "How the spaces grew",
        f"{_AGAINST}; best onset, cross-fitted. Band: "
        "95 %, simultaneous over checkpoints. Upright line: a new phase of training. "
        + context.conditions(frame["n_items"]),
        "Lines of differences in probability over training, one per vector.",
        shapes.single(layers),
        frame.with_columns(interval("mean", "sim_lo", "sim_hi")),
        {"line": "What", "contrast": "Difference",
         "label": context.axis_title.capitalize(), "n_items": "n",
         "mean_ci": "Mean, simultaneous"},
        {"mean_ci": "interval"},
        "wide",
    )  # fmt: skip


def _difference(frame: pl.DataFrame, lo: str, hi: str, *, axis: Any = alt.X) -> Any:
    """The axis of differences: never so short that noise around zero fills it."""
    low = float(frame.select(pl.min_horizontal(pl.col("mean", lo).min(), 0.0)).item())
    return axis(
        "mean:Q",
        title="difference in probability",
        scale=alt.Scale(domain=[low if low < -BAR else -BAR, upper(frame, "mean", hi)], nice=False),
        axis=alt.Axis(format=".2f", tickCount=5),
    )  # fmt: skip


def _phases(context: PatchContext) -> list[alt.Chart]:
    """A rule where a phase of training begins."""
    places = context.checkpoints.with_columns(x=context.axis.place(context.axis_column))
    begins = places.filter(
        (pl.col("stage") != pl.col("stage").shift(1)).fill_null(False)
    )["x"].to_list()  # fmt: skip
    chart = alt.Chart(plotted_rows()).mark_rule(style="reference")
    return [chart.encode(x=alt.datum(x)) for x in begins if x is not None]


def _named(frame: pl.DataFrame, target: str) -> pl.DataFrame:
    """Contrasts by their first side: a label has little room, the caption names the control."""
    first = frame.with_columns(first=pl.col("contrast").str.split("-").list.first())
    return with_words(first, "first", target)


def _times(context: PatchContext) -> Chart | None:
    emergence = context.table("patch_emergence")
    if emergence is None or context.axis_column != "tokens":
        return None
    rows = context.here(emergence).filter(
        pl.col("at").is_in(["best_crossfit", "unpatched"]) & (pl.col("censor") != "undefined")
    )
    if not rows.height:
        return None
    # Bars that are censored on the left begin at zero, checkpoint or not.
    axis = LogAxis.over([0, *context.checkpoints["tokens"]])
    frame = _named(rows, "row").with_columns(
        series=pl.col("kind").replace_strict(_KINDS, return_dtype=pl.String),
        x=axis.place("point"),
        x_lo=axis.place("lo_tokens"),
        # Never is drawn as a stub beyond the last checkpoint.
        x_hi=pl.coalesce(
            axis.place("hi_tokens"), pl.lit(axis.high + 0.03 * (axis.high - axis.zero))
        ),
    )
    spec = shapes.dots(
        axis.encode("x", context.axis_title),
        "row",
        frame["row"].unique(maintain_order=True).to_list(),
        {"row": ("", ""), "series": ("", ""), "censor": ("censored", ""),
         "lo_tokens": ("after", ".3s"), "hi_tokens": ("by", ".3s"), "point": ("point", ".3s")},
        series="series",
        series_order=[_KINDS[k] for k in _KINDS if k in set(rows["kind"])],
        interval=("x_lo", "x_hi"),
    )  # fmt: skip
    return Chart(
        "patch-times",
        "When each emerged",
        "Bar: between these checkpoints; dot: interpolated on the log axis. A bar that begins at "
        "the left end was there at the first checkpoint, one behind the last has not come yet. "
        f"{_AGAINST}; best onset, cross-fitted. Two are in order only if their bars are apart. "
        f"{ONE_RUN}",
        "Intervals of training in which each difference emerged.",
        spec,
        frame,
        {"row": "What", "contrast": "Difference", "series": "Mark", "censor": "Censored",
         "lo_tokens": "After",
         "hi_tokens": "By", "point": "Point"},
        {"lo_tokens": "tokens", "hi_tokens": "tokens", "point": "tokens"},
        "half",
    )  # fmt: skip


def _forest(context: PatchContext, contrasts: pl.DataFrame) -> Chart | None:
    rows = context.at_end(contrasts).filter(
        (pl.col("contrast") == _SEEN)
        & (pl.col("at") == "best_crossfit")
        & (pl.col("metric") == context.metric)
        & (pl.col("subset") == "full")
        & (pl.col("intervention") == context.interventions[0])
    )
    if not rows.height:
        return None
    both = pl.col("lang_a").is_in(context.seen) & pl.col("lang_b").is_in(context.seen)
    words = ("both languages read in training", "one of them not", "several pairs")
    frame = with_pairs(rows).with_columns(
        series=pl.when(pl.col("lang_a") == ALL)
        .then(pl.lit(words[2]))
        .when(both)
        .then(pl.lit(words[0]))
        .otherwise(pl.lit(words[1]))
    )
    frame = frame.sort(pl.col("lang_a") == ALL, "mean", descending=[False, True])
    spec = shapes.dots(
        _difference(frame, "lo", "hi"),
        "languages",
        frame["languages"].to_list(),
        {"languages": ("languages", ""), "mean": ("difference", ".3f"), "lo": ("from", ".3f"),
         "hi": ("to", ".3f"), "n_items": ("items", ",")},
        series="series" if context.seen else None,
        series_order=[w for w in words if w in set(frame["series"])] if context.seen else (),
        rule=0,
    )  # fmt: skip
    shown = {"languages": "Languages", "n_items": "n", "mean_ci": "Difference"}
    return Chart(
        "patch-pairs",
        "Language pairs at the end",
        "Mean over other languages minus another concept's vector at the last checkpoint; best "
        "onset, cross-fitted. Pools of pairs stand last. " + context.conditions(frame["n_items"]),
        "Dot plot of the difference by language pair.",
        spec,
        frame.with_columns(interval("mean")),
        shown | ({"series": "Languages read"} if context.seen else {}),
        {"mean_ci": "interval"},
        "half",
    )


def _table(context: PatchContext) -> TableView | None:
    emergence = context.table("patch_emergence")
    if emergence is None:
        return None
    rows = emergence.filter(pl.col("at").is_in([*SUMMARIES, "unpatched"]))
    frame = with_pairs(with_words(rows, "contrast", "words")).with_columns(
        how=pl.col("at").replace(SUMMARIES),
        measure=pl.col("metric").replace(METRICS),
        mark=pl.col("kind") + ", " + pl.col("kind").replace(_KINDS),
    )
    return TableView(
        "patch-emergence-table",
        "All times",
        "Both marks, all measures, all and clean items. Shares of bootstrap draws that are "
        "censored on the left and on the right stand beside the interval of the draws. "
        f"{ONE_RUN} Every single onset is in the run folder.",
        frame,
        {"words": "Difference", "languages": "Languages", "how": "Onset", "measure": "Measure",
         "subset": "Items", "mark": "Mark", "censor": "Censored", "lo_tokens": "After",
         "hi_tokens": "By", "point": "Point", "boot_lo": "Draws from", "boot_hi": "to",
         "p_left": "Left", "p_right": "Right"},
        {"lo_tokens": "tokens", "hi_tokens": "tokens", "point": "tokens", "boot_lo": "tokens",
         "boot_hi": "tokens", "p_left": "share", "p_right": "share"},
    )  # fmt: skip
