"""Scores that a linear map does not fool: CKA, and U_norm after an orthogonal map (2.6)."""

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.unification.contributions import contributions
from polylore.metrics.unification.scores import Scores
from polylore.metrics.unification.vectors import VANISHING, Distractors


def cka(x_ND: Array, y_ND: Array) -> float:
    """Linear CKA, biased: |X'Y|^2 / (|X'X| |Y'Y|) of column-centred X and Y.

    NaN with fewer than 2 items or a constant side. Rises with dimensions over items.
    """
    if len(x_ND) < 2:
        return float("nan")
    x, y = _centred(x_ND), _centred(y_ND)
    if x is None or y is None:
        return float("nan")
    below = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(x.T @ y) ** 2 / below)


def cka_debiased(x_ND: Array, y_ND: Array) -> float:
    """CKA from the unbiased estimator of HSIC (Song et al. 2012), in closed form of the features.

    NaN with fewer than 4 items, a constant side, or a self-similarity that is not positive.
    """
    if len(x_ND) < 4:
        return float("nan")
    # Translations leave the estimator as it is; centring keeps its sums small.
    x, y = _centred(x_ND), _centred(y_ND)
    if x is None or y is None:
        return float("nan")
    own = _hsic(x, x) * _hsic(y, y)
    return float(_hsic(x, y) / np.sqrt(own)) if own > 0 else float("nan")


def _centred(x_ND: Array) -> Array | None:
    x = np.asarray(x_ND, dtype=np.float64)
    centred = x - x.mean(axis=0)
    usual = np.sqrt(np.mean(x**2))
    constant = not np.isfinite(x).all() or np.sqrt(np.mean(centred**2)) <= VANISHING * usual
    return None if constant else centred


def _hsic(x: Array, y: Array) -> float:
    """HSIC_1 of the Gram matrices of x and y with zero diagonals."""
    n = len(x)
    diagonal_k, diagonal_l = (x**2).sum(axis=1), (y**2).sum(axis=1)
    rows_k = x @ x.sum(axis=0) - diagonal_k
    rows_l = y @ y.sum(axis=0) - diagonal_l
    trace = np.linalg.norm(x.T @ y) ** 2 - diagonal_k @ diagonal_l
    sums = rows_k.sum() * rows_l.sum() / ((n - 1) * (n - 2))
    return float((trace + sums - 2 * rows_k @ rows_l / (n - 2)) / (n * (n - 3)))


def u_proc(x_ND: Array, y_ND: Array, fit_N: Array, distractors: Distractors) -> float:
    """U_norm of items that an orthogonal map of X to Y has not seen: linear alignability.

    Args:
        x_ND: states at unit length; rows with NaN take no part.
        y_ND: the same in the other language.
        fit_N: items that the map is fitted on; the others are scored.
        distractors: which items are held against which.
    """
    kept = np.asarray(~np.isnan(x_ND + y_ND).any(axis=1))
    fitted, scored = kept & fit_N, kept & ~fit_N
    if fitted.sum() < 2 or scored.sum() < 2:
        return float("nan")
    left, _, right = np.linalg.svd(x_ND[fitted].T @ y_ND[fitted])
    mapped = x_ND[scored] @ (left @ right)
    return float(Scores.of(contributions(mapped, y_ND[scored], distractors.of(scored))).u_norm)


def half_of(entities: Array, seed: int) -> Array:
    """One half of the entities, as a flag of each item: bool (N,)."""
    names, code_N = np.unique(entities, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(np.isin(code_N, order[: len(names) // 2]))
