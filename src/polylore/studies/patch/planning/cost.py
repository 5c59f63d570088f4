"""What a plan costs for one checkpoint, in tokens through all blocks (`patch`, section 7)."""

import polars as pl

from polylore.studies.patch.planning.plan import PatchPlan
from polylore.tables.plan import PLAN_TOTALS


def plan_cost(
    plan: PatchPlan,
    blocks: int | None = None,
    parameters: int | None = None,
    *,
    new_tokens: int = 16,
) -> pl.DataFrame:
    """Cost of one checkpoint; contract PLAN_TOTALS.

    Args:
        plan: the plan.
        blocks: blocks of the model (L); without it, sweeps over onsets are unknown.
        parameters: parameters of the model; a token costs twice as many operations.
        new_tokens: tokens generated after each prompt.
    """
    length = pl.col("token_ids").list.len()
    sizes = plan.prompts.select("prompt_id", "o", "suffix_len", length=length)
    patched = plan.items.filter(pl.col("k") > 0)
    sources = patched.explode("source_ids").select(prompt_id="source_ids").unique()
    extraction = sources.join(sizes, on="prompt_id").select((pl.col("o") + 1).sum()).item()
    read = plan.items.select("prompt_id").unique().join(sizes, on="prompt_id")
    once = read["length"].sum()
    runs = patched.join(sizes, on="prompt_id").with_columns(
        times=pl.when(pl.col("onsets") == "first").then(1).otherwise(blocks and blocks + 1)
    )
    rows = [
        _row("prompts", "pairs of concepts", plan.pairs.height, "pairs", "source and target"),
        _row("prompts", "prompts", plan.prompts.height, "prompts", "different texts"),
        _row("prompts", "mean length", sizes["length"].mean(), "tokens", "T"),
        _row("prompts", "longest", plan.longest, "tokens", "must fit the model's positions"),
        _row("prompts", "mean suffix", sizes["suffix_len"].mean(), "tokens", "S, after the object"),
        _row("work", "items", plan.items.height, "items", "patched and unpatched"),
        _row("work", "extraction", extraction, "tokens", "vectors, once per checkpoint"),
        _row("work", "unpatched", once, "tokens", "every prompt that is run, once"),
    ]
    naive = suffix = None
    if blocks is not None:
        naive = runs.select((pl.col("times") * pl.col("length")).sum()).item()
        # Onset j leaves blocks 0..j out, so a sweep is about half a pass per onset.
        half = (pl.col("suffix_len") + 1) * (blocks - 1) / 2
        whole = pl.when(pl.col("onsets") == "first").then(pl.col("suffix_len") + 1).otherwise(half)
        suffix = runs.select(whole.sum()).item()
    rows += [
        _row("work", "sweep with plain hooks", naive, "tokens", "L + 1 onsets, whole prompts"),
        _row("work", "sweep of suffixes", suffix, "tokens", "what a patch can change"),
        _row(
            "work", "generation", runs.height * new_tokens, "tokens", "most, for each onset asked"
        ),
    ]
    flops = None
    if parameters is not None and suffix is not None:
        flops = 2.0 * parameters * (extraction + once + suffix)
    rows.append(_row("work", "arithmetic", flops, "FLOPs", "without generation"))
    return PLAN_TOTALS.build(rows)


def _row(topic: str, name: str, value: object, unit: str, remark: str) -> dict[str, object]:
    return {"topic": topic, "name": name, "value": value, "unit": unit, "remark": remark}
