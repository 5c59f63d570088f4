"""The exposure ledger: which fact was told in which language at which training step."""

import polars as pl

from polylore.corpus.expressed import POLICY
from polylore.tables import raw


def exposure_table(
    documents: pl.DataFrame | pl.LazyFrame,
    consumed: pl.DataFrame,
    expressed: pl.DataFrame | None = None,
    *,
    source: str = "ledger",
) -> pl.DataFrame:
    """Count, per fact, language and step, the documents whose reading ended at that step.

    The exposure E(fact, lang, s) of the specification of `trace` (sections 2.3 and 4.8) is the sum
    of `count` over rows with step_hi <= s: step s includes the s-th update, and E(., ., 0) = 0.

    Args:
        documents: composed documents (contract `tables.raw.DOCUMENTS`; the text is not needed).
        consumed: step of every document (contract `tables.raw.CONSUMED`); documents without a row
            were never read.
        expressed: facts that a sentence expresses besides its own (fact_id, lang, wording,
            also_fact_id), as composed corpora store them; counted like the sentence's own fact.
        source: name written to the column `source`.

    Returns:
        Contract `tables.raw.EXPOSURE`: one row per (fact, language, step) with a document, unit
        document, kind exact, conditioned on language, ordered by fact, language and step.
    """
    told = (
        documents.lazy()
        .filter(pl.col("fact_id").is_not_null())
        .select("doc_id", "fact_id", "lang", "wording")
        .join(consumed.lazy().select("doc_id", "step"), on="doc_id")
        .group_by("fact_id", "lang", "wording", "step")
        .agg(count=pl.len().cast(pl.Int64))
    )
    counts = told
    if expressed is not None:
        also = (
            told.join(expressed.lazy(), on=("fact_id", "lang", "wording"))
            .with_columns(fact_id=pl.col("also_fact_id"))
            .select("fact_id", "lang", "wording", "step", "count")
        )
        counts = pl.concat([told, also])
    frame = (
        counts.group_by("fact_id", "lang", "step")
        .agg(pl.col("count").sum())
        .sort("fact_id", "lang", "step")
        .collect()
    )
    return raw.EXPOSURE.validate(
        frame.select(
            pl.lit(source).alias("source"),
            "fact_id",
            "lang",
            pl.col("step").alias("step_lo"),
            pl.col("step").alias("step_hi"),
            pl.col("lang").alias("doc_lang"),
            "count",
            pl.lit("document").alias("unit"),
            pl.lit(True).alias("exact"),
            pl.lit("exact").alias("exposure_kind"),
            pl.lit(True).alias("lang_conditioned"),
            pl.lit(POLICY).alias("policy_id"),
        )
    )
