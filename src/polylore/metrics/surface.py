"""Strings that a language shares with the pivot, and answers that stand in the question."""

import polars as pl

from polylore.text import normalise

FLAGS = ("same_object", "same_pair", "answer_in_subject")


def surface(facts: pl.DataFrame, pivot: str | None) -> pl.DataFrame:
    """Surface flags of every fact (specification of `trace`, sections 2.5 and 5.2).

    Args:
        facts: table FACTS.
        pivot: language to compare with; null if there is none.

    Returns:
        fact_id, lang, same_object and same_pair (strings equal to the pivot's after the default
        normalisation; null in the pivot itself and where the pivot lacks the fact), and
        answer_in_subject (normalised object contained in the normalised subject).
    """
    cleaned = facts.select(
        "fact_id",
        "lang",
        *(
            pl.Series(f"_{c}", [normalise(t) for t in facts[c].to_list()], dtype=pl.String())
            for c in ("subject", "object")
        ),
    )
    other = cleaned.filter(pl.col("lang") == (pivot or "")).select(
        "fact_id", pl.col("_subject").alias("_s"), pl.col("_object").alias("_o")
    )
    foreign = pl.col("lang") != (pivot or "")
    same_object = pl.col("_object") == pl.col("_o")
    same_pair = same_object & (pl.col("_subject") == pl.col("_s"))
    inside = (pl.col("_object") != "") & pl.col("_subject").str.contains(
        pl.col("_object"), literal=True
    )
    return cleaned.join(other, on="fact_id", how="left", maintain_order="left").select(
        "fact_id",
        "lang",
        pl.when(foreign).then(same_object).alias("same_object"),
        pl.when(foreign).then(same_pair).alias("same_pair"),
        inside.alias("answer_in_subject"),
    )
