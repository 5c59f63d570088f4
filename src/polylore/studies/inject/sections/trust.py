"""What can be trusted: controls, noise, shuffled labels, ceilings, dose, and what is missing."""

from typing import Any

import polars as pl

from polylore.report import Block, Chart, Page, Prose, TableView, interval, shapes
from polylore.report.numbers import in_lines, number_axis, wrapped
from polylore.studies.inject.context import (
    InjectContext,
    order,
    pair,
    suffixed_column,
    suffixed_note,
)
from polylore.studies.inject.sections.materials import contamination, dose, lint, losses

FALSE = {
    "paper_false": "published form",
    "default_false": "corrected form, all",
    "halves_false": "corrected form, halves",
}
"""Gains of never-injected items at an arm's times."""
_ROWS = {
    "noise_sd": "Noise, sd",
    "expected_false": "Gain feigned by it",
    "start": "y before",
    "ceiling": "y with passage in view",
    "ceiling_exact": "right with it",
    "sham_drift": "Drift, others injected",
    "background_drift": "Drift, nothing injected",
    "bridge_known": "Bridges known",
    "bridge_unknown": "Bridges unknown, left out",
}
"""Controls of a depth and language, in words."""
_WITH_INTERVAL = ("sham_drift", "background_drift")


def trust_page(context: InjectContext) -> Page:
    """Always there."""
    made = (_cautions(context), _false_gains(context), _single(context), _by_schedule(context),
            _controls(context), _margins(context), _not_learned(context), _permuted(context),
            dose(context), losses(context), contamination(context), lint(context),
            _missing(context))  # fmt: skip
    blocks: list[Block] = [b for b in made if b is not None]
    lead = (
        "What the numbers look like where nothing was taught, how large they get by chance, and "
        "what a model could say at best."
    )
    return Page("trust", "What can be trusted", lead, tuple(blocks))


def _cautions(context: InjectContext) -> Prose | None:
    said = []
    if context.missing.height:
        said.append(
            f"{context.missing.height} of {context.missing.height + context.runs.height} training "
            "runs are not there yet; what is here is of those that are."
        )
    table = context.pooled("inject_effectivity")
    if table is not None:
        ours = table.filter(pl.col("exposure").is_null(), preset="default")
        if (ours["reason"] == "no_control_items").any():
            said.append(
                "There are probe languages without never-injected items: nothing there can be "
                "corrected, and no corrected number is given."
            )
        small = ours.filter(reason="few_items")
        if small.height:
            said.append(
                f"{small.height} of {ours.height} cells hold fewer than ten items and have no "
                "interval; claims join the languages of an arm, so they may have one."
            )
        said += _suffixes(context, ours)
    controls = context.pooled("inject_controls")
    if controls is not None:
        n = controls.filter(quantity="default_false")["n"].min()
        if isinstance(n, int) and n / max(1, context.seeds) < 20:
            said.append(
                f"There are {n // max(1, context.seeds)} never-injected items per run; with fewer "
                "than 20 the lag at which a single exposure is read follows their noise."
            )
        lost = controls.filter(quantity="not_finite")["n"].sum()
        if lost:
            said.append(f"{lost:,} readings are no finite numbers; they are left out.")
    said += _cut_windows(context)
    if context.seeds == 1:
        said.append("One seed only: no interval here knows how much another run would differ.")
    return Prose(tuple(said), "caution") if said else None


def _suffixes(context: InjectContext, effects: pl.DataFrame) -> list[str]:
    """Cells in which gains are not those of the target alone."""
    cells = effects.filter(pl.col("suffixed") > 0)
    if not cells.height:
        return []
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    table = context.pooled("inject_transfer")
    read = None if table is None else table.filter(quantity="margin_gain").drop_nulls("value")
    apart = 0 if read is None else cells.join(read, on=keys, how="semi").height
    return [
        f"{cells.height} of {effects.height} cells (asked in "
        f"{', '.join(cells['probe_lang'].unique().sort())}) hold probes whose target is scored "
        "together with the suffix that follows it. Their gains, and all contrasts, claims and "
        "ratios made of them, are of target and suffix together; what the target gains is the "
        "margin over distractors with the same suffix, which was read in "
        f"{apart} of these cells (A fact, or only a likelier word?)."
    ]


