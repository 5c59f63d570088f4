"""Rank correlations under weights, plain and partial, and isotonic error (section 2.10)."""

import numpy as np
from scipy.optimize import isotonic_regression

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array

FLAT = 1e-9
"""Share of a variable's own variance below which nothing is left of it."""


def weighted_ranks(x_N: Array, weights_DN: Array) -> Array:
    """Mid-ranks when item n counts w times, under each row of weights: (D, N)."""
    below_NN = (x_N[:, None] < x_N).astype(np.float64) + (x_N[:, None] == x_N) / 2
    return np.asarray(weights_DN @ below_NN) + 0.5


def correlations(columns_CDN: Array, weights_DN: Array) -> Array:
    """Correlation of column 0 with column 1 given all others, under each row of weights: (D,).

    The others are regressed out of both, which leaves their residuals' correlation. NaN where
    nothing is left of one.

    Args:
        columns_CDN: values of the columns in each draw.
        weights_DN: times each item counts.
    """
    total_D1 = weights_DN.sum(axis=1, keepdims=True)
    mean_CD1 = (columns_CDN * weights_DN).sum(axis=2, keepdims=True) / total_D1
    x_CDN = columns_CDN - mean_CD1
    cov_DCC = np.einsum("adn,bdn,dn->dab", x_CDN, x_CDN, weights_DN, optimize=True)
    left = cov_DCC[:, :2, :2]
    if cov_DCC.shape[1] > 2:
        across = cov_DCC[:, :2, 2:]
        inverse = np.linalg.pinv(cov_DCC[:, 2:, 2:], rcond=FLAT, hermitian=True)
        left = left - across @ inverse @ across.swapaxes(1, 2)
    own_D2 = np.einsum("daa->da", left)
    whole_D2 = np.einsum("daa->da", cov_DCC)[:, :2]
    gone = (own_D2 <= FLAT * whole_D2).any(axis=1)
    below = np.sqrt(np.where(gone, 0, np.maximum(own_D2, 0).prod(axis=1)))
    return np.clip(divide(left[:, 0, 1], below), -1, 1)


def spearman_draws(x_N: Array, y_N: Array, weights_DN: Array, given_NG: Array | None = None) -> (
    Array
):  # fmt: skip
    """Spearman with mid-ranks, or its partial form from rank residuals: (D,)."""
    columns = [x_N, y_N, *(() if given_NG is None else given_NG.T)]
    ranks = np.stack([weighted_ranks(column, weights_DN) for column in columns])
    return correlations(ranks, weights_DN)


def isotonic_mae(x: Array, y: Array, fit_N: Array) -> float:
    """Mean absolute error of y on items that an isotonic fit of x has not seen.

    Between the fitted points the prediction is interpolated, beyond them constant.

    Args:
        x: predictor.
        y: outcome.
        fit_N: items the fit may see.
    """
    if not fit_N.any() or fit_N.all():
        return float("nan")
    knots, inverse = np.unique(x[fit_N], return_inverse=True)
    n = np.bincount(inverse).astype(np.float64)
    fitted = isotonic_regression(np.bincount(inverse, y[fit_N]) / n, weights=n).x
    return float(np.abs(np.interp(x[~fit_N], knots, fitted) - y[~fit_N]).mean())
