"""How a right answer came about, where the design of the corpus decides it."""

import polars as pl

from polylore.metrics.index import combine_variants
from polylore.metrics.surface import surface
from polylore.tables.referee import TRUTH

UNKNOWN = "unknown"
FREQUENCY = "known-by-frequency"
COPIED = "copied-string"
TRANSFER = "transfer-candidate"
GUESS = "guess"
LABELS = (FREQUENCY, TRANSFER, COPIED, GUESS, UNKNOWN)
"""Labels in the order of the report; also the classes of the truth."""


def truth(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    exposure: pl.DataFrame,
    design: pl.DataFrame,
    *,
    pivot: str,
    donors: str = "pivot",
) -> pl.DataFrame:
    """Truth of every cell (specification of `trace`, section 4.8), blind to labels.

    Wrong: ``unknown``. Right and read at least once in its language: ``known-by-frequency``, an
    upper bound, since at a low dose transfer may have helped. Right, never read there but in a
    donor language: ``transfer-candidate``, or ``copied-string`` if the object is spelled as in the
    pivot or contained in the subject. Right and read nowhere: ``guess``. Null without an answer,
    and where only a language that is no donor was read.

    Args:
        grades: table GRADES; wordings are combined as labels combine them.
        facts: table FACTS.
        exposure: frame of `exposure_at` of kind exact.
        design: table DESIGN.
        pivot: the pivot.
        donors: languages that a fact may come from: pivot, or all others.

    Returns:
        Table TRUTH.
    """
    keys = ["ckpt_id", "fact_id"]
    e = exposure.select(*keys, "lang", e_l=pl.col("exposure"))
    home = e.filter(pl.col("lang") == pivot).select(*keys, e_pivot="e_l")
    flags = surface(facts, pivot).select(
        "fact_id",
        "lang",
        shared=pl.col("same_object").fill_null(value=False) | pl.col("answer_in_subject"),
    )
    own = ["fact_id", "lang", "condition", "group", "surface", "dose"]
    cells = (
        combine_variants(grades)
        .drop("share")
        .join(e, on=[*keys, "lang"], how="left", maintain_order="left")
        .join(home, on=keys, how="left", maintain_order="left")
        .join(_elsewhere(e), on=[*keys, "lang"], how="left", maintain_order="left")
        .join(flags, on=["fact_id", "lang"], how="left", maintain_order="left")
        .join(design.select(own), on=["fact_id", "lang"], how="inner", maintain_order="left")
        .with_columns(pl.col("e_l", "e_pivot", "e_other").fill_null(0.0))
    )
    foreign = pl.col("lang") != pivot
    donor = pl.when(foreign).then("e_pivot").otherwise(0.0) if donors == "pivot" else "e_other"
    cells = cells.with_columns(e_donor=donor)
    named = (
        pl.when(pl.col("y").is_null())
        .then(None)
        .when(~pl.col("y"))
        .then(pl.lit(UNKNOWN))
        .when(pl.col("e_l") > 0)
        .then(pl.lit(FREQUENCY))
        .when((pl.col("e_donor") > 0) & pl.col("shared"))
        .then(pl.lit(COPIED))
        .when(pl.col("e_donor") > 0)
        .then(pl.lit(TRANSFER))
        .when(pl.col("e_other") == 0)
        .then(pl.lit(GUESS))
    )
    return TRUTH.validate(cells.with_columns(truth=named).drop("e_pivot", "e_other"))


def _elsewhere(e: pl.DataFrame) -> pl.DataFrame:
    """The most that was read in any other language."""
    over = ["ckpt_id", "fact_id"]
    ranked = pl.col("e_l").sort(descending=True)
    most, second = ranked.get(0), ranked.get(1, null_on_oob=True)
    ends = e.group_by(over).agg(most=most, second=second.fill_null(0.0))
    own_is_most = pl.col("e_l") == pl.col("most")
    return e.join(ends, on=over, how="left", maintain_order="left").select(
        *over, "lang", e_other=pl.when(own_is_most).then("second").otherwise("most")
    )
