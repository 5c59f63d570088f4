"""What every item contributes to the unification scores of two languages (section 2.6).

All scores but CKA and the orthogonal map are means over items of these numbers, so a bootstrap can
weigh items without ever comparing an item with its own copy (section 2.10).
"""

from dataclasses import dataclass, fields

import numpy as np

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.unification.vectors import Distractors, row_blocks

TIE = 1e-6
"""Cosines closer than this are equal: states are float32."""


@dataclass(frozen=True)
class Contributions:
    """Numbers of N items; NaN for items without a direction or without distractors."""

    par: Array
    """Cosine of an item's two states."""
    within_a: Array
    """Mean cosine with the distractors in the first language."""
    within_b: Array
    """The same in the second."""
    cross: Array
    """Mean cosine with the distractors in the other language, both ways."""
    auc: Array
    """P(par > cosine with a distractor in its own language), ties half, both ways."""
    rank: Array
    """Mid-rank of the translation among distractors and itself, both ways; 1 is nearest."""
    ret: Array
    """Share of the credit for the nearest place, both ways."""

    @property
    def within(self) -> Array:
        """Mean of the two languages."""
        return (self.within_a + self.within_b) / 2

    def spread(self, kept: Array) -> "Contributions":
        """The same among more items: `kept` says which of them these are, the rest is NaN."""
        out = {}
        for field in fields(self):
            whole = np.full(len(kept), np.nan)
            whole[kept] = getattr(self, field.name)
            out[field.name] = whole
        return Contributions(**out)


def contributions(x_ND: Array, y_ND: Array, distractors: Distractors) -> Contributions:
    """Compare N items in two languages.

    Args:
        x_ND: states in the first language at unit length; NaN rows take no part.
        y_ND: states of the same items in the second.
        distractors: which items are held against which.

    Returns:
        float64 (N,) each.
    """
    kept = np.asarray(~np.isnan(x_ND + y_ND).any(axis=1))
    if not kept.all():
        return contributions(x_ND[kept], y_ND[kept], distractors.of(kept)).spread(kept)
    par = np.einsum("nd,nd->n", x_ND, y_ND)
    parts = [
        [_side(x_ND, y_ND, par, distractors, rows), _side(y_ND, x_ND, par, distractors, rows)]
        for rows in row_blocks(len(par))
    ]
    if not parts:
        return Contributions(*(np.zeros(0) for _ in fields(Contributions)))
    a, b = (np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1))
    both = (a + b) / 2
    return Contributions(par, a[0], b[0], *both[1:])


def _side(own: Array, other: Array, par: Array, distractors: Distractors, rows: slice) -> Array:
    """Rows within, cross, auc, rank and ret of one language's items: (5, rows)."""
    mask = distractors.mask(rows)
    n_R = mask.sum(axis=1).astype(np.float64)
    par_R1 = par[rows, None]
    inside = own[rows] @ own.T
    across = own[rows] @ other.T
    sums = [matrix.sum(axis=1, where=mask) for matrix in (inside, across)]
    # NaN is neither nearer nor farther nor equal.
    inside[~mask] = across[~mask] = np.nan
    won, drawn = _counts(inside, par_R1)
    farther, level = _counts(across, par_R1)
    nearer = n_R - farther - level
    alone = n_R == 0
    return np.stack(
        [
            divide(sums[0], n_R),
            divide(sums[1], n_R),
            divide(won + drawn / 2, n_R),
            np.where(alone, np.nan, 1 + nearer + level / 2),
            np.where(alone, np.nan, np.where(nearer == 0, 1 / (1 + level), 0.0)),
        ]
    )


def _counts(cosines_RN: Array, par_R1: Array) -> tuple[Array, Array]:
    """How many cosines of each row are below par, and how many equal it."""
    below = np.count_nonzero(cosines_RN < par_R1 - TIE, axis=1)
    return below, np.count_nonzero(cosines_RN <= par_R1 + TIE, axis=1) - below
