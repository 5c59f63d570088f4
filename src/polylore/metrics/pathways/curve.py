"""What frequency alone explains: the curve of cells that no donor can have helped.

Specification of `trace`, section 2.5.
"""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.rules import CurveForm
from polylore.metrics.resamples import Resamples
from polylore.metrics.weighted_logistic import Coefficients, Design, fit

EVENTS = 10
"""Right and wrong cells that a fit needs at least."""
RELATION_PENALTY = 1.0
SLOPE_PENALTY = 1e-4
"""Keeps a slope finite where exposure separates right from wrong without exception."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve: column 0 of its coefficients is the estimate, the others are draws."""

    coefficients: Coefficients
    """Dense: intercept, slope of log10(1 + E), and that of the donor's if `with_donor`."""
    with_donor: bool
    n: int
    right: int
    reason: str | None
    """Why there is no curve; null if there is one."""
    flat_D: Array
    """Weightings whose slope was not positive: exposure was left out of them."""

    def p(self, evidence: Evidence, at: tuple[Array, ...], columns: slice) -> Array:
        """Probability of being right without a donor, of cells (facts, languages): (N, D)."""
        x = _predictors(evidence, at, with_donor=self.with_donor)
        return self.coefficients.probabilities(x, self._levels(evidence, at), columns)

    def floor(self, evidence: Evidence, at: tuple[Array, ...], columns: slice) -> Array:
        """The same at exposure zero: p_0, what guessing alone gives."""
        x = _predictors(evidence, at, with_donor=self.with_donor)
        x[:, 1:] = 0
        return self.coefficients.probabilities(x, self._levels(evidence, at), columns)

    def _levels(self, evidence: Evidence, at: tuple[Array, ...]) -> Array:
        return np.asarray(evidence.relation_F[at[0]])

    @property
    def exists(self) -> bool:
        """Whether there is an estimate."""
        return self.reason is None


def fit_curve(
    evidence: Evidence, resamples: Resamples, form: CurveForm, *, with_donor: bool = False
) -> Curve:
    """Fit p = sigmoid(a + b log10(1 + E) + effect of the relation) to cells without help.

    Fitted again in every draw. Penalised maximum likelihood: half the sum of squares of the
    relations' effects is added (none for form ``pooled``). Where b is not positive, b is set to
    zero and the rest fitted again, so p is the relation's mean.

    Args:
        evidence: the cells of one checkpoint.
        resamples: weightings of the facts.
        form: ``relation`` or ``pooled``.
        with_donor: the second curve of section 5.4: the donor's log10(1 + E) as a further
            predictor, fitted to cells outside the pivot only, to guard against undercounted E.

    Returns:
        The curve; without coefficients where fewer than 10 cells are right or wrong.
    """
    cells = evidence.fitting
    if with_donor:
        cells = cells & evidence.foreign_L & ~np.isnan(evidence.x_donor)
    at = np.nonzero(cells)
    y_N = evidence.y[at]
    n, right = len(y_N), int(y_N.sum())
    relations = len(evidence.index.relations) if form == "relation" else 0
    reason = None
    if min(right, n - right) < EVENTS:
        scarce = "right" if right <= n - right else "wrong"
        reason = f"fewer than {EVENTS} {scarce} answers without a donor"
    if reason is None and with_donor and evidence.kind == "none":
        reason = "no exposure known"
    if reason is not None:
        nothing = np.full((2 + with_donor, resamples.width), np.nan)
        empty = Coefficients(nothing, np.full((relations, resamples.width), np.nan))
        return Curve(empty, with_donor, n, right, reason, np.zeros(resamples.width, dtype=bool))
    x_NP = _predictors(evidence, at, with_donor=with_donor)
    groups = _Groups.of(x_NP, evidence.relation_F[at[0]] if relations else np.zeros(n, dtype=int))
    penalty = np.array([0.0, *[SLOPE_PENALTY] * (x_NP.shape[1] - 1)])
    design = Design(groups.x_GP, groups.level_G, relations, penalty, RELATION_PENALTY)
    counts = [
        resamples.sums(at[0][kept], groups.group_N[kept], len(groups.x_GP))
        for kept in (np.ones(n, dtype=bool), y_N == 1)
    ]
    found = _fit_all(design, counts[0], counts[1], resamples)
    flat_D = ~(found.dense_PD[1] > 0) & ~np.isnan(found.dense_PD[1])
    if evidence.kind == "none":
        flat_D = np.ones(resamples.width, dtype=bool)
    if flat_D.any():
        found = _flattened(design, counts, found, flat_D)
    if np.isnan(found.dense_PD[:, 0]).any():
        reason = "the fit did not settle"
    return Curve(found, with_donor, n, right, reason, flat_D)


def _fit_all(design: Design, n: Array, right: Array, resamples: Resamples) -> Coefficients:
    """The data first; each draw starts from its estimate."""
    parts: list[Coefficients] = []
    for columns in resamples.blocks(len(design.x_GP)):
        start = parts[0] if parts else None
        parts.append(fit(design, n[:, columns], right[:, columns], start))
    return Coefficients(
        np.concatenate([p.dense_PD for p in parts], axis=1),
        np.concatenate([p.effect_RD for p in parts], axis=1),
    )


def _flattened(
    design: Design, counts: list[Array], found: Coefficients, flat_D: Array
) -> Coefficients:
    """The same without exposure where its slope was not positive."""
    kept = [i for i in range(design.x_GP.shape[1]) if i != 1]
    less = Design(
        design.x_GP[:, kept],
        design.level_G,
        design.levels,
        design.penalty_P[kept],
        design.penalty_R,
    )
    again = fit(less, counts[0][:, flat_D], counts[1][:, flat_D], None)
    dense, effect = found.dense_PD.copy(), found.effect_RD.copy()
    dense[np.array(kept)[:, None], np.flatnonzero(flat_D)] = again.dense_PD
    dense[1, flat_D] = 0
    effect[:, flat_D] = again.effect_RD
    return Coefficients(dense, effect)


@dataclass(frozen=True)
class _Groups:
    """Cells with equal predictors, fitted as one."""

    x_GP: Array
    level_G: Array
    group_N: Array

    @classmethod
    def of(cls, x_NP: Array, level_N: Array) -> "_Groups":
        keys = np.column_stack([level_N, x_NP])
        distinct, group_N = np.unique(keys, axis=0, return_inverse=True)
        return cls(distinct[:, 1:], distinct[:, 0].astype(np.int64), group_N.ravel())


def _predictors(evidence: Evidence, at: tuple[Array, ...], *, with_donor: bool) -> Array:
    columns = [np.ones(len(at[0])), evidence.x[at]]
    if with_donor:
        columns.append(evidence.x_donor[at])
    return np.column_stack(columns)


def half_exposure(intercept: Array, slope: Array) -> Array:
    """Exposure at which p = 1/2; NaN without a positive slope."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        at = np.where(slope > 0, 10 ** (-intercept / slope) - 1, np.nan)
    return np.asarray(np.where(np.isfinite(at), np.maximum(at, 0), np.nan))
