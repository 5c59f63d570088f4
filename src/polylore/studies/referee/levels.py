"""What a method may be told: from answers alone to exact counts up to each checkpoint.

Specification of `trace`, section 4.8, blindness: labels are judged at four levels of information,
and at two of them again with a share of the matches deleted, as missed inflections would be.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.tables.raw import EXPOSURE

DELETIONS = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class Level:
    """One level of information."""

    name: str
    """L0 to L3, or L1-0.1 and so on."""
    counted: pl.DataFrame | None
    """Table EXPOSURE; None if nothing was counted."""

    @property
    def degraded(self) -> bool:
        """Whether matches were deleted."""
        return "-" in self.name


def levels(
    facts: pl.DataFrame, exposure: pl.DataFrame, strings: pl.DataFrame, seed: int = 0
) -> list[Level]:
    """Every level of information.

    Args:
        facts: table FACTS.
        exposure: table EXPOSURE of kind exact, conditioned on language.
        strings: table EXPOSURE of kind total: documents of any language.
        seed: seed of the deletions.
    """
    plain = [Level("L0", None), Level("L2", totals(exposure, facts))]
    for name, counted in (("L1", strings), ("L3", exposure)):
        plain.append(Level(name, counted))
        plain += [
            Level(f"{name}-{share}", delete(counted, share, f"{seed}/{name}"))
            for share in DELETIONS
        ]
    return sorted(plain, key=lambda level: level.name)


def totals(exposure: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """The counts of the whole corpus, without the steps; cells never read have a zero."""
    about = ["source", "unit", "exact", "lang_conditioned", "policy_id"]
    summed = exposure.group_by("fact_id", "lang").agg(pl.col("count").sum())
    cells = facts.select("fact_id", "lang").join(exposure.select(about).head(1), how="cross")
    counted = cells.join(summed, on=["fact_id", "lang"], how="left", maintain_order="left")
    return EXPOSURE.validate(
        counted.with_columns(pl.col("count").fill_null(0), exposure_kind=pl.lit("total"))
    )


def delete(exposure: pl.DataFrame, share: float, label: str) -> pl.DataFrame:
    """Delete every match with a probability, independently; the same ones for the same label."""
    seed = int.from_bytes(hashlib.sha256(f"{label}/{share}".encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    kept = generator.binomial(exposure["count"].fill_null(0).to_numpy(), 1 - share)
    count = pl.when(pl.col("count").is_not_null()).then(pl.Series("kept", kept, dtype=pl.Int64))
    return exposure.with_columns(count=count, exact=pl.lit(value=False))
