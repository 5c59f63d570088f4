"""One number per item for all onsets together (specification of `patch`, sections 2 and 6)."""

import warnings
from collections.abc import Sequence

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.patching.values import Axes

SUMMARIES = ("mean_first_half", "best_crossfit", "best_insample")
"""Ways to sum up an onset curve; the last one picks and evaluates on the same items."""


def halves(axes: Axes, seed: int) -> Array:
    """Random half of the source concepts that each item belongs to: bool (I,)."""
    return first_half(axes.source_I, seed)


def first_half(concepts: Sequence[str], seed: int) -> Array:
    """Which of some items belong to concepts of the first random half: bool (I,)."""
    distinct = sorted(set(concepts))
    order = np.random.default_rng([seed, 1]).permutation(len(distinct))
    first = {distinct[i] for i in order[: len(distinct) // 2]}
    return np.array([concept in first for concept in concepts])


def summary(values_PIKJ: Array, axes: Axes, half_I: Array, how: str) -> Array:
    """Sum up the onsets of each item.

    `mean_first_half`: mean over the onsets 0 to L//2 - 1 that were run. `best_crossfit`: for each
    language pair and checkpoint the onset with the highest mean over one half of the concepts, read
    off on the other half, and the reverse; nothing is picked and evaluated on the same item.
    `best_insample`: the onset that is best on all items; optimistic.

    Args:
        values_PIKJ: values of one setting, NaN where there is none.
        axes: meaning of the positions.
        half_I: what `halves` returned.
        how: one of `SUMMARIES`.

    Returns:
        float64 (P, I, K); NaN where the item has no value.
    """
    if how == "mean_first_half":
        chosen = [j for j, onset in enumerate(axes.onsets_J) if 0 <= onset < axes.n_blocks // 2]
        return _mean(values_PIKJ[..., chosen], axis=3)
    if how == "best_insample":
        return _at_best(values_PIKJ, np.ones_like(half_I), np.ones_like(half_I))
    out_PIK = _at_best(values_PIKJ, half_I, ~half_I)
    other_PIK = _at_best(values_PIKJ, ~half_I, half_I)
    return np.where(half_I[None, :, None], other_PIK, out_PIK)


def _at_best(values_PIKJ: Array, choose_I: Array, evaluate_I: Array) -> Array:
    """Values of some items at the onset that is best on the mean of others."""
    means_PKJ = _mean(values_PIKJ[:, choose_I], axis=1)
    best_PK = np.argmax(np.where(np.isnan(means_PKJ), -np.inf, means_PKJ), axis=2)
    taken = np.take_along_axis(values_PIKJ, best_PK[:, None, :, None], axis=3)[..., 0]
    # Where no item could choose, there is no best onset.
    known_PK = np.asarray(~np.isnan(means_PKJ).all(axis=2))
    return np.where(known_PK[:, None, :] & evaluate_I[None, :, None], taken, np.nan)


def _mean(values: Array, axis: int) -> Array:
    with warnings.catch_warnings():
        # The mean of nothing is NaN, which is what is meant here.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis))
