"""Correlations of a score with a right/wrong outcome."""

import numpy as np
from scipy.stats import rankdata

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array


def pearson(x: Array, y: Array) -> float:
    """Pearson r; NaN if either is constant or there are fewer than two values."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    a, b = x - x.mean(), y - y.mean()
    return float((a @ b) / np.sqrt((a @ a) * (b @ b)))


def spearman(x: Array, y: Array) -> float:
    """Pearson r of mid-ranks."""
    return pearson(rankdata(x), rankdata(y)) if len(x) else float("nan")


def auc(scores: Array, right: Array) -> float:
    """P(score of a right one > score of a wrong one), ties half: mid-rank Mann-Whitney.

    NaN with one class.
    """
    ones = np.ones((len(scores), 1))
    return float(weighted_auc(scores, right.astype(bool), ones)[0])


def weighted_auc(scores: Array, right: Array, weights_ND: Array) -> Array:
    """AUC under each column of weights.

    Args:
        scores: (N,).
        right: bool (N,).
        weights_ND: times each item counts, by draw.

    Returns:
        float (D,); NaN where one class has no weight.
    """
    if not len(scores):
        return np.full(weights_ND.shape[1], np.nan)
    groups = Groups.of(scores)
    pos_GD = groups.sums(weights_ND, right)
    neg_GD = groups.sums(weights_ND, ~right)
    pairs_D = pos_GD.sum(axis=0) * neg_GD.sum(axis=0)
    below_GD = np.cumsum(neg_GD, axis=0)
    below_GD -= neg_GD / 2
    below_GD *= pos_GD
    return divide(below_GD.sum(axis=0), pairs_D)


class Groups:
    """Items in increasing order of score, equal scores together."""

    def __init__(self, order: Array, starts: Array, values: Array) -> None:
        self.order = order
        self.starts = starts
        self.values = values
        """Distinct scores, increasing: (G,)."""

    @classmethod
    def of(cls, scores: Array) -> "Groups":
        """Group items by score."""
        order = np.argsort(scores, kind="stable")
        values, starts = np.unique(scores[order], return_index=True)
        return cls(order, starts, values)

    def sums(self, weights_ND: Array, members: Array) -> Array:
        """Weight of the members of each group, by draw: (G, D)."""
        if members.all():
            return np.asarray(np.add.reduceat(weights_ND[self.order], self.starts, axis=0))
        out = np.zeros((len(self.values), weights_ND.shape[1]), dtype=weights_ND.dtype)
        kept = np.flatnonzero(members[self.order])
        if kept.size:
            group = np.searchsorted(self.starts, kept, side="right") - 1
            own, starts = np.unique(group, return_index=True)
            out[own] = np.add.reduceat(weights_ND[self.order[kept]], starts, axis=0)
        return out
