"""Conditions against each other: repetition, mixed languages, batch sizes, checkpoints."""

import polars as pl

from polylore.report import Block, Chart, Page, TableView, interval, shapes
from polylore.report.numbers import in_lines, number_axis, wrapped
from polylore.studies.inject.context import InjectContext, in_words, order

MATCHES = {
    "none": "none: as published, a passage weighs more in the small batch",
    "share": "share: equal share of the loss",
    "count": "count: more rows carry it in the large batch",
    "none_minus_share": "none − share: what dose explains",
}
QUANTITIES = {
    "effectivity": "gain per exposure", "at_peak": "D at the last peak", "end": "D at the end",
    "a_kernel": "decay a", "gap": "memorization − semantic",
    "gap_difference": "difference of that gap", "zero_tokens_log10": "log10 tokens to zero",
    "first_effectivity": "gain of the first exposure", "lost_share": "share lost",
}  # fmt: skip


def contrasts_page(context: InjectContext) -> Page | None:
    """None if there is nothing to hold against each other."""
    made = (
        _batch(context), _batch_table(context), _dedup(context), _dedup_table(context),
        _mixed_table(context), _stages(context), _stage_table(context),
    )  # fmt: skip
    blocks: list[Block] = [b for b in made if b is not None]
    if not blocks:
        return None
    lead = (
        "Copies against paraphrases, small batches against large ones, early checkpoints against "
        "late ones: paired over items that are in either arm in different seeds."
    )
    return Page("contrasts", "Conditions against each other", lead, tuple(blocks))


def _batch(context: InjectContext) -> Chart | None:
    table = context.table("inject_batch_contrast")
    if table is None:
        return None
    frame = table.filter(
        pl.col("quantity").is_in(["effectivity", "at_peak"]),
        direction="own",
        depth="memorization",
    ).drop_nulls("estimate")
    if not frame.height:
        return None
    frame = frame.with_columns(
        series=pl.col("match"),
        label=pl.format(
            "{}, {}: {} against {} rows, LR {}, {}",
            "arm",
            pl.col("quantity").replace(QUANTITIES),
            "batch_small",
            "batch_large",
            "lr_rule",
            "optimizer",
        ),
    )
    frame = order(frame, "series", list(MATCHES))
    names = frame["label"].unique(maintain_order=True).to_list()[:18]
    frame = frame.filter(pl.col("label").is_in(names))
    frame = frame.with_columns(shown=pl.Series(wrapped(frame["label"]), dtype=pl.String))
    there = [m for m in MATCHES if m in set(frame["series"])]
    spec = shapes.dots(
        number_axis(frame, "estimate", "small minus large, nats per token", "lo", "hi", zero=True),
        "shown", wrapped(names),
        {"label": ("", ""), "series": ("match", ""), "small": ("small", ".3f"),
         "large": ("large", ".3f"), "estimate": ("difference", ".3f"), "lo": ("from", ".3f"),
         "hi": ("to", ".3f"), "dose_share_small": ("dose, small", ".2%"),
         "dose_share_large": ("dose, large", ".2%")},
        series="series", series_order=there, rule=0,
    )  # fmt: skip
    words = "; ".join(MATCHES[m] for m in there)
    return Chart(
        "inject-batch",
        "Small batch against large batch, by matching of the dose",
        f"{words}. The effect of the batch itself is the difference at `share`. Loss weights act "
        "under Adam only relative to the rest of the batch. Line: 95 % over items. Memorization "
        "probes in the language of injection.",
        "Dot plot of the difference between batch sizes by how the dose was matched.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("estimate")),
        {"match": "Match", "label": "Contrast", "small": "Small", "large": "Large",
         "estimate_ci": "Difference", "dose_share_small": "Dose, small",
         "dose_share_large": "Dose, large"},
        {"estimate_ci": "interval.number", "dose_share_small": "share",
         "dose_share_large": "share"},
    )  # fmt: skip


