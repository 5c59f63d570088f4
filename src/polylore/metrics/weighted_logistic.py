"""Logistic regression of counts, fitted at once under many weightings of the same data."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from polylore.metrics.index import Array

STEPS = 60
TOLERANCE = 1e-4
"""Length of the last step: what it leaves is of the order of its square."""
LONGEST = 3.0
"""Longest change of a coefficient in one step, so that a first step cannot leave the field."""


@dataclass(frozen=True)
class Design:
    """Predictors of G groups of equal items, in the order of the factor's levels."""

    x_GP: Array
    """Dense predictors; give a column of ones for an intercept."""
    level_G: Array
    """Level of the factor, 0..R-1, never falling."""
    levels: int
    """R; 0 for no factor."""
    penalty_P: Array
    """Ridge weight of each dense coefficient: half of it times the square is added."""
    penalty_R: float
    """Ridge weight of each level's effect."""

    def sums(self, values_GD: Array) -> Array:
        """Sum over the groups of each level: (R, D)."""
        out = np.zeros((self.levels, values_GD.shape[1]))
        if self.levels:
            present, starts = np.unique(self.level_G, return_index=True)
            out[present] = np.add.reduceat(values_GD, starts, axis=0)
        return out


@dataclass(frozen=True)
class Coefficients:
    """Fitted coefficients by weighting; NaN where a fit did not settle."""

    dense_PD: Array
    effect_RD: Array

    def logits(self, x_NP: Array, level_N: Array, columns: slice = slice(None)) -> Array:
        """Linear predictor of N items under each weighting: (N, D)."""
        eta = np.asarray(x_NP @ self.dense_PD[:, columns])
        if len(self.effect_RD):
            eta += self.effect_RD[level_N, columns]
        return eta

    def probabilities(self, x_NP: Array, level_N: Array, columns: slice = slice(None)) -> Array:
        """Fitted probability of N items under each weighting: (N, D)."""
        return np.asarray(expit(self.logits(x_NP, level_N, columns)))


def fit(design: Design, n_GD: Array, right_GD: Array, start: Coefficients | None) -> Coefficients:
    """Penalised maximum likelihood under every weighting, by Newton's method.

    Args:
        design: predictors of the groups.
        n_GD: weight of each group by weighting.
        right_GD: weight of the items with outcome 1.
        start: coefficients to start from, one column for all; zero if absent.

    Returns:
        Coefficients by weighting; NaN for a weighting without both outcomes, and where Newton's
        method has not settled.
    """
    p, width = design.x_GP.shape[1], n_GD.shape[1]
    dense = np.zeros((p, width)) if start is None else np.tile(start.dense_PD[:, :1], width)
    effect = np.zeros((design.levels, width))
    if start is not None:
        effect = np.tile(start.effect_RD[:, :1], width)
    newton = _Newton(design)
    total, right = n_GD.sum(axis=0), right_GD.sum(axis=0)
    # A start that failed would only spread.
    active = np.flatnonzero((right > 0) & (right < total) & ~np.isnan(dense).any(axis=0))
    settled = np.zeros(width, dtype=bool)
    for _ in range(STEPS):
        if not active.size:
            break
        steps = newton.step(
            dense[:, active], effect[:, active], n_GD[:, active], right_GD[:, active]
        )
        size = np.abs(np.concatenate(steps)).max(axis=0)
        scale = np.minimum(1, LONGEST / np.maximum(size, LONGEST))
        dense[:, active] -= steps[0] * scale
        effect[:, active] -= steps[1] * scale
        settled[active[size < TOLERANCE]] = True
        active = active[(size >= TOLERANCE) & np.isfinite(size)]
    dense[:, ~settled] = np.nan
    effect[:, ~settled] = np.nan
    return Coefficients(dense, effect)


class _Newton:
    """Newton steps that use the shape of the Hessian: the factor's block is diagonal."""

    def __init__(self, design: Design) -> None:
        self.design = design
        x = design.x_GP
        self.pairs = [(i, j) for i in range(x.shape[1]) for j in range(i, x.shape[1])]
        self.products_QG = np.stack([x[:, i] * x[:, j] for i, j in self.pairs])

    def step(self, dense: Array, effect: Array, n: Array, right: Array) -> tuple[Array, Array]:
        """Steps to subtract from the dense coefficients (P, D) and the effects (R, D)."""
        design = self.design
        p = Coefficients(dense, effect).probabilities(design.x_GP, design.level_G)
        expected = n * p
        rest = expected - right
        of_dense = design.x_GP.T @ rest + design.penalty_P[:, None] * dense
        weight = expected * (1 - p)
        sums = self.products_QG @ weight
        block = np.empty((weight.shape[1], len(dense), len(dense)))
        for number, (i, j) in enumerate(self.pairs):
            block[:, i, j] = block[:, j, i] = sums[number]
        block[:, range(len(dense)), range(len(dense))] += design.penalty_P
        if not design.levels:
            return _solve(block, of_dense), effect
        of_effect = design.sums(rest) + design.penalty_R * effect
        ones = (design.x_GP == 1).all(axis=0)
        own = design.sums(weight)
        columns = enumerate(design.x_GP.T)
        cross = np.stack([own if ones[i] else design.sums(weight * x[:, None]) for i, x in columns])
        own = own + design.penalty_R
        scaled = cross / own
        block -= np.einsum("prd,qrd->dpq", scaled, cross)
        dense_step = _solve(block, of_dense - np.einsum("prd,rd->pd", scaled, of_effect))
        return dense_step, (of_effect - np.einsum("prd,pd->rd", cross, dense_step)) / own


def _solve(block_DPP: Array, right_PD: Array) -> Array:
    """Solve each system; NaN where one is singular."""
    try:
        return np.asarray(np.linalg.solve(block_DPP, right_PD.T[:, :, None])[:, :, 0].T)
    except np.linalg.LinAlgError:
        out = np.full(right_PD.shape, np.nan)
        for d in range(right_PD.shape[1]):
            if np.linalg.matrix_rank(block_DPP[d]) == len(block_DPP[d]):
                out[:, d] = np.linalg.solve(block_DPP[d], right_PD[:, d])
        return out
