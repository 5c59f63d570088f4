"""How a condition gets there: recall, transfer, unification and losses over training."""

from typing import Literal

import altair as alt
import polars as pl

from polylore.metrics.unification import mean_over_seeds
from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.axes import rows
from polylore.report.numbers import ends, number_axis
from polylore.report.squares import marked, squares
from polylore.studies.unify.context import PANELS, UnifyContext

MARKS = {
    "t_stat": "shares of values",
    "t_cond": "shares by language",
    "t_lang": "own values preferred",
    "t_probe": "language readable",
    "dip": "deepest separation",
    "t_unify": "halfway up to final U",
    "t_know": "half of facts recalled",
    "t_transfer": "half of X right",
    "t_transfer_half": "half of final acc_X",
    "anti_transfer": "X below half of chance",
}
"""Marks of learning in words."""
_SHORT = {"dip": "dip", "t_unify": "unify", "t_know": "know", "t_transfer": "transfer"}
_LINES = {
    "acc_train": "training cells", "acc_x": "held-out cells X", "u_norm": "U_norm, answer",
    "u_subject": "U_diff, subject", "probe": "language probe",
}  # fmt: skip
_LOSSES = {
    "loss_train": "training cells", "loss_x": "held-out cells X",
    "loss_uniform": "no knowledge, H(V|r)", "loss_language": "knowing only the language",
}  # fmt: skip
_FEWEST = 3
"""Steps with a score that make a course of it."""
_TIPS = {
    "condition": ("condition", ""),
    "series": ("", ""),
    "step": ("step", ","),
    "value": ("mean", ".3f"),
    "lo": ("from", ".3f"),
    "hi": ("to", ".3f"),
}


def course_page(context: UnifyContext) -> Page | None:
    """None if the runs were evaluated at their ends only."""
    if context.course["step"].n_unique() < _FEWEST:
        return None
    few = context.few(PANELS)
    blocks: list[Block] = []
    if len(few) < context.conditions.height:
        blocks.append(Prose((f"The {len(few)} conditions shown span the accuracy on held-out "
                             f"cells of all {context.conditions.height}.",)))  # fmt: skip
    blocks.append(_course(context, few))
    blocks.append(_losses(context, few))
    blocks += [b for b in (_marks(context, few), _layers(context, few)) if b is not None]
    blocks += [b for b in (_lags(context),) if b is not None]
    lead = "When are facts recalled, when do languages part, and when do they come together?"
    return Page("course", "Over training", lead, tuple(blocks))


def _over_seeds(frame: pl.DataFrame, columns: dict[str, str]) -> pl.DataFrame:
    """Mean and interval over seeds of each column, by condition and step, as rows of a series."""
    found = []
    for (condition, step), own in frame.group_by(["condition", "step"], maintain_order=True):
        for column, words in columns.items():
            values = own[column].cast(pl.Float64).drop_nulls().drop_nans().to_list()
            if values:
                e = mean_over_seeds(values)
                known = e.lo == e.lo
                found.append((condition, step, words, e.value, e.lo if known else None,
                              e.hi if known else None))  # fmt: skip
    schema = {"condition": pl.String, "step": pl.Int64, "series": pl.String, "value": pl.Float64,
              "lo": pl.Float64, "hi": pl.Float64}  # fmt: skip
    return pl.DataFrame(found, schema=schema, orient="row").sort("condition", "series", "step")


def _courses(context: UnifyContext, few: list[str]) -> pl.DataFrame:
    frame = context.course.filter(pl.col("condition").is_in(few))
    scores = context.headline().select("run_hash", "step", u_norm=_shown("u_norm"))
    subject = context.subject().select("run_hash", "step", u_subject=_shown("u_diff"))
    probe = context.probes().select("run_hash", "step", probe="acc")
    for part in (scores, subject, probe):
        # A line from the first evaluation to the last would show what nobody measured.
        if part["step"].n_unique() >= _FEWEST:
            frame = frame.join(part, on=["run_hash", "step"], how="left", maintain_order="left")
    there = {c: words for c, words in _LINES.items() if c in frame.columns}
    return _over_seeds(frame, there)


def _shown(name: str) -> pl.Expr:
    return pl.when(~pl.col("trivial")).then(name)