def _batch_table(context: InjectContext) -> TableView | None:
    table = context.table("inject_batch_contrast")
    if table is None:
        return None
    frame = table.with_columns(
        interval("estimate"),
        words=pl.col("quantity").replace(QUANTITIES),
        why=in_words(),
        match=pl.col("match").replace({"none_minus_share": "none − share"}),
        sizes=pl.format("{} − {}", "batch_small", "batch_large"),
    )
    frame = context.ordered(frame)
    return TableView(
        "inject-batch-table",
        "All contrasts of batch sizes",
        "Small minus large batch. `none − share` is the part of the difference that the larger "
        "weight of a passage in a small batch can explain.",
        frame,
        {"match": "Match", "sizes": "Rows", "arm": "Arm", "depth": "Depth",
         "direction": "Language", "words": "Quantity", "estimate_ci": "Difference",
         "small": "Small", "large": "Large", "lr_rule": "LR of the large",
         "optimizer": "Optimizer", "n_items": "Items", "why": "Remark"},
        {"estimate_ci": "interval.number"},
    )  # fmt: skip


def _dedup(context: InjectContext) -> Chart | None:
    table = context.pooled("inject_dedup_contrast")
    if table is None:
        return None
    frame = table.filter(
        pl.col("arm_b").is_not_null(),
        pl.col("quantity").is_in(["effectivity", "at_peak", "end", "gap_difference"]),
        direction="own",
    ).drop_nulls("estimate")
    frame = frame.with_columns(
        series=pl.format("{} − {}", "arm_a", "arm_b"),
        label=pl.format("{}, {}", pl.col("quantity").replace(QUANTITIES), "depth"),
    ).with_columns(
        label=pl.when(pl.col("quantity") == "gap_difference")
        .then(pl.lit("gap memorization − semantic"))
        .otherwise("label")
    )
    if not frame.height:
        return None
    names = frame["label"].unique(maintain_order=True).to_list()
    frame = frame.with_columns(shown=pl.Series(wrapped(frame["label"]), dtype=pl.String))
    series = frame["series"].unique(maintain_order=True).to_list()
    spec = shapes.dots(
        number_axis(frame, "estimate", "difference, nats per token", "lo", "hi", zero=True),
        "shown", wrapped(names),
        {"series": ("arms", ""), "label": ("", ""), "estimate": ("difference", ".3f"),
         "lo": ("from", ".3f"), "hi": ("to", ".3f"), "n_items": ("items", "d")},
        series="series", series_order=series, rule=0,
    )  # fmt: skip
    return Chart(
        "inject-dedup",
        "Copies, paraphrases and single exposures",
        "Differences of arms, paired over items; line: 95 % over items. "
        + context.said("language of injection", _dose_words(table)),
        "Dot plot of the differences between duplication, paraphrase and one exposure.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("estimate")),
        {"series": "Arms", "label": "Quantity", "estimate_ci": "Difference", "n_items": "Items"},
        {"estimate_ci": "interval.number"},
    )  # fmt: skip


def _dose_words(table: pl.DataFrame) -> str:
    own = table.filter(arm_a="duplication", arm_b="paraphrase").drop_nulls("dose_ratio")
    if not own.height:
        return "doses unknown"
    ratio, matched = own["dose_ratio"][0], own["matched"][0]
    words = "matched within 10 %" if matched else "NOT matched"
    return f"dose of duplication over paraphrase {ratio:.2f}, {words}"


def _dedup_table(context: InjectContext) -> TableView | None:
    table = context.pooled("inject_dedup_contrast")
    if table is None:
        return None
    frame = table.with_columns(
        interval("estimate"),
        words=pl.col("quantity").replace(QUANTITIES),
        arms=pl.when(pl.col("arm_b").is_null())
        .then("arm_a")
        .otherwise(pl.format("{} − {}", "arm_a", "arm_b")),
        why=in_words(),
        dose=pl.when("matched").then(pl.lit("equal")).when(~pl.col("matched")).then(
            pl.lit("unequal")),
    )  # fmt: skip
    return TableView(
        "inject-dedup-table",
        "Arms against each other",
        "a − b, paired over items. Differences of arms of unequal dose say what more exposures "
        "do, not what repetition does.",
        frame,
        {"arms": "Arms", "depth": "Depth", "direction": "Language", "words": "Quantity",
         "estimate_ci": "Value", "dose_ratio": "Tokens, a over b", "dose": "Dose",
         "n_items": "Items", "why": "Remark"},
        {"estimate_ci": "interval.number"},
    )  # fmt: skip


