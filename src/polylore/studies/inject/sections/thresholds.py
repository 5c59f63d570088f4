"""Do exposures still accumulate when they come further apart? The measured threshold."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.axes import LogAxis
from polylore.report.numbers import number_axis
from polylore.studies.inject.context import SHOWN, InjectContext, order, own, pair

MEASURED, PREDICTED = "measured", "by the kernel"
UNDETERMINED = "undetermined"


def threshold_page(context: InjectContext) -> Page | None:
    """None without arms that share one interval between exposures."""
    table = context.table("inject_threshold")
    if table is None:
        return None
    blocks: list[Block] = [b for b in (_kappa(context, table), _brackets(context)) if b is not None]
    blocks.append(_table(context.ordered(table)))
    lead = (
        "At which interval between exposures does a fact stop accumulating? Measured by arms of "
        "different intervals, from readings right before an exposure alone; the published "
        "x-intercept, an extrapolation, stands beside."
    )
    return Page("threshold", "Learnability threshold", lead, tuple(blocks))


def _kappa(context: InjectContext, table: pl.DataFrame) -> Chart | None:
    frame = table.filter(own()).drop_nulls("kappa")
    swept = frame.filter(pl.col("arm").str.starts_with("interval"))
    frame = swept if swept.height else frame
    if not frame.height:
        return None
    axis = LogAxis.over(frame["interval"].to_list())
    frame = frame.with_columns(
        axis.place("interval").alias("place"),
        panel=pl.format("{} ({})", "depth", "probe_lang"),
        series=pl.lit(MEASURED) if swept.height else pl.col("arm"),
    )
    frame = order(frame.sort("probe_lang", "interval"), "depth", context.depths)
    panels = frame["panel"].unique(maintain_order=True).to_list()[:12]
    frame = frame.filter(pl.col("panel").is_in(panels))
    series = frame["series"].unique(maintain_order=True).to_list()[:SHOWN]
    drawn = shapes.lines(
        axis.encode("place", "steps between exposures"),
        number_axis(frame, "kappa", "accumulation factor κ", "kappa_lo", "kappa_hi",
                    "kappa_predicted", zero=True, axis=alt.Y),
        {"interval": ("steps", ",d"), "kappa": ("κ", ".2f"), "kappa_lo": ("from", ".2f"),
         "kappa_hi": ("to", ".2f"), "kappa_predicted": (PREDICTED, ".2f"),
         "verdict": ("verdict", "")},
        series="series", order=series, band=("kappa_lo", "kappa_hi"), reference="kappa_predicted",
    )  # fmt: skip
    conditions = ", ".join(frame["run_id"].unique(maintain_order=True).to_list())
    return Chart(
        "inject-kappa",
        "Accumulation by interval between exposures",
        "κ = what all exposures left one interval after the last one, over what the first one "
        "left one interval after it: 1 if only the last exposure counts, the number of exposures "
        "if nothing fades. Solid: measured, band 95 % over items. Dashed: predicted by the fitted "
        f"kernel. Condition {conditions}; language of injection.",
        "Small multiples of the accumulation factor against the interval between exposures.",
        shapes.panels(drawn, "panel", panels, height=140),
        frame.with_columns(interval("kappa", "kappa_lo", "kappa_hi")),
        {"panel": "Depth", "arm": "Arm", "interval": "Interval", "kappa_ci": "κ",
         "kappa_predicted": "κ by the kernel", "verdict": "Verdict"},
        {"kappa_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def bracket_words() -> pl.Expr:
    """The bracket of a threshold as people say it."""
    lo, hi = pl.col("bracket_lo"), pl.col("bracket_hi")
    return (
        pl.when(pl.col("censored") == "none")
        .then(pl.format("{} to {}", lo, hi))
        .when(pl.col("censored") == "right")
        .then(pl.format("> {}", lo))
        .when(pl.col("censored") == "left")
        .then(pl.format("< {}", hi))
        .otherwise(pl.lit(UNDETERMINED))
        .alias("bracket")
    )


def _brackets(context: InjectContext) -> TableView | None:
    table = context.table("inject_brackets")
    if table is None:
        return None
    frame = context.ordered(table).with_columns(
        pair(),
        bracket_words(),
        monotone=pl.when("monotone").then(pl.lit("yes")).otherwise(pl.lit("no")),
    )
    return TableView(
        "inject-brackets",
        "Measured thresholds",
        "Between which intervals facts stop accumulating. An open bracket says that the sweep did "
        "not reach the threshold. By three clocks: steps, tokens, learning rates summed.",
        frame,
        {"run_id": "Condition", "depth": "Depth", "pair": "Told → asked", "bracket": "Threshold, "
         "steps", "tokens_lo": "Tokens, from", "tokens_hi": "to", "sum_lr_lo": "Σ LR, from",
         "sum_lr_hi": "to", "x_intercept": "x-intercept, steps",
         "x_intercept_tokens": "x-intercept, tokens", "monotone": "Monotone"},
        {"tokens_lo": "tokens", "tokens_hi": "tokens", "x_intercept_tokens": "tokens",
         "x_intercept": "number"},
    )  # fmt: skip


def _table(table: pl.DataFrame) -> TableView:
    frame = table.with_columns(
        pair(),
        interval("difference"),
        interval("kappa", "kappa_lo", "kappa_hi"),
        rise=pl.when("within_rise").then(pl.lit("within the rise: left out")),
    )
    return TableView(
        "inject-threshold-table",
        "What exposures leave, by interval",
        "S: left of one exposure after an interval; A: left of all of them an interval after the "
        "last. accumulates: the interval of A − S lies above 0; lost: A surely below a tenth of "
        "the mean gain; plateau: A surely above 0 and A − S surely below that tenth.",
        frame,
        {"run_id": "Condition", "arm": "Arm", "depth": "Depth", "pair": "Told → asked",
         "interval": "Interval", "lag_tokens": "in tokens", "lag_sum_lr": "in Σ LR", "S": "S",
         "A": "A", "difference_ci": "A − S", "kappa_ci": "κ", "kappa_predicted": "κ by the kernel",
         "verdict": "Verdict", "rise": "Remark", "n_items": "Items"},
        {"difference_ci": "interval.number", "kappa_ci": "interval.number",
         "lag_tokens": "tokens"},
    )  # fmt: skip