def _cut_windows(context: InjectContext) -> list[str]:
    """Exposures that the item's next one follows before their gain may have peaked, by arm."""
    table = context.table("_windows")
    if table is None or not (table["cut"] > 0).any():
        return []
    arms = [arm for name in context.conditions for arm in context.arms_of(name)]
    cut = order(table.filter(pl.col("cut") > 0), "arm", dict.fromkeys(arms))
    rows = order(cut, "condition", context.conditions).group_by(
        "arm", "window", "followed", "cut", "shortest", maintain_order=True
    )
    told = []
    for row in rows.agg("condition").iter_rows(named=True):
        conditions = row["condition"]
        where = "" if context.main in conditions else f", condition {', '.join(conditions)}"
        told.append(
            f"{row['cut']:,} of {row['followed']:,} in {row['arm']}{where} "
            f"({100 * row['cut'] / row['followed']:.0f} %; at the shortest to {row['shortest']} of "
            f"{row['window']} steps)"
        )
    return [
        "The window in which a gain may peak ends where the item's next exposure comes. Of the "
        f"exposures that another one follows, it is cut so after {'; '.join(told)}. A gain that is "
        "not complete by then is read too low, and the next exposure's too high."
    ]


def _false_gains(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_controls")
    if table is None:
        return None
    frame = table.filter(pl.col("quantity").is_in(list(FALSE))).drop_nulls("value")
    many = frame["probe_lang"].n_unique() > 1
    place = pl.format("{} ({})", "depth", "probe_lang") if many else pl.col("depth")
    frame = frame.with_columns(
        label=pl.format("{}, {}", "arm", place),
        series=pl.col("quantity").replace_strict(FALSE, return_dtype=pl.String),
    )
    frame = order(order(frame.sort("probe_lang"), "depth", context.depths), "arm", context.arms)
    names = frame["label"].unique(maintain_order=True).to_list()[:24]
    frame = frame.filter(pl.col("label").is_in(names))
    if not frame.height:
        return None
    frame = frame.with_columns(shown=pl.Series(wrapped(frame["label"]), dtype=pl.String))
    spec = shapes.dots(
        number_axis(frame, "value", "gain of items that were never injected", "lo", "hi",
                    zero=True),
        "shown", wrapped(names),
        {"label": ("", ""), "series": ("", ""), "value": ("gain", ".3f"), "lo": ("from", ".3f"),
         "hi": ("to", ".3f")},
        series="series", series_order=[f for f in FALSE.values() if f in set(frame["series"])],
        rule=0,
    )  # fmt: skip
    readings = table.filter(quantity="expected_false")["n_readings"].max()
    return Chart(
        "inject-false",
        "Gains where nothing was taught",
        "Items that are never injected, at the times of each arm: the right answer is 0. "
        "The published form takes the largest of the readings in the window"
        + (f", here {readings} of them" if readings is not None else "")
        + ", which is positive by noise alone. " + context.said(),
        "Dot plot of false gains by arm, depth and language, in both forms.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("value")),
        {"arm": "Times of", "depth": "Depth", "probe_lang": "Language", "series": "Gain",
         "value_ci": "Value", "n": "Items"},
        {"value_ci": "interval.number", "probe_lang": "lang"},
    )  # fmt: skip


def _single(context: InjectContext) -> Prose | None:
    """What controls say of arms with one exposure, where their own lags mislead."""
    effects, table = context.pooled("inject_effectivity"), context.pooled("inject_controls")
    if effects is None or table is None:
        return None
    last = effects.filter(preset="default").group_by("arm").agg(pl.col("exposure").max())
    arms = [a for a in context.arms if a in set(last.filter(exposure=0)["arm"])]
    said = []
    for arm in arms:
        rows = table.filter(arm=arm, depth=context.depths[0]).drop_nulls("value")
        for lang in rows["probe_lang"].unique().sort():
            own = rows.filter(probe_lang=lang).rows_by_key("quantity", named=True, unique=True)
            if "default_false" in own and "halves_false" in own:
                lone, half = own["default_false"], own["halves_false"]
                said.append(
                    f"{arm} ({lang}, {context.depths[0]}) {_ranged(lone)} on all of them, "
                    f"{_ranged(half)} with one half held against the other"
                )
    if not said:
        return None
    return Prose(
        (
            "With one exposure the corrected gain of never-injected items, taken on all of them, "
            "does not measure what nothing taught gives: their gains add up to nothing, so that "
            "the lag that is best for the others is an item's own worst one. One half of them held "
            "against the other has no such tie; there, and less so in injected items, which have "
            "twice as many controls, the lag follows what noise is left in the controls. "
            f"Measured here: {'; '.join(said)}.",
        ),
        "caution",
    )


def _ranged(row: dict[str, Any]) -> str:
    ends = "" if row["lo"] is None else f" [{row['lo']:.3f}, {row['hi']:.3f}]"
    return f"{row['value']:.3f}{ends}".replace("-", "−")


def _by_schedule(context: InjectContext) -> TableView | None:
    """False gains beside each arm, condition by condition."""
    table = context.table("inject_controls")
    rows = None if table is None else table.filter(pl.col("quantity").is_in(list(FALSE)))
    if rows is None or not rows.height:
        return None
    keys = ["run_id", "arm", "depth", "probe_lang"]
    frame = rows.select(keys).unique(maintain_order=True)
    for quantity in FALSE:
        part = rows.filter(quantity=quantity).with_columns(interval("value"))
        part = part.select(*keys, pl.col("value_ci").alias(quantity))
        frame = frame.join(part, on=keys, how="left", maintain_order="left")
    return TableView(
        "inject-false-table",
        "Items never injected, at the times of each arm",
        "The same numbers as of injected items, where nothing was taught. Corrected, all: lags "
        "chosen on the other never-injected items, nothing subtracted from what is read there. "
        "Corrected, halves: one half of these items treated as injected, the other as controls.",
        context.ordered(frame),
        {"run_id": "Condition", "arm": "Times of", "depth": "Depth", "probe_lang": "Asked in",
         "paper_false": "Published E", "default_false": "Corrected, all",
         "halves_false": "Corrected, halves"},
        dict.fromkeys(FALSE, "interval.number"),
    )  # fmt: skip


def _controls(context: InjectContext) -> TableView | None:
    """One row per condition, depth and language."""
    table = context.table("inject_controls")
    if table is None:
        return None
    own = table.filter(pl.col("arm").is_null()).with_columns(interval("value"))
    keys = ["run_id", "depth", "probe_lang"]
    frame = own.select(keys).unique(maintain_order=True)
    for quantity in _ROWS:
        part = own.filter(quantity=quantity).select(
            *keys, pl.col("value_ci" if quantity in _WITH_INTERVAL else "value").alias(quantity)
        )
        frame = frame.join(part, on=keys, how="left", maintain_order="left")
    return TableView(
        "inject-controls-table",
        "Controls",
        "Noise: standard deviation of a probe's readings before the first exposure, and the gain "
        "that the published maximum makes of it. y with the passage in view is what the wording "
        "allows at best. Drifts: y at the end minus y at the start, of runs that teach none of "
        "these items. Bridges: facts of the background that probes by way of it rest on, right or "
        "not right when asked by themselves before the first exposure; where they were not, the "
        "probe is left out.",
        context.ordered(frame),
        {"run_id": "Condition", "depth": "Depth", "probe_lang": "Asked in", **_ROWS},
        dict.fromkeys(_WITH_INTERVAL, "interval.number") | {"ceiling_exact": "share"},
    )


def _margins(context: InjectContext) -> TableView | None:
    """Fact knowledge against likelihood of the word: swapped subjects and distractors."""
    table = context.pooled("inject_transfer")
    words = {"effectivity": "E", "fact_specific_gain": "E of the swap margin",
             "margin_gain": "E of the distractor margin",
             "margin_at_peak": "D of it at the last peak"}  # fmt: skip
    if table is None or "margin_gain" not in set(table["quantity"]):
        return None
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    frame = table.select(*keys, "suffixed").unique(keys, maintain_order=True)
    for quantity in words:
        part = table.filter(quantity=quantity).with_columns(interval("value"))
        part = part.select(*keys, pl.col("value_ci").alias(quantity))
        frame = frame.join(part, on=keys, how="left", maintain_order="left")
    return TableView(
        "inject-margins",
        "A fact, or only a likelier word?",
        "Beside the gain per exposure, in nats per token, the same of y over y with another item's "
        "subject, and of the margin in nats of the target over the best of the other answers "
        "(where the target is not the end of the sentence, all of them with the same suffix). All "
        "corrected by never-injected items, with 95 % intervals over items. A word that became "
        "likelier after any subject gains, its margins do not; a likelier kind of word has no "
        "larger distractor margin." + suffixed_note(frame),
        context.ordered(frame).with_columns(pair()),
        {"arm": "Arm", "depth": "Depth", "pair": "Told → asked", **words,
         **suffixed_column(frame)},
        dict.fromkeys(words, "interval.number") | {"suffixed": "share"},
    )  # fmt: skip


def _not_learned(context: InjectContext) -> TableView | None:
    table = context.table("inject_controls")
    rows = None if table is None else table.filter(quantity="not_learned")
    if table is None or rows is None or not rows.height:
        return None
    keys = ["run_id", "arm", "depth", "inject_lang", "probe_lang"]
    control = table.filter(quantity="not_learned_control").select(*keys, control="value")
    frame = rows.join(control, on=keys, how="left", maintain_order="left")
    return TableView(
        "inject-not-learned",
        "Probes that never learn",
        "Share of probes whose gain at the last peak is not above 0. Of never-injected items, to "
        "which nothing was taught, about a half.",
        context.ordered(frame.with_columns(pair())),
        {"run_id": "Condition", "arm": "Arm", "depth": "Depth", "pair": "Told → asked",
         "value": "Not above 0", "control": "Never injected", "n": "Probes"},
        {"value": "share", "control": "share"},
    )  # fmt: skip


def _permuted(context: InjectContext) -> TableView | None:
    table = context.pooled("inject_permuted")
    if table is None:
        return None
    words = {"effectivity": "gain per exposure", "at_peak": "D at the last peak"}
    frame = table.with_columns(
        arms=pl.format("{} − {}", "arm_a", "arm_b"),
        pair=pl.format("{} → {}", "inject_lang", "probe_lang"),
        words=pl.col("quantity").replace(words),
        null=pl.format(
            "{} to {}", pl.col("null_lo").round(3), pl.col("null_hi").round(3)
        ).str.replace_all("-", "−"),
    )
    shuffles = int(table["shuffles"][0])
    return TableView(
        "inject-permuted-table",
        "Arms under shuffled labels",
        f"Items trade arms {shuffles} times within their run: differences beyond the range of "
        "95 % of the shuffles are more than the drawing of items.",
        frame,
        {"arms": "Arms", "depth": "Depth", "pair": "Told → asked", "words": "Quantity",
         "estimate": "Difference", "null": "Shuffled, 95 %", "p": "p", "n_items": "Items"},
        {"estimate": "number", "p": "number"},
        ("p", False),
    )  # fmt: skip


def _missing(context: InjectContext) -> TableView | None:
    if not context.missing.height:
        return None
    return TableView(
        "inject-missing",
        "Training runs that are not there",
        "Run the same command again to go on with them.",
        context.missing,
        {"run_id": "Run", "condition": "Condition", "seed": "Seed", "role": "Role"},
    )
