"""From the table of checkpoints to the course of training: who comes when.

The table's own order is the order of training (specification of `trace`, section 4.1): stage, then
step; final models last. Steps start anew with each stage of some families, so nothing may be sorted
or compared by them alone; the steps of all stages together (`total_step`) go on.
"""

import polars as pl


def places(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Columns ckpt_id, step and tokens of all rows of CHECKPOINTS, in order.

    `step` counts the updates of all stages, as it does in all tables that are derived from
    CHECKPOINTS.
    """
    step = pl.col("step")
    if "total_step" in checkpoints.columns:
        step = pl.coalesce("total_step", "step").alias("step")
    return checkpoints.select("ckpt_id", step, "tokens")


def course(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """The same of those that make one course of training, final models at the end.

    Suspect checkpoints are left out, and so are the further branches of a stage (ingredients of
    OLMo 2): branches are alternatives, not a sequence.
    """
    kept = checkpoints.filter(~pl.col("suspect"))
    further = further_branches(kept)
    return places(kept.filter(~pl.col("ckpt_id").is_in(further)))


def further_branches(checkpoints: pl.DataFrame) -> list[str]:
    """Checkpoints of every branch of a stage but its first, by ckpt_id."""
    if "ingredient" not in checkpoints.columns:
        return []
    first = pl.col("ingredient").min().over(pl.col("stage").fill_null(0))
    return checkpoints.filter(pl.col("ingredient") != first)["ckpt_id"].to_list()
