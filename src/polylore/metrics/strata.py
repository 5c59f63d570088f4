"""Groups of facts that stand beside every headline number (specification of `trace`, 5.2).

A strata frame is long: fact_id, lang, ckpt_id (null where a fact belongs at all checkpoints) and
stratum. A fact may be in several strata.
"""

import polars as pl

from polylore.errors import DataError
from polylore.metrics.surface import surface

SCHEMA = {
    "ckpt_id": pl.String(),
    "fact_id": pl.String(),
    "lang": pl.String(),
    "stratum": pl.String(),
}

EXPOSURE_BINS: tuple[tuple[str, float, float], ...] = (
    ("exposure:0", 0, 0),
    ("exposure:1-9", 0, 10),
    ("exposure:10-99", 10, 100),
    ("exposure:100-999", 100, 1000),
    ("exposure:>=1000", 1000, float("inf")),
)
"""Name, smallest exposure, and end (exclusive); the first holds exposure zero alone."""


def strata(
    facts: pl.DataFrame,
    *,
    pivot: str | None = None,
    exposure: pl.DataFrame | None = None,
    design: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every stratum that the inputs allow.

    ``same_object`` (object string equal to the pivot's; includes ``same_pair``), ``same_pair``
    (subject too) and ``neither`` for languages other than the pivot; ``answer_in_subject``;
    ``multi_gold`` (subject with several objects in the relation); ``exposure:<range>`` and
    ``exposure_upper_half`` / ``exposure_lower_half`` (of the facts with positive exposure, above
    the median of the language and checkpoint, or not) at each checkpoint; and those given.

    Args:
        facts: table FACTS.
        pivot: pivot language; without one the string comparisons are left out.
        exposure: frame of `exposure_at`.
        design: frame (fact_id, lang, stratum), such as taught and held_out.

    Returns:
        A strata frame.

    Raises:
        DataError: `design` lacks a column.
    """
    parts = []
    if design is not None:
        lacking = [c for c in ("fact_id", "lang", "stratum") if c not in design.columns]
        if lacking:
            raise DataError(f"The strata frame lacks the column {', '.join(lacking)}.")
        parts.append(design.drop_nulls("stratum"))
    parts += _surface_strata(facts, pivot)
    if exposure is not None:
        parts += _exposure_strata(exposure)
    columns = [
        p.with_columns(
            **({} if "ckpt_id" in p.columns else {"ckpt_id": pl.lit(None, dtype=pl.String())})
        ).select(pl.col(c).cast(t) for c, t in SCHEMA.items())
        for p in parts
    ]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *columns])


def _surface_strata(facts: pl.DataFrame, pivot: str | None) -> list[pl.DataFrame]:
    flags = surface(facts, pivot)
    several = facts.filter(pl.col("object").n_unique().over("lang", "relation", "subject") > 1)
    conditions = {
        "same_object": pl.col("same_object"),
        "same_pair": pl.col("same_pair"),
        "neither": ~pl.col("same_object"),
        "answer_in_subject": pl.col("answer_in_subject"),
    }
    named = {name: flags.filter(condition) for name, condition in conditions.items()}
    named["multi_gold"] = several
    return [
        frame.select("fact_id", "lang", pl.lit(name).alias("stratum"))
        for name, frame in named.items()
    ]


def _exposure_strata(exposure: pl.DataFrame) -> list[pl.DataFrame]:
    known = exposure.drop_nulls("exposure")
    e = pl.col("exposure")
    median = e.filter(e > 0).median().over("ckpt_id", "lang")
    conditions = {
        name: (e == 0) if end == 0 else (e > 0) & (e >= start) & (e < end)
        for name, start, end in EXPOSURE_BINS
    }
    conditions["exposure_upper_half"] = (e > 0) & (e > median)
    conditions["exposure_lower_half"] = (e > 0) & (e <= median)
    return [
        known.filter(condition).select("ckpt_id", "fact_id", "lang", pl.lit(name).alias("stratum"))
        for name, condition in conditions.items()
    ]
