"""What is left after the last exposure: retention, kernels and forms."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import LogAxis
from polylore.report.numbers import number_axis
from polylore.studies.inject.context import (
    SHOWN,
    InjectContext,
    in_words,
    order,
    own,
    pair,
    short,
)

OURS, PAPER = "corrected, ratio of means", "published form"
FORMS = {
    "log_linear": "straight in log t", "power": "power", "power_floor": "power with floor",
    "exponential": "exponential", "stretched": "stretched exp.",
    "two_exponentials": "two exponentials",
}  # fmt: skip
_MOST = 12
_CLOCKS = {"": "steps", "_tokens": "tokens", "_sum_lr": "Σ LR"}
"""Ends of the names of columns that hold one lag, by clock."""


def forgetting_page(context: InjectContext) -> Page | None:
    """None without retention."""
    if context.pooled("inject_retention") is None:
        return None
    made = (_retention(context), _kernels(context), _wins(context), _kernel_table(context),
            _decay_table(context))  # fmt: skip
    blocks: list[Block] = [b for b in made if b is not None]
    if context.sparse:
        blocks.insert(0, Prose((_gaps(context),), "caution"))
    lead = (
        "How fast is a gain lost again? The published decay constant mixes the kernel with the "
        "schedule and must not be compared across arms; the decay a of the kernel of a single "
        "exposure can. Every exposure has a gain of its own in that kernel; with one gain for all, "
        "which stands beside it, gains that fall from exposure to exposure look like forgetting."
    )
    return Page("forgetting", "Forgetting", lead, tuple(blocks))


def _gaps(context: InjectContext) -> str:
    """How many states are missing, and which, for the published form needs every one."""
    decay = context.pooled("inject_decay")
    told = ""
    if decay is not None and decay["n_missing"].max():
        row = decay.sort("n_missing", descending=True).row(0, named=True)
        more = ", ..." if row["n_missing"] > len(row["missing"]) else ""
        listed = ", ".join(map(str, row["missing"]))
        told = f" {row['n_missing']} states are missing in {row['arm']}: {listed}{more}."
    return (
        "Not every state was read, so the published retention and decay constant, which need each "
        f"of them, are left out.{told}"
    )


def _retention(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_retention")
    if table is None:
        return None
    names = {"default": OURS, "paper": PAPER}
    frame = (
        table.filter(own() & (pl.col("lag") > 0) & pl.col("preset").is_in(list(names)))
        .drop_nulls("estimate")
        .with_columns(series=pl.col("preset").replace_strict(names, return_dtype=pl.String))
    )
    if not frame.height:
        return None
    axis = LogAxis.over(frame["lag"].to_list())
    frame = _panelled(context, frame).with_columns(axis.place("lag").alias("place"))
    lines = _lines(context, frame)
    panels = frame["panel"].unique(maintain_order=True).to_list()
    there = [n for n in (OURS, PAPER) if n in set(frame["series"])]
    drawn = shapes.lines(
        axis.encode("place", "steps after the last peak"),
        number_axis(frame, "estimate", "share left", "estimate", zero=True, axis=alt.Y),
        {"series": ("", ""), "lag": ("steps", ",d"), "estimate": ("left", ".2f"),
         "lo": ("from", ".2f"), "hi": ("to", ".2f"), "lag_tokens": ("tokens", ".3s"),
         "fit": ("published line", ".2f")},
        series="series", order=there, band=("lo_shown", "hi_shown"),
        reference="fit" if lines["fit"].count() else None,
    )  # fmt: skip
    return Chart(
        "inject-retention",
        "What is left of the gain",
        "Share of the gain at the last peak that is left, against the logarithm of the lag; band: "
        "95 % over items. Dashed: the published straight line through its own curve. Cells whose "
        "gain is not surely different from 0 are left out. "
        + context.said("language of injection"),
        "Small multiples of the share of the gain left, by arm and depth.",
        shapes.panels(drawn, "panel", panels, height=130),
        lines.with_columns(interval("estimate")),
        {"panel": "Arm and depth", "series": "Form", "lag": "Steps", "lag_tokens": "Tokens",
         "lag_sum_lr": "Σ learning rate", "estimate_ci": "Left", "fit": "Published line"},
        {"estimate_ci": "interval.number", "lag_tokens": "tokens"},
        "panels",
    )  # fmt: skip


def _panelled(context: InjectContext, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the panels that fit: one language each arm and depth, then the next language."""
    many = len(context.langs) > 1
    name = pl.format("{}, {}", "arm", "depth")
    frame = frame.with_columns(panel=pl.format("{} ({})", name, "probe_lang") if many else name)
    frame = order(order(frame.sort("probe_lang"), "arm", context.arms), "depth", context.depths)
    first = frame["panel"].unique(maintain_order=True).to_list()[:_MOST]
    low, high = -0.1, 1.3
    return frame.filter(pl.col("panel").is_in(first)).with_columns(
        estimate=pl.col("estimate").clip(low, high),
        lo_shown=pl.col("lo").clip(low, high),
        hi_shown=pl.col("hi").clip(low, high),
    )


