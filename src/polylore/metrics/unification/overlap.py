"""Jaccard overlap of neighbours and of active units, minus chance (section 10.2).

Confounded where words are more frequent in one language than in the other: frequent words have
other neighbours and larger activations whatever they mean.
"""

import numpy as np
from scipy.stats import hypergeom

from polylore.errors import DataError
from polylore.metrics.index import Array

K = 10


def neighbour_overlap(x_ND: Array, y_ND: Array, k: int = K) -> Array:
    """|A n B|/|A u B| of each item's k nearest other items in two languages: (N,).

    Args:
        x_ND: states at unit length in one language.
        y_ND: the same items in the other.
        k: neighbours; ties go to the earlier item.
    """
    _check(k, len(x_ND) - 1, "other items")
    sets = []
    for z in (x_ND, y_ND):
        cosines = z @ z.T
        np.fill_diagonal(cosines, -np.inf)
        sets.append(_largest(cosines, k))
    return _jaccard(*sets)


def unit_overlap(x_ND: Array, y_ND: Array, k: int = K) -> Array:
    """The same of each item's k most active units: (N,)."""
    _check(k, x_ND.shape[1], "units")
    return _jaccard(_largest(x_ND, k), _largest(y_ND, k))


def chance_overlap(n: int, k: int = K) -> float:
    """Expected Jaccard of two random sets of k among n, about k/(2n - k)."""
    _check(k, n, "candidates")
    shared = np.arange(k + 1)
    return float((hypergeom(n, k, k).pmf(shared) * shared / (2 * k - shared)).sum())


def _check(k: int, n: int, what: str) -> None:
    if not 1 <= k <= n:
        raise DataError(f"An overlap of {k} among {n} {what} is not defined; choose k in 1..{n}.")


def _largest(values_NC: Array, k: int) -> Array:
    """Which k columns of each row are largest: bool (N, C)."""
    order = np.argsort(-values_NC, axis=1, kind="stable")[:, :k]
    out = np.zeros(values_NC.shape, dtype=bool)
    np.put_along_axis(out, order, True, axis=1)
    return out


def _jaccard(a_NC: Array, b_NC: Array) -> Array:
    return np.asarray((a_NC & b_NC).sum(axis=1) / (a_NC | b_NC).sum(axis=1))
