"""What the strings of a fact have in common with each other and with the pivot's, as spelled.

Exact and weakly folded comparisons for the data report (specification of `trace`, section 5.3);
analyses of answers use the default matcher's normalisation instead, see `metrics.surface`.
"""

import polars as pl

from polylore.text import fold

FLAGS = (
    "same_object",
    "same_object_cf",
    "same_pair",
    "same_pair_cf",
    "answer_in_subject",
    "subject_equals_object",
)
"""Columns that `shared_strings` adds."""


def shared_strings(facts: pl.DataFrame, pivot: str = "en") -> pl.DataFrame:
    """Flags of every (fact, language), in the order of the facts.

    Args:
        facts: contract `tables.raw.FACTS`.
        pivot: language to compare with.

    Returns:
        fact_id, lang and booleans: same_object and same_pair (equal to the pivot's, exactly), the
        same with `_cf` (after `text.fold`), answer_in_subject (folded object contained in the
        folded subject), subject_equals_object (folded). A fact that the pivot does not tell shares
        nothing with it; without any pivot row the four comparisons are null.
    """
    texts = ("subject", "object", "subject_cf", "object_cf")
    folded = facts.select(
        "fact_id",
        "lang",
        "subject",
        "object",
        subject_cf=_folded(facts["subject"]),
        object_cf=_folded(facts["object"]),
    )
    of_pivot = folded.filter(pl.col("lang") == pivot).select(
        "fact_id", *(pl.col(name).alias(f"{name}_p") for name in texts)
    )
    equal = {name: (pl.col(name) == pl.col(f"{name}_p")).fill_null(value=False) for name in texts}
    compared = {
        "same_object": equal["object"],
        "same_object_cf": equal["object_cf"],
        "same_pair": equal["subject"] & equal["object"],
        "same_pair_cf": equal["subject_cf"] & equal["object_cf"],
    }
    if of_pivot.is_empty():
        compared = {name: pl.lit(None, dtype=pl.Boolean) for name in compared}
    return folded.join(of_pivot, on="fact_id", how="left", maintain_order="left").select(
        "fact_id",
        "lang",
        **compared,
        answer_in_subject=pl.col("subject_cf").str.contains(pl.col("object_cf"), literal=True),
        subject_equals_object=pl.col("subject_cf") == pl.col("object_cf"),
    )


def _folded(texts: pl.Series) -> pl.Series:
    """`text.fold` of every string; each distinct string is folded once."""
    distinct = texts.unique()
    folded = pl.Series([fold(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, folded, return_dtype=pl.String)