def _course(context: UnifyContext, few: list[str]) -> Chart:
    frame = _courses(context, few)
    low, high = ends(frame, "value", "lo", "hi")
    low, high = min(low, 0.0), max(high, 1.0)
    order = [w for w in _LINES.values() if w in set(frame["series"])]
    last = float(frame["step"].max())  # type: ignore[arg-type]
    flags = _flags(context, few, last, high).with_columns(floor=pl.lit(low - 0.03))
    top = high + 0.12 * (int(flags["level"].max()) + 1 if flags.height else 0)  # type: ignore[arg-type]
    values = [v for v in (-1.0, -0.5, 0.0, 0.5, 1.0) if low <= v <= high]
    layers = shapes.lines(
        alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4, format="~s")),
        alt.Y("value:Q", title=None, axis=alt.Axis(values=values, format="~g"),
              scale=alt.Scale(domain=[low - 0.03, top], nice=False, zero=False)),
        _TIPS, series="series", order=order, band=("lo", "hi"),
    )  # fmt: skip
    layers = [*_flag_layers(), *layers]
    return Chart(
        "unify-course",
        "Recall, transfer, unification and probe",
        "Shares and scores on one scale; band: 95 % over seeds. Dashed: mean step over seeds of "
        "the deepest separation (dip), of half the way from there to the final U_diff (unify), of "
        "half of the training cells recalled (know), of half of the held-out cells right "
        "(transfer). The probe reads the language off the last hidden state at the answer; an "
        "untrained network already passes where a tag stands in the prompt. U_norm: last hidden "
        "state, answer position; U_diff: last hidden state, last name token. "
        + context.said(of=few),
        "Small multiples of recall, transfer, unification and probe over training steps.",
        shapes.panels(layers, "condition", few, height=190),
        pl.concat([frame, flags], how="diagonal").with_columns(interval("value")),
        {"condition": "Condition", "series": "Series", "step": "Step", "value_ci": "Mean",
         "mark": "Mark", "at": "At step"},
        {"value_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _flags(context: UnifyContext, few: list[str], last: float, high: float) -> pl.DataFrame:
    """Mean steps of the main marks, each with a height of its own so that words never meet."""
    lags = context.lags
    schema = {"condition": pl.String, "at": pl.Float64, "mark": pl.String, "level": pl.Int32,
              "height": pl.Float64, "late": pl.Boolean}  # fmt: skip
    if lags is None:
        return pl.DataFrame(schema=schema)
    own = lags.filter(
        pl.col("first") == "start", pl.col("second").is_in(list(_SHORT)),
        pl.col("condition").is_in(few),
    ).drop_nulls("lag")  # fmt: skip
    # The earlier, the higher: a later mark's line ends below the words of those before it.
    return own.select(
        "condition",
        at="lag",
        mark=pl.col("second").replace_strict(_SHORT, return_dtype=pl.String),
        level=pl.col("lag").rank("ordinal", descending=True).over("condition").cast(pl.Int32) - 1,
    ).with_columns(height=high + 0.12 * (pl.col("level") + 0.6), late=pl.col("at") > 0.7 * last)


def _flag_layers() -> list[alt.Chart]:
    flags = alt.Chart(rows()).transform_filter("isValid(datum.at)")
    rule = flags.mark_rule(style="reference").encode(
        x=alt.X("at:Q"), y=alt.Y("floor:Q"), y2="height"
    )
    sides: tuple[tuple[bool, Literal["left", "right"], int], ...] = (
        (False, "left", 3), (True, "right", -3),
    )  # fmt: skip
    words = [
        flags.transform_filter(alt.FieldEqualPredicate(field="late", equal=late))
        .mark_text(align=align, dx=dx, fontSize=10, style="on-ramp")
        .encode(x=alt.X("at:Q"), y=alt.Y("height:Q"), text="mark:N")
        for late, align, dx in sides
    ]
    return [rule, *words]


def _losses(context: UnifyContext, few: list[str]) -> Chart:
    own = context.course.filter(pl.col("condition").is_in(few))
    frame = _over_seeds(own, _LOSSES)
    order = [w for w in _LOSSES.values() if w in set(frame["series"])]
    layers = shapes.lines(
        alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4, format="~s")),
        number_axis(frame, "value", "nats", "lo", "hi", zero=True, axis=alt.Y),
        _TIPS, series="series", order=order, band=("lo", "hi"),
    )  # fmt: skip
    return Chart(
        "unify-losses",
        "Losses and what no knowledge would cost",
        "A plateau at H(V|r) has learned how often values occur, one at H(V|r, language) which of "
        "them a language uses; both are means over relations. Band: 95 % over seeds. "
        + context.said(of=few, score=False),
        "Small multiples of losses over training steps with two no-knowledge baselines.",
        shapes.panels(layers, "condition", few, height=130),
        frame.with_columns(interval("value")),
        {"condition": "Condition", "series": "Loss", "step": "Step", "value_ci": "Nats"},
        {"value_ci": "interval.number"},
        "panels",
    )  # fmt: skip


