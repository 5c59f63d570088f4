"""Logistic regression by Newton's method, with an optional ridge penalty."""

import numpy as np

from polylore.metrics.index import Array

STEPS = 100
TOLERANCE = 1e-10


def logistic_fit(
    x_NK: Array, y_N: Array, penalty_K: Array | None = None, *, start: Array | None = None
) -> Array:
    """Coefficients that minimise the negative log-likelihood plus half the penalised squares.

    Args:
        x_NK: predictors; give a column of ones for an intercept.
        y_N: outcomes, 0 or 1.
        penalty_K: ridge weight of each coefficient (0 = free); all free if absent.
        start: coefficients to start from; zero if absent or unknown.

    Returns:
        float64 (K,); NaN with one class or if the fit does not settle (separable data, no penalty).
    """
    k = x_NK.shape[1]
    failed = np.full(k, np.nan)
    if not len(y_N) or y_N.min() == y_N.max():
        return failed
    penalty = np.zeros(k) if penalty_K is None else np.asarray(penalty_K, dtype=np.float64)
    beta = np.zeros(k) if start is None or np.isnan(start).any() else start
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x_NK @ beta, -500, 500)))
        gradient = x_NK.T @ (p - y_N) + penalty * beta
        hessian = (x_NK * (p * (1 - p))[:, None]).T @ x_NK + np.diag(penalty)
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return failed
        beta = beta - step
        if np.abs(step).max() < TOLERANCE:
            return beta
    return failed
