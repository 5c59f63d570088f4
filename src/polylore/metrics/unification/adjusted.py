"""Does a score say who is right beyond what else is known of a fact? (section 10.2)"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import FOLDS, Array
from polylore.metrics.ranking import auc
from polylore.metrics.unification.resampling import cluster_weights
from polylore.metrics.weighted_logistic import Coefficients, Design, fit

RIDGE = 0.01
"""Small against the curvature of a real fit; it only keeps separable data from running away."""
DRAWS = 200


@dataclass(frozen=True)
class Adjusted:
    """Coefficient of a z-scored score in a logistic fit; NaN where undefined."""

    coef: float
    lo: float
    hi: float
    delta_auc: float
    """AUC of out-of-fold predictions with the score minus that without it."""


def adjusted(
    score_N: Array,
    right_N: Array,
    covariates_NP: Array,
    clusters: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Adjusted:
    """Logistic fit of right/wrong on a score and covariates, all z-scored.

    Args:
        score_N: the score.
        right_N: bool.
        covariates_NP: what else is known; columns that are constant change nothing.
        clusters: fact of each row: draws and folds take all rows of a fact together.
        draws: bootstrap draws of the coefficient.
        seed: seed of draws and folds.
    """
    x = np.column_stack([score_N, covariates_NP]).astype(np.float64)
    sd = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)
    x = np.column_stack([np.ones(len(x)), x])
    weights_NB = np.ones((len(x), 1))
    if draws:
        drawn = cluster_weights(clusters, draws=draws, seed=seed).T
        weights_NB = np.concatenate([weights_NB, drawn], axis=1)
    coef_B = _fit(x, right_N, weights_NB).dense_PD[1]
    lo, hi = interval(coef_B[1:, None])
    fold_N = _folds(clusters, seed)
    gain = _out_of_fold(x, right_N, fold_N) - _out_of_fold(np.delete(x, 1, axis=1), right_N, fold_N)
    return Adjusted(float(coef_B[0]), float(lo[0]), float(hi[0]), gain)


def _fit(x_NP: Array, right_N: Array, weights_NB: Array) -> Coefficients:
    penalty = np.full(x_NP.shape[1], RIDGE)
    penalty[0] = 0
    design = Design(x_NP, np.zeros(len(x_NP), dtype=np.int64), 0, penalty, 0.0)
    return fit(design, weights_NB, weights_NB * right_N[:, None], None)


def _folds(clusters: Sequence[str], seed: int) -> Array:
    names, code_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    fold_C = np.random.default_rng([seed, 3]).permutation(len(names)) % FOLDS
    return np.asarray(fold_C[code_N])


def _out_of_fold(x_NP: Array, right_N: Array, fold_N: Array) -> float:
    """AUC of predictions for rows that a fit has not seen."""
    logits = np.full(len(x_NP), np.nan)
    weights = np.stack([(fold_N != k).astype(np.float64) for k in range(FOLDS)], axis=1)
    coefficients = _fit(x_NP, right_N, weights).dense_PD
    for k in range(FOLDS):
        own = fold_N == k
        logits[own] = x_NP[own] @ coefficients[:, k]
    return float("nan") if np.isnan(logits).any() else auc(logits, right_N)
