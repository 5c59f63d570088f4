"""Bootstrap weights of cells: whole facts are drawn, and whole training runs where there are some.

Column 0 counts every cell once and gives the estimate; the other columns are draws and give its
interval. Everything that is fitted or divided is fitted or divided anew in every column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, interval
from polylore.metrics.index import Array, FactIndex, check_known


@dataclass(frozen=True)
class Clusters:
    """Weights of facts and of training runs."""

    index: FactIndex
    facts_FD: Array
    """float32 (F, 1 + draws)."""
    seeds: tuple[int, ...]
    seeds_SD: Array
    """float32 (S, 1 + draws): times each run was drawn; all ones with a single run."""

    @classmethod
    def of(
        cls, facts: pl.DataFrame, draws: Draws | None, seeds: Sequence[int] = (0,)
    ) -> "Clusters":
        """Weights for facts (fact_id, relation) and the seeds of the runs."""
        index = FactIndex.of(facts) if draws is None else draws.index
        ones = np.ones((index.n, 1), dtype=np.float32)
        facts_FD = ones if draws is None else np.concatenate([ones, draws.by_fact], axis=1)
        return cls(index, facts_FD, tuple(seeds), _drawn(len(seeds), facts_FD.shape[1]))

    def alone(self, seed: int) -> "Clusters":
        """The same draws of facts for one run."""
        return Clusters(self.index, self.facts_FD, (seed,), _drawn(1, self.facts_FD.shape[1]))

    def at_level(self, info_level: str) -> "Clusters":
        """The same, without draws where matches were deleted: such scores need no intervals."""
        if "-" not in info_level:
            return self
        return Clusters(self.index, self.facts_FD[:, :1], self.seeds, self.seeds_SD[:, :1])

    def weights(self, cells: pl.DataFrame) -> Array:
        """Weights of cells (fact_id, seed): float32 (N, 1 + draws)."""
        check_known(cells, self.index.fact_ids)
        place = dict(zip(self.index.fact_ids, range(self.index.n), strict=True))
        rows = np.array([place[fact] for fact in cells["fact_id"].to_list()], dtype=np.int64)
        weights = self.facts_FD[rows]
        if len(self.seeds) > 1:
            run = {seed: i for i, seed in enumerate(self.seeds)}
            weights = weights * self.seeds_SD[[run[seed] for seed in cells["seed"].to_list()]]
        return np.asarray(weights)


def _drawn(runs: int, width: int) -> Array:
    ones = np.ones((runs, width), dtype=np.float32)
    if runs > 1 and width > 1:
        generator = np.random.default_rng(runs)
        ones[:, 1:] = generator.multinomial(runs, np.full(runs, 1 / runs), size=width - 1).T
    return ones


def total(weights_ND: Array, members_N: Array) -> Array:
    """Weight of the members (boolean or number) in every column: float64 (D,)."""
    return np.asarray(members_N.astype(np.float64) @ weights_ND)


def share(weights_ND: Array, part_N: Array, whole_N: Array) -> Array:
    """Weight of a part over that of its whole in every column; NaN where there is no whole."""
    return divide(total(weights_ND, part_N & whole_N), total(weights_ND, whole_N))


def ends(name: str, values_D: Array) -> dict[str, float | None]:
    """Columns NAME, NAME_lo and NAME_hi of a statistic; null where the data do not define it."""
    value = float(values_D[0])
    if np.isnan(value):
        return {name: None, f"{name}_lo": None, f"{name}_hi": None}
    lo, hi = interval(values_D[1:, None]) if len(values_D) > 1 else (np.array([np.nan]),) * 2
    low, high = (None if np.isnan(end[0]) else float(end[0]) for end in (lo, hi))
    return {name: value, f"{name}_lo": low, f"{name}_hi": high}
