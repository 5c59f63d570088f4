"""The data as they are and their bootstrap draws, side by side, for statistics that are fitted.

A statistic that is fitted anew in every draw is one computation on a matrix whose columns are
weightings of the facts: column 0 counts every fact once and gives the estimate, the others are the
draws and give its interval.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from polylore.metrics.bootstrap import Draws, interval
from polylore.metrics.index import Array, FactIndex

BLOCK = 2**21
"""Largest number of elements of a matrix that is held in memory at once."""


@dataclass(frozen=True)
class Resamples:
    """Weights of the facts: column 0 is the data, the others are draws."""

    index: FactIndex
    weights_FD: Array
    """float64 (F, 1 + draws)."""

    @classmethod
    def of(cls, index: FactIndex, draws: Draws | None) -> "Resamples":
        """The data alone, or followed by the draws."""
        ones = np.ones((index.n, 1))
        if draws is None:
            return cls(index, ones)
        return cls(index, np.concatenate([ones, draws.by_fact.astype(np.float64)], axis=1))

    @property
    def width(self) -> int:
        """Columns: 1 + number of draws."""
        return int(self.weights_FD.shape[1])

    def sums(self, facts_N: Array, groups_N: Array, n_groups: int) -> Array:
        """Weight of the items of each group in every column: float64 (G, D).

        Args:
            facts_N: row of the fact that each item belongs to.
            groups_N: group of each item.
            n_groups: number of groups.
        """
        members = sparse.csr_matrix(
            (np.ones(len(facts_N)), (groups_N, facts_N)), shape=(n_groups, self.index.n)
        )
        return np.asarray(members @ self.weights_FD)

    def blocks(self, items: int) -> list[slice]:
        """Slices of columns that keep (items, columns) matrices within `BLOCK`; column 0 alone."""
        step = max(1, BLOCK // max(1, items))
        starts = range(1, self.width, step)
        return [slice(0, 1)] + [slice(s, min(s + step, self.width)) for s in starts]


def ends(values_GD: Array) -> tuple[Array, Array, Array]:
    """Estimate and interval of statistics by column: each float64 (G,), NaN where undefined.

    A statistic that is undefined in the data has no interval either, and without draws none has.
    """
    estimate = values_GD[:, 0].astype(np.float64)
    if values_GD.shape[1] < 2:
        nothing = np.full(len(estimate), np.nan)
        return estimate, nothing, nothing
    lo, hi = interval(np.ascontiguousarray(values_GD[:, 1:].T))
    absent = np.isnan(estimate)
    return estimate, np.where(absent, np.nan, lo), np.where(absent, np.nan, hi)
