"""Exchanging facts among those that are alike: the placebo of every claim about donors."""

import numpy as np

from polylore.metrics.index import Array

TENTHS = 10
FEWEST = 5
"""Facts that a group of alike facts holds at least, where the relation has them."""


def alike_groups(relation_F: Array, x_F: Array) -> Array:
    """Group of each fact: same relation, and same tenth of the relation by donor exposure.

    Where a relation has fewer than 50 facts its parts are larger than a tenth, so that there is
    somebody to be exchanged with.

    Args:
        relation_F: number of each fact's relation.
        x_F: the donor's exposure; unknown (NaN) counts as largest.
    """
    group_F = np.zeros(len(relation_F), dtype=np.int64)
    for relation in np.unique(relation_F):
        own = np.flatnonzero(relation_F == relation)
        parts = int(np.clip(len(own) // FEWEST, 1, TENTHS))
        rank = np.argsort(np.argsort(x_F[own], kind="stable"), kind="stable")
        group_F[own] = relation * TENTHS + rank * parts // len(own)
    return group_F


def exchange(group_F: Array, generator: np.random.Generator) -> Array:
    """A random permutation of facts that keeps every fact in its group: partner of each fact."""
    shuffled = generator.permutation(len(group_F))
    partner_F = np.empty(len(group_F), dtype=np.int64)
    # Both orders list the facts group by group; the second in random order within each.
    partner_F[np.argsort(group_F, kind="stable")] = shuffled[
        np.argsort(group_F[shuffled], kind="stable")
    ]
    return partner_F
