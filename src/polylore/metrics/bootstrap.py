"""Cluster bootstrap over facts: one set of draws behind every interval.

A draw resamples fact_ids with replacement within each relation, and gives each fact the number of
times it was drawn. The same weights serve all languages, checkpoints and matchers, so differences
between them keep their correlation, and every statistic that is a ratio of sums over facts becomes
two matrix products (specification of `trace`, section 4.5).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array, FactIndex

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Draws:
    """Bootstrap weights of facts."""

    index: FactIndex
    """Facts that the columns stand for."""
    weights_DF: Array
    """float32 (D, F): how often each draw holds each fact; a relation's columns sum to its size."""

    @cached_property
    def by_fact(self) -> Array:
        """The same, (F, D): one contiguous row per fact."""
        return np.ascontiguousarray(self.weights_DF.T)


def cluster_draws(facts: pl.DataFrame, *, n: int = DRAWS, seed: int = 0) -> Draws:
    """Draw facts with replacement within their relations.

    Args:
        facts: frame with fact_id and relation, one or more rows per fact.
        n: number of draws.
        seed: seed of the draws; facts, n and seed alone determine them.
    """
    index = FactIndex.of(facts)
    generator = np.random.default_rng(seed)
    parts = []
    for start, end in zip(index.bounds, index.bounds[1:], strict=False):
        size = end - start
        parts.append(generator.multinomial(size, np.full(size, 1 / size), size=n))
    weights = np.concatenate(parts, axis=1) if parts else np.zeros((n, 0))
    return Draws(index, np.ascontiguousarray(weights, dtype=np.float32))


def index_of(facts: pl.DataFrame, draws: Draws | None) -> FactIndex:
    """The fact order to compute in: that of the draws if there are any.

    Raises:
        DataError: the draws were made from other facts.
    """
    if draws is None:
        return FactIndex.of(facts)
    unknown = set(facts["fact_id"].unique()) - set(draws.index.fact_ids)
    if unknown:
        raise DataError(
            f"The bootstrap draws lack {len(unknown)} facts, for example {min(unknown)}; make them "
            "from the fact set that is analysed."
        )
    return draws.index


def interval(values_DC: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Percentile interval of each column, NaN draws left out.

    Args:
        values_DC: statistic by draw and column; float.
        level: coverage.

    Returns:
        Lower and upper ends, float64 (C,); NaN for columns in which no draw is defined.
    """
    columns = values_DC.shape[1]
    lo, hi = np.full(columns, np.nan), np.full(columns, np.nan)
    if not values_DC.size:
        return lo, hi
    values_CD = np.ascontiguousarray(values_DC.T)
    partial = np.isnan(values_CD).any(axis=1)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if not partial.all():
        lo[~partial], hi[~partial] = _quantiles(values_CD[~partial], tails)
    if partial.any():
        lo[partial], hi[partial] = _partial_quantiles(values_CD[partial], tails)
    return lo, hi


def _quantiles(values_CD: Array, at: tuple[float, float]) -> tuple[Array, Array]:
    """Linear-interpolation quantiles along the last axis; a partition is enough for two of them."""
    last = values_CD.shape[1] - 1
    places = [q * last for q in at]
    below = [int(np.floor(p)) for p in places]
    above = [min(b + 1, last) for b in below]
    part = np.partition(values_CD, sorted({*below, *above}), axis=1)
    ends = [
        _between(part[:, b], part[:, a], p - b)
        for p, b, a in zip(places, below, above, strict=True)
    ]
    return ends[0], ends[1]


def _partial_quantiles(values_CD: Array, at: tuple[float, float]) -> tuple[Array, Array]:
    """The same over the draws that are not NaN; NaN sorts last."""
    ordered = np.sort(values_CD, axis=1)
    last_C = (~np.isnan(ordered)).sum(axis=1) - 1
    rows = np.arange(len(ordered))
    ends = []
    for q in at:
        place_C = q * np.maximum(last_C, 0)
        below_C = np.floor(place_C).astype(np.int64)
        above_C = np.minimum(below_C + 1, np.maximum(last_C, 0))
        ends.append(_between(ordered[rows, below_C], ordered[rows, above_C], place_C - below_C))
    return ends[0], ends[1]


def _between(below: Array, above: Array, part: Array | float) -> Array:
    start = below.astype(np.float64)
    return np.asarray(start + part * (above.astype(np.float64) - start))


def divide(numerator: Array, denominator: Array) -> Array:
    """Elementwise ratio, NaN where the denominator is zero or undefined."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    dtype = np.result_type(numerator, denominator, np.float32)
    out = np.full(shape, np.nan, dtype=dtype)
    # NaN is not zero: it is divided by, and stays NaN.
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def weighted_sums(draws: Draws, values_FC: Array, rows: slice | None = None) -> Array:
    """Sum over facts in each draw: float32 (D, C).

    Args:
        values_FC: one value per fact and column; no NaN. With `rows`, only those facts.
        rows: facts to sum over; all of them if absent.
    """
    weights = draws.weights_DF if rows is None else draws.weights_DF[:, rows]
    return weights @ np.ascontiguousarray(values_FC, dtype=np.float32)


def ratio_interval(draws: Draws, numerator_FC: Array, denominator_FC: Array) -> tuple[Array, Array]:
    """Interval of sum(numerator)/sum(denominator) per column."""
    return interval(
        divide(weighted_sums(draws, numerator_FC), weighted_sums(draws, denominator_FC))
    )


def mean_interval(draws: Draws, values_FC: Array) -> tuple[Array, Array]:
    """Interval of the mean over the facts that have a value (not NaN), per column."""
    present = ~np.isnan(values_FC)
    return ratio_interval(draws, np.where(present, values_FC, 0), present)


def difference_interval(
    draws: Draws, first_FC: Array, second_FC: Array
) -> tuple[Array, Array, Array]:
    """Mean of the first minus mean of the second, per column, with its interval.

    Both means are taken in the same draw, so what the two share cancels.

    Returns:
        Estimate, lower end, upper end: float64 (C,) each.
    """
    estimates, samples = [], []
    for values in (first_FC, second_FC):
        present = ~np.isnan(values)
        filled = np.where(present, values, 0)
        estimates.append(divide(filled.sum(axis=0), present.sum(axis=0)))
        samples.append(divide(weighted_sums(draws, filled), weighted_sums(draws, present)))
    lo, hi = interval(samples[0] - samples[1])
    return estimates[0] - estimates[1], lo, hi
