"""The null of shuffled pairs: translations exchanged within their relation (section 2.6)."""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.unification.scores import normalised
from polylore.metrics.unification.vectors import Distractors, row_blocks

DRAWS = 200


@dataclass(frozen=True)
class Null:
    """Scores of shuffled pairs, one per draw."""

    par: Array
    u_norm: Array
    u_diff: Array
    u_pair: Array
    """NaN for distractors of other values: who they are would depend on the shuffle."""


def permutations(groups: Array, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Uniform permutations of items within their group, items that stay included: (draws, N)."""
    generator = np.random.default_rng(seed)
    out = np.tile(np.arange(len(groups)), (draws, 1))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        out[:, members] = generator.permuted(np.tile(members, (draws, 1)), axis=1)
    return out


def shuffled_null(
    x_ND: Array, y_ND: Array, within: float, swaps_KN: Array, distractors: Distractors
) -> Null:
    """Scores when item i is paired with the translation of another item of its relation.

    Args:
        x_ND: states at unit length, without NaN.
        y_ND: the same in the other language.
        within: similarity of different items in one language, which no shuffle changes.
        swaps_KN: partner of each item in each draw, from `permutations`.
        distractors: which items are held against which.
    """
    n = len(x_ND)
    par_K = np.zeros(len(swaps_KN))
    cross_K = np.zeros(len(swaps_KN))
    for rows in row_blocks(n):
        across = x_ND[rows] @ y_ND.T
        mask = distractors.mask(rows)
        own = np.arange(n)[rows]
        mask[np.arange(len(own)), own] = True
        n_R = mask.sum(axis=1)
        total_R = np.einsum("rn,rn->r", across, mask)
        picked_KR = across[np.arange(len(own)), swaps_KN[:, rows]]
        par_K += picked_KR.sum(axis=1)
        # Shuffles stay within a relation, so an item's distractors are the rest of its row.
        rest_KR = (total_R - picked_KR)[:, n_R > 1]
        cross_K += (rest_KR / (n_R[n_R > 1] - 1)).sum(axis=1)
    par_K, cross_K = par_K / n, cross_K / n
    if distractors.kind == "diff_value":
        cross_K = np.full(len(cross_K), np.nan)
    return Null(par_K, normalised(par_K, np.asarray(within)), par_K - within, par_K - cross_K)
