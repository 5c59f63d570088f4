"""Answers joined with the exposure of the same facts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, index_of
from polylore.metrics.exposure import checked_exposure
from polylore.metrics.index import Array, FactIndex, combine_variants, ordered_cells

POOLED = "all"
"""Language code of rows over all languages together."""


@dataclass(frozen=True)
class Observations:
    """Answers and exposures of the same cells."""

    index: FactIndex
    cells: pl.DataFrame
    """ckpt_id, lang, matcher of each column."""
    y_FC: Array
    """1, 0 or NaN."""
    e_FC: Array
    """Exposure, NaN if unknown."""

    @property
    def known_FC(self) -> Array:
        """Cells with both an answer and an exposure."""
        return ~(np.isnan(self.y_FC) | np.isnan(self.e_FC))


def observe(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame,
    draws: Draws | None,
) -> Observations:
    """Join grades (at least half of the wordings right) with the exposure of `exposure_at`."""
    index = index_of(facts, draws)
    cells = ordered_cells(grades, checkpoints, facts)
    y_FC = index.dense(combine_variants(grades), "y", cells)
    keys = ["ckpt_id", "lang"]
    distinct = cells.select(keys).unique(maintain_order=True).with_row_index("_at")
    at = cells.join(distinct, on=keys, how="left", maintain_order="left")["_at"].to_numpy()
    counted = checked_exposure(exposure, index.fact_ids)
    return Observations(
        index, cells, y_FC, index.dense(counted, "exposure", distinct.drop("_at"))[:, at]
    )


def with_pooled(cells: pl.DataFrame) -> tuple[pl.DataFrame, Array]:
    """Cells followed by one column over all languages per (checkpoint, matcher).

    Returns:
        Keys of the K columns, and float32 (C, K) membership of the cells in them.
    """
    pooled = cells.select("ckpt_id", "matcher").unique(maintain_order=True)
    pooled = pooled.with_columns(pl.lit(POOLED).alias("lang")).select(cells.columns)
    keys = cells.select("ckpt_id", "matcher").rows()
    places = {key: i for i, key in enumerate(pooled.select("ckpt_id", "matcher").iter_rows())}
    members = np.zeros((cells.height, cells.height + pooled.height), dtype=np.float32)
    for c, key in enumerate(keys):
        members[c, c] = 1
        members[c, cells.height + places[key]] = 1
    return pl.concat([cells, pooled]), members
