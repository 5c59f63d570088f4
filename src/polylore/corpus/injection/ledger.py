"""The plan as a ledger of exposures: it joins with the study `trace`."""

import polars as pl

from polylore.tables import raw


def plan_exposure(plan: pl.DataFrame, passages: pl.DataFrame, probes: pl.DataFrame) -> pl.DataFrame:
    """Passages that state a fact, by fact, language and step; exact, from the plan.

    A passage states the facts whose target stands in it verbatim. A passage at batch k is read by
    update k + 1, which is the step of its row. A passage that is split over rows counts once.

    Args:
        plan: contract `tables.inject.PLAN`.
        passages: contract `tables.inject.PASSAGES`.
        probes: contract `tables.inject.PROBES`.

    Returns:
        Contract `tables.raw.EXPOSURE`.
    """
    stated = (
        passages.select("passage_id", "probes_covered")
        .explode("probes_covered")
        .drop_nulls()
        .join(probes.select("probe_id", "fact_id"), left_on="probes_covered", right_on="probe_id")
        .select("passage_id", "fact_id")
        .unique()
    )
    whole = plan.filter(pl.col("offset") == 0)
    counts = (
        whole.join(stated, on="passage_id")
        .group_by("fact_id", "lang", "step")
        .agg(count=pl.len().cast(pl.Int64))
        .sort("fact_id", "lang", "step")
    )
    return raw.EXPOSURE.validate(
        counts.select(
            pl.lit("injection").alias("source"),
            "fact_id",
            "lang",
            (pl.col("step") + 1).alias("step_lo"),
            (pl.col("step") + 1).alias("step_hi"),
            pl.col("lang").alias("doc_lang"),
            "count",
            pl.lit("document").alias("unit"),
            pl.lit(True).alias("exact"),
            pl.lit("exact").alias("exposure_kind"),
            pl.lit(True).alias("lang_conditioned"),
            pl.lit("plan").alias("policy_id"),
        )
    )