def _mixed_table(context: InjectContext) -> TableView | None:
    table = context.pooled("inject_mixed_contrast")
    if table is None:
        return None
    frame = table.with_columns(
        interval("estimate"), words=pl.col("quantity").replace(QUANTITIES), why=in_words()
    )
    return TableView(
        "inject-mixed-table",
        "Turning languages against one",
        "As many exposures of an item, in turning languages minus all in one.",
        frame,
        {"arm_b": "Against", "inject_lang": "told in", "probe_lang": "Asked in", "depth": "Depth",
         "words": "Quantity", "estimate_ci": "Difference", "dose_ratio": "Tokens, mixed over one",
         "n_items": "Items", "why": "Remark"},
        {"estimate_ci": "interval.number", "inject_lang": "lang", "probe_lang": "lang"},
    )  # fmt: skip


def _stages(context: InjectContext) -> Chart | None:
    """Gain per exposure by the checkpoint that a run begins at."""
    table = context.table("inject_stage_contrast")
    if table is None:
        return None
    own = table.filter(direction="own", depth="memorization", quantity="effectivity")
    sides = [
        own.select(
            "arm", condition=f"condition_{side}", step=f"step_{side}", lr=f"lr_{side}",
            value=side, lo=f"{side}_lo", hi=f"{side}_hi",
        )
        for side in ("early", "late")
    ]  # fmt: skip
    frame = pl.concat(sides).unique(["arm", "condition"], keep="first").drop_nulls("value")
    if not frame.height:
        return None
    frame = frame.sort("step", "condition").with_columns(
        label=pl.format("step {} ({})", "step", "condition")
    )
    names = frame["label"].unique(maintain_order=True).to_list()[:18]
    frame = frame.filter(pl.col("label").is_in(names))
    frame = frame.with_columns(shown=pl.Series(wrapped(frame["label"]), dtype=pl.String))
    arms = [arm for arm in context.arms if arm in set(frame["arm"])]
    spec = shapes.dots(
        number_axis(frame, "value", "gain per exposure, nats per token", "lo", "hi", zero=True),
        "shown", wrapped(names),
        {"label": ("checkpoint", ""), "arm": ("arm", ""), "lr": ("learning rate", ".2~g"),
         "value": ("gain", ".3f"), "lo": ("from", ".3f"), "hi": ("to", ".3f")},
        series="arm", series_order=arms, rule=0,
    )  # fmt: skip
    return Chart(
        "inject-stages",
        "Gain per exposure by checkpoint",
        "The same plan, items and background from checkpoints of one training; line: 95 % over "
        f"items. {_rates(own)} Memorization probes in the language of injection. The differences, "
        "paired over items, are in the table.",
        "Dot plot of the gain per exposure by the checkpoint that training went on from.",
        in_lines(spec, wrapped(names)),
        frame.with_columns(interval("value")),
        {"label": "Checkpoint", "arm": "Arm", "lr": "Learning rate", "value_ci": "Gain"},
        {"value_ci": "interval.number"},
    )


def _rates(table: pl.DataFrame) -> str:
    equal = table["lr_early"].eq_missing(table["lr_late"]).all()
    return "All at one learning rate." if equal else "Each at its own learning rate."


def _stage_table(context: InjectContext) -> TableView | None:
    table = context.table("inject_stage_contrast")
    if table is None:
        return None
    words = pl.col("quantity").replace(QUANTITIES)
    frame = table.with_columns(
        interval("estimate"),
        interval("early", "early_lo", "early_hi"),
        interval("late", "late_lo", "late_hi"),
        words=pl.when(pl.col("lag").is_null()).then(words).otherwise(
            pl.format("{} after {} steps", words, "lag")),
        steps=pl.format("{} − {}", "step_late", "step_early"),
        conditions=pl.format("{} − {}", "condition_late", "condition_early"),
        why=in_words(),
    )  # fmt: skip
    return TableView(
        "inject-stage-table",
        "Late checkpoint against early",
        "Later minus earlier, all else equal, paired over items.",
        context.ordered(frame),
        {"conditions": "Conditions", "steps": "Steps", "arm": "Arm", "depth": "Depth",
         "direction": "Language", "words": "Quantity", "early_ci": "Earlier", "late_ci": "Later",
         "estimate_ci": "Difference", "n_items": "Items", "why": "Remark"},
        dict.fromkeys(("estimate_ci", "early_ci", "late_ci"), "interval.number"),
    )  # fmt: skip