def _lines(context: InjectContext, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the published line where there is one."""
    decay = context.pooled("inject_decay")
    if decay is None:
        return frame.with_columns(fit=pl.lit(None, pl.Float64))
    keys = ["arm", "depth", "inject_lang", "probe_lang", "preset"]
    lines = decay.filter(preset="paper").select(*keys, "intercept", slope=pl.col("a"))
    joined = frame.join(lines, on=keys, how="left", maintain_order="left")
    fit = pl.col("intercept") - pl.col("slope") * pl.col("lag").log10()
    return joined.with_columns(fit=fit).drop("slope", "intercept")


def _kernels(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_kernel_curves")
    if table is None:
        return None
    frame = table.filter(own() & (pl.col("lag") > 0))
    many = len(context.langs) > 1
    frame = frame.with_columns(
        panel=pl.format("{} ({})", "depth", "probe_lang") if many else pl.col("depth")
    )
    arms = context.arms[:SHOWN]
    frame = order(order(frame, "arm", arms), "depth", context.depths)
    panels = frame["panel"].unique(maintain_order=True).to_list()[:_MOST]
    frame = frame.filter(pl.col("panel").is_in(panels) & pl.col("arm").is_in(arms))
    if not frame.height:
        return None
    axis = LogAxis.over(frame["lag"].to_list())
    frame = frame.with_columns(axis.place("lag").alias("place"))
    drawn = shapes.lines(
        axis.encode("place", "steps after one exposure"),
        number_axis(frame, "value", "nats per token", "lo", "hi", zero=True, axis=alt.Y),
        {"arm": ("arm", ""), "lag": ("steps", ",d"), "value": ("left of one exposure", ".3f"),
         "lo": ("from", ".3f"), "hi": ("to", ".3f")},
        series="arm", order=arms, band=("lo", "hi"),
    )  # fmt: skip
    return Chart(
        "inject-kernels",
        "The kernel of one exposure",
        "Every exposure is taken to add the same shape: a rise over p steps, then a loss straight "
        "in log t. Fitted to the superposed curve of all exposures, each with a gain of its own; "
        "drawn with the mean of these gains; band: 95 % over items. "
        + context.said("language of injection"),
        "Small multiples of the fitted kernel of one exposure by arm.",
        shapes.panels(drawn, "panel", panels, height=130),
        frame.with_columns(interval("value")),
        {"panel": "Depth", "arm": "Arm", "lag": "Steps", "value_ci": "Left of one exposure"},
        {"value_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _wins(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_forms")
    if table is None:
        return None
    common = table.filter(own(), gains="common")
    frame = table.filter(own(), gains="by_exposure").drop_nulls("win_share")
    if not frame.height:
        return None
    many = len(context.langs) > 1
    label = pl.format("{}, {}", "arm", "depth")
    frame = frame.with_columns(
        label=pl.format("{} ({})", label, "probe_lang") if many else label,
        name=pl.col("form").replace_strict(FORMS, default=pl.col("form"), return_dtype=pl.String),
    )
    frame = order(order(frame, "depth", context.depths), "arm", context.arms)
    names = frame["label"].unique(maintain_order=True).to_list()[:24]
    frame = frame.filter(pl.col("label").is_in(names)).with_columns(
        mark=pl.when(pl.col("win_share") >= 0.005).then(
            (pl.col("win_share") * 100).round(0).cast(pl.Int64).cast(pl.String)
        )
    )
    spec = shapes.heat_map(
        alt.X("name:N", sort=list(FORMS.values()), title=None, axis=alt.Axis(labelAngle=-30)),
        alt.Y("label:N", sort=names, title=None, axis=alt.Axis(labelLimit=260)),
        "win_share", "share of resamples won",
        {"label": ("", ""), "name": ("form", ""), "win_share": ("won", ".0%"),
         "aicc": ("AICc on the data", ".1f"), "holdout_error": ("error on later lags", ".4f"),
         "verdict": ("verdict", "")},
        rows_count=len(names),
    )  # fmt: skip
    return Chart(
        "inject-forms",
        "Which form of forgetting wins",
        "Share of item resamples in which a form has the best AICc. A form counts as found only "
        "if it wins in 90 % of them; a high R² on the data proves nothing. With every form, every "
        "exposure has a gain of its own. Cells whose residuals leave fewer than 20 effective "
        "points, and one more for every further exposure, are left out. " + _one_gain(common)
        + context.said("language of injection"),
        "Heat map of how often each form of forgetting wins, by arm and depth.",
        spec,
        frame,
        {"arm": "Arm", "depth": "Depth", "probe_lang": "Language", "name": "Form",
         "win_share": "Won", "aicc": "AICc", "n_eff": "Effective points",
         "holdout_error": "Error on later lags", "verdict": "Verdict"},
        {"win_share": "share"},
    )  # fmt: skip


def _kernel_table(context: InjectContext) -> TableView | None:
    table = context.pooled("inject_kernels")
    if table is None:
        return None

    keys = ["run_id", "arm", "depth", "inject_lang", "probe_lang"]
    common = table.filter(gains="common").with_columns(interval("a").alias("common_ci"))
    frame = (
        context.ordered(table.filter(gains="by_exposure"))
        .join(common.select(*keys, "common_ci"), on=keys, how="left", maintain_order="left")
        .with_columns(
            pair(),
            interval("gain_at_peak", "gain_lo", "gain_hi").alias("gain_ci"),
            interval("a"),
            interval("above", "above_lo", "above_hi").alias("above_ci"),
            why=in_words(),
        )
    )
    frame = frame.with_columns(
        pl.Series(f"{name}{clock}_said", _reaches(frame, name, clock), pl.String)
        for name in ("half_life", "zero")
        for clock in _CLOCKS
    )
    return TableView(
        "inject-kernels-table",
        "Kernels",
        "a: share of the peak lost per factor of ten in steps; unlike the published constant it "
        "can be compared between schedules. It is fitted together with a gain for every exposure; "
        "a, one gain: the same with one gain for all, which takes gains that fall for forgetting; "
        "difference: the first minus the second. a is left empty where no gain is surely above 0, "
        "or where more than 2.5 % of the resamples end at -1 or 2. Half-life and zero beyond the "
        "longest lag observed are said as later than it, never as a number; in brackets where the "
        "interval of a puts them. By three clocks: steps, tokens, learning rates summed.",
        frame,
        {"arm": "Arm", "depth": "Depth", "pair": "Told → asked", "gain_ci": "Gain at peak",
         "a_ci": "a", "common_ci": "a, one gain", "above_ci": "Difference",
         "p": "Rise, steps", **_clocked("half_life", "Half-life"), **_clocked("zero", "Zero"),
         "residual_ac1": "Residual autocorrelation", "n_items": "Items", "why": "Remark"},
        dict.fromkeys(("gain_ci", "a_ci", "common_ci", "above_ci"), "interval.number"),
    )  # fmt: skip


def _clocked(name: str, label: str) -> dict[str, str]:
    """A lag by each clock."""
    return {f"{name}{clock}_said": f"{label}, {words}" for clock, words in _CLOCKS.items()}


def _told(value: float, clock: str) -> str:
    return f"{value:.3g}" if clock == "_sum_lr" else short(value)


def _reaches(frame: pl.DataFrame, name: str, clock: str) -> list[str | None]:
    """Half-life or zero of kernels by a clock, with its interval; "> lag" beyond what was read."""
    found: list[str | None] = []
    for row in frame.iter_rows(named=True):
        longest = row[f"observed{clock}"]
        if row["a"] is None or longest is None:
            found.append(None)
            continue
        ends = [row[f"{part}{clock}"] for part in (name, f"{name}_lo", f"{name}_hi")]
        said = [f"> {_told(longest, clock)}" if v is None else _told(v, clock) for v in ends]
        between = row["lo"] is not None and len(set(said)) > 1
        found.append(f"{said[0]} [{said[1]}, {said[2]}]" if between else said[0])
    return found


def _lines_reach(frame: pl.DataFrame, clock: str) -> list[str | None]:
    """Half-life of published lines by a clock; "> lag" beyond the horizon."""
    found: list[str | None] = []
    for row in frame.iter_rows(named=True):
        value = row[f"horizon{clock}"] if row["censored"] else row[f"half_life{clock}"]
        later = "> " if row["censored"] else ""
        found.append(None if row["a"] is None or value is None else later + _told(value, clock))
    return found


def _decay_table(context: InjectContext) -> TableView | None:
    table = context.pooled("inject_decay")
    if table is None or not table["a"].count():
        return None
    frame = context.ordered(table).with_columns(pair(), interval("a"), why=in_words())
    frame = frame.with_columns(
        pl.Series(f"half_life{clock}_said", _lines_reach(frame, clock), pl.String)
        for clock in _CLOCKS
    )
    return TableView(
        "inject-decay-table",
        "Published decay constants",
        "Straight line of mean retainability on log10 of the lag. Its least-squares error takes "
        "the points of one averaged curve for independent; the interval resamples items. The "
        "constant depends on the schedule: compare it within an arm only. Half-lives by three "
        "clocks: steps, tokens, learning rates summed.",
        frame,
        {"arm": "Arm", "depth": "Depth", "pair": "Told → asked", "preset": "Form", "a_ci": "a",
         "naive_se": "Least-squares error", "r2": "R²", "x_intercept_log10": "log10 zero, steps",
         "x_intercept_tokens_log10": "log10 zero, tokens", **_clocked("half_life", "Half-life"),
         "horizon": "Longest lag", "n_items": "Items", "why": "Remark"},
        {"a_ci": "interval.number"},
    )  # fmt: skip


def _one_gain(rows: pl.DataFrame) -> str:
    """What the comparison with one gain for all exposures, the specification's own, finds."""
    found = rows.unique(["arm", "depth", "inject_lang", "probe_lang"])["verdict"]
    counts = found.value_counts(sort=True).sort("count", "verdict", descending=[True, False])
    said = ", ".join(
        f"{FORMS.get(verdict, verdict.replace('_', ' '))} in {n}"
        for verdict, n in counts.iter_rows()
    )
    if not said:
        return ""
    return (
        f"With one gain for all exposures (in the table `inject_forms`): {said} of {len(found)}. "
    )