def _marks(context: UnifyContext, few: list[str]) -> Chart | None:
    lags = context.lags
    if lags is None:
        return None
    own = lags.filter(pl.col("first") == "start", pl.col("condition").is_in(few[:6])).drop_nulls(
        "lag"
    )
    if not own.height:
        return None
    frame = own.with_columns(
        words=pl.col("second").replace_strict(MARKS, default=None, return_dtype=pl.String),
        of=pl.col("n_seeds") + pl.col("n_censored"),
    ).drop_nulls("words")
    there = set(frame["words"])
    spec = shapes.dots(
        number_axis(frame, "lag", "step", "lo", "hi", zero=True),
        "words", [w for w in MARKS.values() if w in there],
        {"words": ("mark", ""), "condition": ("condition", ""), "lag": ("mean step", ".0f"),
         "lo": ("from", ".0f"), "hi": ("to", ".0f"), "n_seeds": ("seeds that reached it", "d"),
         "of": ("of", "d")},
        series="condition", series_order=[c for c in few[:6] if c in set(frame["condition"])],
    )  # fmt: skip
    return Chart(
        "unify-marks",
        "When marks are passed",
        "Mean over the seeds that passed the mark at two checkpoints running, with its 95 % "
        "interval over seeds; interpolated between checkpoints. Marks met before training or "
        "never are left out. Shares of values, shares by language: the loss is down to what "
        "knowing these alone would cost. Own values preferred: answers on X fall into the values "
        "that the asked language owns. Halfway up: from the deepest separation to the final "
        "U_diff, last name token. " + context.said(of=few[:6], score=False),
        "Dot plot of the step at which marks of learning are passed, by condition.",
        spec,
        frame.with_columns(interval("lag")),
        {"words": "Mark", "condition": "Condition", "n_seeds": "Seeds", "of": "Of",
         "lag_ci": "Step", "least": "Earliest", "most": "Latest"},
        {"lag_ci": "interval.number"},
        "wide",
    )  # fmt: skip


def _layers(context: UnifyContext, few: list[str]) -> Chart | None:
    scores = context.answers().filter(pl.col("condition").is_in(few))
    if scores["step"].n_unique() < _FEWEST:
        return None
    frame = (
        scores.group_by("condition", "layer", "step", maintain_order=True)
        .agg(
            u_norm=pl.when(~pl.col("trivial")).then("u_norm").mean(),
            seeds=pl.col("seed").n_unique(),
        )
        .sort("condition", "step", "layer")
    )
    frame = marked(frame, "u_norm", (0, 1))
    steps = frame["step"].unique().sort().to_list()
    layers = frame["layer"].unique().sort(descending=True).to_list()
    picked = steps[:: max(1, -(-len(steps) // 6))]
    parts = squares(
        {"shorthand": "step:O", "title": "step",
         "axis": alt.Axis(values=picked, labelAngle=0, labelOverlap=True)},
        {"shorthand": "layer:O", "sort": layers, "title": "hidden state"},
        "u_norm", "U_norm",
        {"condition": ("condition", ""), "step": ("step", ","), "layer": ("hidden state", "d"),
         "u_norm": ("U_norm", ".2f"), "seeds": ("seeds", "d")},
        form="~g",
    )  # fmt: skip
    return Chart(
        "unify-layers",
        "Unification by layer and step",
        "U_norm at the answer position, mean over seeds; below 0 drawn as 0. Evaluations are dense "
        "at the start, so steps are not to scale. Hatched: prompts are token-identical there. "
        + context.said(of=few, layer="all hidden states"),
        "Small multiples of heat maps of the unification score, hidden state by step.",
        shapes.panels(parts, "condition", few, height=max(54, 20 * len(layers))),
        frame,
        {"condition": "Condition", "step": "Step", "layer": "Hidden state", "u_norm": "U_norm",
         "seeds": "Seeds"},
        {},
        "panels",
    )  # fmt: skip


def _lags(context: UnifyContext) -> TableView | None:
    lags = context.lags
    if lags is None:
        return None
    rest = lags.filter((pl.col("first") != "start") & (pl.col("n_seeds") > 0))
    words = {**MARKS, "start": "start"}
    frame = rest.with_columns(
        interval("lag"),
        first=pl.col("first").replace(words),
        second=pl.col("second").replace(words),
    )
    return TableView(
        "unify-lags",
        "Order of the marks",
        "How many steps the second mark comes after the first, over the seeds that passed both, "
        "with 95 % intervals over seeds. Negative: it comes before.",
        frame,
        {"condition": "Condition", "first": "From", "second": "To", "n_seeds": "Seeds",
         "n_censored": "Without", "lag_ci": "Steps", "least": "Least", "most": "Most"},
        {"lag_ci": "interval.number", "least": "number", "most": "number"},
    )  # fmt: skip
