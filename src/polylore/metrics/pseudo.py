"""Labels made from exposure alone: controls for every claim about frequency and transfer.

Null labels are right by frequency only, languages independent, so whatever an analysis finds in
them is not transfer (specification of `trace`, sections 5.4, 9.3 and 9.4).
"""

import hashlib

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.tables.derived import GRADES

SLOPE, INTERCEPT = 1.5, -4.0


def right_probability(exposure: Array) -> Array:
    """The true curve behind all pseudo-labels: sigmoid(1.5 log10(1 + E) - 4)."""
    return np.asarray(1 / (1 + np.exp(-(SLOPE * np.log10(1 + exposure) + INTERCEPT))))


def published_labels(numbers: Array, language_place: int, exposure: Array) -> Array:
    """Published pseudo-labels: right iff u < probability.

    u = ((index + 100003 k) * 2654435761 mod 2^32) / 2^32. The draws of two languages are shifted
    copies of each other, so they test arithmetic only.

    Args:
        numbers: integer fact index (N,).
        language_place: k, position of the language in the published list.
        exposure: (N,).
    """
    with np.errstate(over="ignore"):
        mixed = (numbers.astype(np.uint64) + np.uint64(100003 * language_place)) * np.uint64(
            2654435761
        )
    u = (mixed % np.uint64(2**32)).astype(np.float64) / 2**32
    return np.asarray(u < right_probability(exposure))


def uniform(salt: str, lang: str, fact_id: str) -> float:
    """First 8 bytes (big-endian) of SHA-256 of ``salt|lang|fact_id``, divided by 2^64."""
    found = hashlib.sha256(f"{salt}|{lang}|{fact_id}".encode()).digest()
    return int.from_bytes(found[:8], "big") / 2**64


def null_labels(exposure: pl.DataFrame, *, salt: str = "null") -> pl.DataFrame:
    """Grades of a world in which frequency is all there is.

    Args:
        exposure: frame of `exposure_at`; rows without exposure get no answer.
        salt: name of the draw; one uniform number per (fact, language), the same at all
            checkpoints.

    Returns:
        Table GRADES with matcher ``null`` and variant 0.
    """
    cells = exposure.select("fact_id", "lang").unique(maintain_order=True)
    drawn = cells.with_columns(
        pl.Series("_u", [uniform(salt, lang, fact) for fact, lang in cells.iter_rows()])
    )
    rows = exposure.join(drawn, on=["fact_id", "lang"], how="left", maintain_order="left")
    known = rows["exposure"].is_not_null()
    p = right_probability(rows["exposure"].fill_null(0).to_numpy())
    right = pl.Series("y", rows["_u"].to_numpy() < p)
    return GRADES.validate(
        rows.select("ckpt_id", "fact_id", "relation", "lang").with_columns(
            pl.lit(0, dtype=pl.Int32()).alias("variant"),
            pl.lit("null").alias("matcher"),
            pl.when(known).then(right).alias("y"),
            pl.lit(False).alias("truncated"),
        )
    )


def planted_labels(
    exposure: pl.DataFrame, *, pivot: str, share: float = 0.25, salt: str = "null"
) -> pl.DataFrame:
    """Grades of the same world with a known transfer from the pivot.

    Outside the pivot a fact is additionally right if it is right in the pivot at the same
    checkpoint and U(transfer) < `share`. What the two sets of labels differ in is transfer.

    Args:
        exposure: frame of `exposure_at`.
        pivot: language that facts come from.
        share: probability that a fact known in the pivot is known elsewhere because of it.
        salt: name of the draw of `null_labels`.

    Returns:
        Table GRADES with matcher ``planted`` and variant 0.
    """
    null = null_labels(exposure, salt=salt).with_columns(matcher=pl.lit("planted"))
    donor = null.filter(lang=pivot).select("ckpt_id", "fact_id", _donor="y")
    cells = null.select("fact_id", "lang").unique(maintain_order=True)
    given = cells.with_columns(
        _given=pl.Series([uniform("transfer", lang, fact) < share for fact, lang in cells.rows()])
    )
    joined = null.join(donor, on=["ckpt_id", "fact_id"], how="left", maintain_order="left").join(
        given, on=["fact_id", "lang"], how="left", maintain_order="left"
    )
    brought = pl.col("_donor").fill_null(False) & pl.col("_given") & (pl.col("lang") != pivot)
    return GRADES.validate(joined.with_columns(y=pl.col("y") | brought).drop("_donor", "_given"))
