"""Jaccard of what two languages know, and the values it must be read against."""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array

TOLERANCE = 1e-12
"""Ceiling and chance closer than this leave nothing to normalise."""


def jaccard(both: Array, a: Array, b: Array) -> Array:
    """|A and B| / |A or B| from counts; 0 when nobody is right (`trace`, section 2.1)."""
    return np.nan_to_num(divide(both, a + b - both))


def independent_jaccard(a: Array, b: Array) -> Array:
    """J0 = ab/(a + b - ab): Jaccard of two independent languages with accuracies a and b."""
    return divide(a * b, a + b - a * b)


def largest_jaccard(a: Array, b: Array) -> Array:
    """Jmax = min/max of the accuracies; NaN if nobody is right."""
    return divide(np.minimum(a, b), np.maximum(a, b))


def normalised_jaccard(j: Array, j0: Array, jmax: Array) -> Array:
    """(J - J0)/(Jmax - J0); NaN when Jmax = J0 (one language knows everything or nothing)."""
    gap = jmax - j0
    return divide(j - j0, np.where(np.abs(gap) < TOLERANCE, 0, gap))


@dataclass(frozen=True)
class PairCounts:
    """Sums over the facts that both languages answered; any leading shape, last axis P."""

    n: Array
    a: Array
    b: Array
    both: Array

    def forms(self) -> dict[str, Array]:
        """Every form of Jaccard, and the two conditional shares, by column of CONSISTENCY."""
        share_a, share_b = divide(self.a, self.n), divide(self.b, self.n)
        j = jaccard(self.both, self.a, self.b)
        j0, jmax = independent_jaccard(share_a, share_b), largest_jaccard(share_a, share_b)
        return {
            "jaccard": j,
            "j0": j0,
            "jmax": jmax,
            "j_norm": normalised_jaccard(j, j0, jmax),
            "p_b_given_a": divide(self.both, self.a),
            "p_a_given_b": divide(self.both, self.b),
        }
