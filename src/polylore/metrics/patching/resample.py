"""Bootstrap draws of items and of language pairs, the same for every number of a run.

Concepts are drawn, not items (specification of `patch`, section 6): all items of a source concept
come and go together. Where target concepts are used several times, they are drawn as well, and an
item weighs as often as both its concepts were drawn (two-way, pigeonhole bootstrap; Owen 2007:
never too narrow). For statements over languages, language pairs are a further factor of the same
kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, cluster_draws, divide, interval
from polylore.metrics.index import Array
from polylore.metrics.patching.values import Axes

DRAWS = 2000
ALL = "all"
_Z = 1.96


@dataclass(frozen=True)
class Estimate:
    """Means of G columns with what is needed for their intervals."""

    mean_G: Array
    n_G: Array
    """Items behind each mean."""
    lo_G: Array
    hi_G: Array
    half_G: Array
    """1.96 sd/sqrt(n) over rows: the published form."""
    draws_DG: Array
    """Means in the draws."""


@dataclass(frozen=True)
class Resample:
    """Draws over the items of a run."""

    axes: Axes
    weights_DI: Array
    """float32: how often each draw holds each item."""
    seed: int

    @classmethod
    def of(cls, axes: Axes, *, n: int = DRAWS, seed: int = 0) -> "Resample":
        """Draw concepts; axes, n and seed alone determine the draws."""
        weights = _concepts(axes.source_I, n, seed)
        if len(set(axes.target_I)) < len(axes.target_I):
            weights = weights * _concepts(axes.target_I, n, seed + 1)
        return cls(axes, np.ascontiguousarray(weights, dtype=np.float32), seed)

    def estimates(self, values_PIG: Array) -> Iterator[tuple[str, str, Estimate]]:
        """Means of each language pair and of pools of pairs.

        Pools: all pairs (`all`, `all`) and all pairs into one language (`all`, b), where there
        are at least two. A mean over a pool is that over all its items.

        Args:
            values_PIG: float (P, I, G), NaN where an item has no value.

        Yields:
            lang_a, lang_b and the estimate; pairs and pools without a value are left out.
        """
        pools = self._pools()
        for p, (a, b) in enumerate(self.axes.langs_P):
            sums = self._sums(values_PIG[p])
            if sums.n_G.any():
                yield a, b, sums.estimate()
            for pool in pools:
                pool.add(p, sums)
        for pool in pools:
            if pool.sums is not None and pool.members > 1:
                yield ALL, pool.lang_b, pool.sums.estimate()

    def _sums(self, values_IG: Array) -> "_Sums":
        present = ~np.isnan(values_IG)
        filled = np.where(present, values_IG, 0.0)
        whole = present.all(axis=0)
        # Most columns have all items or none; their denominators need no product.
        counts_DG = np.zeros((len(self.weights_DI), values_IG.shape[1]), dtype=np.float32)
        counts_DG[:, whole] = self.weights_DI.sum(axis=1, keepdims=True)
        partly = ~whole & present.any(axis=0)
        if partly.any():
            counts_DG[:, partly] = self.weights_DI @ present[:, partly].astype(np.float32)
        return _Sums(
            filled.sum(axis=0),
            (filled**2).sum(axis=0),
            present.sum(axis=0),
            self.weights_DI @ filled.astype(np.float32),
            counts_DG,
        )

    def _pools(self) -> list["_Pool"]:
        langs = self.axes.langs_P
        found: list[_Pool] = []
        for lang_b in [ALL, *sorted({b for _, b in langs})]:
            members = [p for p, (_, b) in enumerate(langs) if lang_b in (ALL, b)]
            if len(members) > 1 and (lang_b == ALL or len(members) < len(langs)):
                generator = np.random.default_rng([self.seed, 2, len(found)])
                size = len(members)
                drawn = generator.multinomial(
                    size, np.full(size, 1 / size), size=len(self.weights_DI)
                )
                found.append(_Pool(lang_b, {p: drawn[:, m] for m, p in enumerate(members)}))
        return found


@dataclass
class _Sums:
    """What means are made of; sums of several language pairs may be added."""

    total_G: Array
    squares_G: Array
    n_G: Array
    totals_DG: Array
    counts_DG: Array

    def estimate(self) -> Estimate:
        mean = divide(self.total_G, self.n_G)
        spread = np.maximum(self.squares_G - self.n_G * np.nan_to_num(mean) ** 2, 0)
        half = _Z * np.sqrt(divide(divide(spread, self.n_G - 1.0), self.n_G))
        draws = divide(self.totals_DG, self.counts_DG)
        lo, hi = interval(draws)
        return Estimate(mean, self.n_G, lo, hi, np.where(self.n_G > 1, half, np.nan), draws)


@dataclass
class _Pool:
    """Sums over several language pairs, each drawn as often as its weight says."""

    lang_b: str
    weights: dict[int, Array]
    sums: _Sums | None = None
    members: int = 0

    def add(self, p: int, own: _Sums) -> None:
        if p not in self.weights or not own.n_G.any():
            return
        self.members += 1
        weight = self.weights[p][:, None].astype(np.float32)
        new = (own.total_G, own.squares_G, own.n_G, weight * own.totals_DG, weight * own.counts_DG)
        if self.sums is None:
            self.sums = _Sums(*(np.zeros_like(part) for part in new))
        s = self.sums
        for sum_, part in zip(
            (s.total_G, s.squares_G, s.n_G, s.totals_DG, s.counts_DG), new, strict=True
        ):
            sum_ += part


def _concepts(concepts: tuple[str, ...], n: int, seed: int) -> Array:
    """Weights of items by how often their concept was drawn: (D, I)."""
    frame = pl.DataFrame({"fact_id": concepts}, schema={"fact_id": pl.String}).with_columns(
        relation=pl.lit("concept")
    )
    draws: Draws = cluster_draws(frame, n=n, seed=seed)
    places = {c: i for i, c in enumerate(draws.index.fact_ids)}
    return draws.weights_DF[:, [places[c] for c in concepts]]


def band(estimate: Estimate, columns: slice) -> tuple[Array, Array]:
    """Simultaneous 95 % band over some columns: max-statistic over the studentised draws.

    The 95 % quantile c of max_g |draw_g - mean_g| / se_g gives mean ± c se. Where skewed draws
    make the pointwise interval reach further, the band reaches as far: it always contains it.
    """
    mean, draws = estimate.mean_G[columns], estimate.draws_DG[:, columns]
    lo, hi = estimate.lo_G[columns], estimate.hi_G[columns]
    count = (~np.isnan(draws)).sum(axis=0)
    off = draws - mean
    se = np.sqrt(divide(np.nansum(off**2, axis=0), count.astype(np.float64)))
    moving = np.nan_to_num(se) > 1e-12
    if not moving.any():
        return lo, hi
    highest = np.nanmax(np.abs(off[:, moving]) / se[moving], axis=1, initial=0.0)
    c = float(np.quantile(highest, 0.95))
    return (
        np.where(moving, np.minimum(mean - c * se, lo), lo),
        np.where(moving, np.maximum(mean + c * se, hi), hi),
    )
