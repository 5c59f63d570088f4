"""Intervals within a run and over runs (specification of `unify`, section 2.10).

Within a run, entities are drawn, and every item counts as often as its entity was: par and within
are pair statistics, so they answer to such weights through item contributions. Comparing the drawn
items anew would hold an item against its own copy and is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylore.metrics.bootstrap import divide, interval
from polylore.metrics.index import Array
from polylore.metrics.unification.scores import normalised

DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where undefined."""

    value: float
    lo: float
    hi: float
    least: float = float("nan")
    most: float = float("nan")


def cluster_weights(clusters: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> Array:
    """How often each draw holds each item when whole clusters are drawn: float64 (draws, N)."""
    names, code_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if not len(names):
        return np.zeros((draws, 0))
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, code_N], dtype=np.float64)


def weighted_means(values_NC: Array, weights_DN: Array) -> Array:
    """Mean of the items that have a value, by draw and column: (D, C)."""
    present = ~np.isnan(values_NC)
    return divide(weights_DN @ np.where(present, values_NC, 0), weights_DN @ present)


def score_draws(par_NC: Array, within_NC: Array, weights_DN: Array) -> tuple[Array, Array]:
    """U_norm and U_diff in every draw, from jointly drawn par and within.

    To first order a mean over pairs of items answers to weights of the items by twice the change
    of the mean of their own means: within = 2 mean_w(within_i) - within.

    Args:
        par_NC: par_i by item and column; NaN where an item takes no part.
        within_NC: within_i likewise.
        weights_DN: from `cluster_weights`.

    Returns:
        (D, C) each.
    """
    absent = np.isnan(par_NC) | np.isnan(within_NC)
    par_NC, within_NC = (np.where(absent, np.nan, v) for v in (par_NC, within_NC))
    present = ~absent
    mean_C = divide(np.where(present, within_NC, 0).sum(axis=0), present.sum(axis=0))
    par_DC = weighted_means(par_NC, weights_DN)
    within_DC = 2 * weighted_means(within_NC, weights_DN) - mean_C
    return normalised(par_DC, within_DC), par_DC - within_DC


def over_runs(
    estimates_R: Sequence[float], draws_RD: Sequence[Array], *, seed: int = 0
) -> Estimate:
    """Mean over runs; in a draw, runs are drawn first, then the entities of each.

    Args:
        estimates_R: statistic of each run; a run without one (NaN) is left out.
        draws_RD: its draws over entities, made independently of the other runs'.
        seed: seed of the draws of runs.

    Returns:
        Mean, percentile interval, smallest and largest run; an interval of one run is that over
        its entities alone.
    """
    kept = [r for r, value in enumerate(estimates_R) if not np.isnan(value)]
    if not kept:
        return Estimate(*(float("nan"),) * 3)
    values = np.array([estimates_R[r] for r in kept])
    generator = np.random.default_rng(seed)
    pools = [np.asarray(draws_RD[r]) for r in kept]
    n_draws = len(pools[0])
    runs_DR = generator.integers(0, len(kept), size=(n_draws, len(kept)))
    total_D = np.zeros(n_draws)
    for slot in range(len(kept)):
        # A run drawn twice gets other entities each time.
        drawn_D = generator.permutation(n_draws)
        chosen = np.stack([pool[drawn_D] for pool in pools])
        total_D += chosen[runs_DR[:, slot], np.arange(n_draws)]
    lo, hi = interval((total_D / len(kept))[:, None])
    return Estimate(float(values.mean()), float(lo[0]), float(hi[0]),
                    float(values.min()), float(values.max()))  # fmt: skip


def mean_over_seeds(values: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean over seeds with its percentile interval over seeds; no interval of one seed."""
    x = np.asarray([v for v in values if not np.isnan(v)], dtype=np.float64)
    nothing = float("nan")
    if not len(x):
        return Estimate(nothing, nothing, nothing)
    least, most = float(x.min()), float(x.max())
    if len(x) < 2:
        return Estimate(float(x[0]), nothing, nothing, least, most)
    picks = np.random.default_rng(seed).integers(0, len(x), size=(draws, len(x)))
    lo, hi = interval(x[picks].mean(axis=1)[:, None])
    return Estimate(float(x.mean()), float(lo[0]), float(hi[0]), least, most)
