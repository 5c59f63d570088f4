"""The superposition kernel with a gain of its own for every exposure.

D(t) = sum_i g_i K(t - t_i) with the K of `kernel`, where p, r, a and all g_i are fitted together.
One common gain, as in the specification of `inject`, section 2.4, rule 4, takes gains that fall
from exposure to exposure for forgetting; this kernel does not, and is the one that is reported
first. For given p, r and a the gains are linear least squares, so a alone is searched (variable
projection).
"""

from dataclasses import dataclass, replace

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import (
    RATES,
    TIE,
    Fits,
    Kernel,
    Mean,
    autocorrelation,
    ramp,
    shape_at,
    since_peak,
)
from polylore.metrics.injection.resample import Weights

LOWEST, HIGHEST = -1.0, 2.0
"""Bounds of a: twice the peak after ten steps; nothing left after three."""
# Decay constants from which the search begins on the data, and by which it is checked on resamples.
_SCAN = (-0.8, -0.4, -0.2, 0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6)
_AGAIN = (-0.6, -0.2, 0.3, 0.8, 1.4)
_ROUNDS, _POLISH = 2, 40
"""Steps of a at every (p, r), from where the data are best, and at the best (p, r)."""
_LONGEST, _EXACT = 0.3, 1e-9
"""Longest step of a, and one that is none."""
_RIDGE = 1e-11
"""Relative weight of a ridge that keeps unread exposures solvable."""
_HOPELESS = 2.0
"""(p, r) whose error on the data is so many times the least are not tried on resamples."""
_NUMBERS = 4_000_000


@dataclass(frozen=True)
class FitsByExposure(Fits):
    """The same with the gains; g is their mean."""

    gains_DN: Array


@dataclass(frozen=True)
class _Moments:
    """Products of the columns A_i (risen), B_i (risen times log10 u) and y, per gain at the peak.

    Axes (D or 1, G or 1, N, N) and (D, G or 1, N).
    """

    aa: Array
    ab: Array
    bb: Array
    ya: Array
    yb: Array

    def some(self, rows: Array, rates: Array) -> "_Moments":
        """One rate of some curves each: G = 1."""

        def pick(values: Array) -> Array:
            at = np.zeros_like(rows) if len(values) == 1 else rows
            return np.asarray(values[at, np.minimum(rates, values.shape[1] - 1)][:, None])

        parts = (self.aa, self.ab, self.bb, self.ya, self.yb)
        return _Moments(*(pick(part) for part in parts))

    def solved(self, a: Array) -> tuple[Array, Array, Array]:
        """At decay constants a (D, G): X'X, gains at the peak, and the error less y'y."""
        one = a[..., None, None]
        both = self.ab + np.swapaxes(self.ab, -1, -2)
        gram = self.aa - one * both + one**2 * self.bb
        size = np.einsum("dgii->dg", gram).max(axis=1, initial=1e-300)[:, None, None, None]
        gram += _RIDGE * size * np.eye(gram.shape[-1])
        moment = self.ya - a[..., None] * self.yb
        gains = np.linalg.solve(gram, moment[..., None])[..., 0]
        return gram, gains, -(gains * moment).sum(axis=-1)

    def at(self, a: Array) -> tuple[Array, Array, Array, Array]:
        """At decay constants a (D, G): gains, the error less y'y, half its slope and curvature.

        The slope is exact, the curvature that of Gauss and Newton.
        """
        gram, gains, error = self.solved(a)
        # dX/da = -B: what a step of a takes away, as it is (bent), less what refitting gives back.
        faded = _times(self.bb, gains)
        along = _times(self.ab, gains) - a[..., None] * faded
        across = _times(np.swapaxes(self.ab, -1, -2), gains) - a[..., None] * faded
        slope = (gains * (self.yb - across)).sum(axis=-1)
        refitted = np.linalg.solve(gram, along[..., None])[..., 0]
        bent = (gains * faded).sum(axis=-1) - (along * refitted).sum(axis=-1)
        return gains, error, slope, np.maximum(bent, 1e-300)


def _times(matrix: Array, vector: Array) -> Array:
    """Matrices (D or 1, G or 1, N, N) times vectors (D, G, N)."""
    if len(matrix) > 1:
        return np.asarray((matrix @ vector[..., None])[..., 0])
    found = vector.transpose(1, 0, 2) @ np.swapaxes(matrix[0], -1, -2)
    return np.asarray(found.transpose(1, 0, 2))


class _Design:
    """Columns of every rise and rate, and what they have in common with some curves."""

    def __init__(self, mean: Mean, weights: Weights, curve_DT: Array, part: slice) -> None:
        self.mean, self.curve_DT = mean, curve_DT[part]
        # Where all items share their exposures, so do all resamples.
        shares = mean.shares(Weights(weights.injected_DJ[part], weights.control_DK[part]))
        self.shares_DS = shares[:1] if shares.shape[1] == 1 else shares
        self.paired = shares.shape[1] ** 2 <= curve_DT.shape[1]

    def moments(self, p: int, rates: Array) -> _Moments:
        """Moments at a rise of p steps and some of the rates."""
        lags = self.mean.lags_SNT
        peak = np.array([1 - r**p for r in rates])
        risen = np.stack([ramp(lags, p, r) for r in rates], axis=1) / peak[:, None, None]
        # log10 u is zero until the rise is over, so this column is that of every rate.
        fading = np.where(lags > p, np.log10(since_peak(lags, p)), 0.0)[:, None]
        columns = np.concatenate([risen, fading], axis=1)
        blocks, y = self._by_pairs(columns) if self.paired else self._one_by_one(columns)
        last = len(rates)
        return _Moments(
            blocks[:, :last], blocks[:, last:-1], blocks[:, -1:], y[:, :last], y[:, last:]
        )

    def _by_pairs(self, columns: Array) -> tuple[Array, Array]:
        """Products of columns, and with y, from those of every two schedules."""
        s, *shape, states = columns.shape
        flat = columns.reshape(-1, states)
        each = _blocks((flat @ flat.T).reshape(s, *shape, s, *shape).transpose(0, 3, 1, 2, 4, 5))
        share = self.shares_DS
        pairs = (share[:, :, None] * share[:, None]).reshape(len(share), -1)
        y = (share[:, None] @ (self.curve_DT @ flat.T).reshape(-1, s, len(flat) // s))[:, 0]
        products = pairs @ each.reshape(s * s, -1)
        return products.reshape(-1, *each.shape[2:]), y.reshape(-1, *shape)

    def _one_by_one(self, columns: Array) -> tuple[Array, Array]:
        """The same where schedules are many, and their pairs more than the states."""
        s, *shape, states = columns.shape
        x_DWT = (self.shares_DS @ columns.reshape(s, -1)).reshape(len(self.shares_DS), -1, states)
        products = (x_DWT @ x_DWT.transpose(0, 2, 1)).reshape(-1, *shape, *shape)
        y = (x_DWT @ self.curve_DT[..., None])[..., 0]
        return _blocks(products), y.reshape(-1, *shape)


def _blocks(products: Array) -> Array:
    """Of all products (..., G + 1, N, G + 1, N): of A with A, A with B, rate by rate, B with B."""
    last = products.shape[-2] - 1
    own = [products[..., k, :, k, :] for k in range(last)]
    other = [products[..., k, :, last, :] for k in range(last)]
    return np.stack([*own, *other, products[..., last, :, last, :]], axis=-3)


def fit_by_exposure(mean: Mean, weights: Weights, curve_DT: Array) -> FitsByExposure:
    """Least squares over the grid and a, p ascending then r: the first of the smallest errors.

    Args:
        mean: the mean curve of a cell with at least two exposures.
        weights: D weightings of its items; row 0 is the data as they are.
        curve_DT: its curve under each of them.

    Returns:
        p, r, a, gains and errors, (D,) and (D, N); NaN where the curve could not be read. a is
        accurate to 1e-6, and lies within `LOWEST` and `HIGHEST`.
    """
    lost = np.isnan(np.column_stack([curve_DT, mean.shares(weights)]).sum(axis=1))
    curve_DT = np.where(lost[:, None], 0.0, curve_DT)
    kept = Weights(np.where(lost[:, None], 1.0, weights.injected_DJ), weights.control_DK)
    schedules, exposures, states = mean.lags_SNT.shape
    width = (len(RATES) + 1) * exposures
    # Pairs of schedules need no curves of every weighting.
    wide = states if schedules**2 > states else max(2 * exposures, schedules)
    at_once = max(1, _NUMBERS // (width * wide))
    shapes = _shapes(_Design(mean, kept, curve_DT, slice(0, 1)), mean.rises)
    parts = []
    for start in range(0, len(curve_DT), at_once):
        design = _Design(mean, kept, curve_DT, slice(start, start + at_once))
        parts.append(_fitted(design, shapes))
    found = [np.concatenate(values) for values in zip(*parts, strict=True)]
    return FitsByExposure(
        *(np.where(lost if v.ndim == 1 else lost[:, None], np.nan, v) for v in found)
    )


_Shapes = list[tuple[int, Array, Array]]
"""p, some rates, and the decay constants that are best with them on the data."""


def _shapes(design: _Design, rises: range) -> _Shapes:
    """Shapes that fit the data not hopelessly worse than the best one does."""
    rates = np.array(RATES)
    best, errors = [], []
    for p in rises:
        moments = design.moments(p, rates)
        each = moments.some(np.zeros(len(rates), dtype=np.int64), np.arange(len(rates)))
        a_G, _, error_G = _polished(each, _scanned(each))
        best.append(a_G)
        errors.append(error_G + float((design.curve_DT**2).sum()))
    bar = _HOPELESS * max(float(np.min(errors)), 0.0)
    kept = [error_G <= bar for error_G in errors]
    return [(p, rates[k], a[k]) for p, k, a in zip(rises, kept, best, strict=True) if k.any()]


def _fitted(design: _Design, shapes: _Shapes) -> tuple[Array, ...]:
    """p, r, mean gain, a, error and gains of every curve."""
    curve_DT = design.curve_DT
    n, rows = len(curve_DT), np.arange(len(curve_DT))
    best_D, place_D = np.full(n, np.inf), np.zeros(n, dtype=np.int64)
    k_D, a_D = np.zeros(n, dtype=np.int64), np.zeros(n)
    for place, (p, rates, start) in enumerate(shapes):
        moments = design.moments(p, rates)
        a_DG, error_DG = _stepped(moments, np.tile(start, (n, 1)))
        least_D = error_DG.min(axis=1)
        # Rates that differ by rounding alone (all of them, where p is 1) are equal.
        k = (error_DG <= least_D[:, None] + TIE * np.abs(least_D)[:, None]).argmax(axis=1)
        better = least_D < best_D - TIE * np.abs(least_D)
        best_D, place_D = np.where(better, least_D, best_D), np.where(better, place, place_D)
        k_D, a_D = np.where(better, k, k_D), np.where(better, a_DG[rows, k], a_D)
    gains_DN = np.zeros((n, design.mean.lags_SNT.shape[1]))
    p_D, r_D = np.zeros(n), np.zeros(n)
    for place in np.unique(place_D):
        p, rates, _ = shapes[place]
        own = np.flatnonzero(place_D == place)
        moments = design.moments(p, rates).some(own, k_D[own])
        a_D[own], gains_DN[own], best_D[own] = _polished(moments, _nearer(moments, a_D[own]))
        p_D[own], r_D[own] = p, rates[k_D[own]]
    gains_DN /= (1 - r_D**p_D)[:, None]
    sse_D = np.maximum((curve_DT**2).sum(axis=1) + best_D, 0.0)
    return p_D, r_D, gains_DN.mean(axis=1), a_D, sse_D, gains_DN


def _scanned(moments: _Moments, values: tuple[float, ...] = _SCAN) -> Array:
    """The best of some decay constants, of one rate each: (D,)."""
    shape = moments.ya.shape[:2]
    errors = np.stack([moments.solved(np.full(shape, a))[2] for a in values])
    return np.asarray(np.array(values)[errors.argmin(axis=0)[:, 0]])


def _nearer(moments: _Moments, a_D: Array) -> Array:
    """A start in another valley, if that is deeper, or the one given."""
    other_D = _scanned(moments, _AGAIN)
    errors = [moments.solved(a[:, None])[2][:, 0] for a in (a_D, other_D)]
    return np.where(errors[1] < errors[0], other_D, a_D)


def _stepped(moments: _Moments, a: Array) -> tuple[Array, Array]:
    """Some Gauss-Newton steps: where they end, and the error expected there; (D, G)."""
    for _ in range(_ROUNDS):
        _, error, slope, bent = moments.at(a)
        step = np.clip(-slope / bent, -_LONGEST, _LONGEST)
        a, old = np.clip(a + step, LOWEST, HIGHEST), a
        error += (2 * slope + bent * (a - old)) * (a - old)
    return a, error


def _polished(moments: _Moments, start_D: Array) -> tuple[Array, Array, Array]:
    """The least error near some start, of one rate each; a, gains at the peak, error less y'y.

    The slope of the error is exact, so its zero is found by secants that begin with Gauss-Newton.
    """
    a = start_D[:, None]
    _, error, slope, bent = moments.at(a)
    longest = np.full(a.shape, _LONGEST)
    for _ in range(_POLISH):
        step = np.clip(-slope / bent, -longest, longest)
        tried = np.clip(a + step, LOWEST, HIGHEST)
        _, found, tilt, curve = moments.at(tried)
        worse = found > error + 1e-13 * np.abs(error)
        moved = tried - a
        chord = np.divide(tilt - slope, moved, out=curve.copy(), where=np.abs(moved) > 1e-12)
        # A chord that bends the wrong way says nothing of where the minimum is.
        curve = np.where(chord > 0, chord, curve)
        longest = np.where(worse, np.abs(moved) / 4, longest)
        a = np.where(worse, a, tried)
        error, slope = np.where(worse, error, found), np.where(worse, slope, tilt)
        bent = np.where(worse, bent, curve)
        if np.all(np.abs(moved) < _EXACT):
            break
    _, gains, error = moments.solved(a)
    return a[:, 0], gains[:, 0], error[:, 0]


def kernel_by_exposure(mean: Mean, weights: Weights, fits: FitsByExposure) -> Kernel | None:
    """The kernel of the first weighting, with what its residuals say."""
    if len(mean.states_T) < 4 or np.isnan(fits.sse_D[0]):
        return None
    first = Weights(weights.injected_DJ[:1], weights.control_DK[:1])
    p, r, g, a = int(fits.p_D[0]), float(fits.r_D[0]), float(fits.g_D[0]), float(fits.a_D[0])
    kernel = Kernel(p, r, g, a, 0.0, 0.0)
    x_NT = np.tensordot(mean.shares(first)[0], shape_at(kernel, mean.lags_SNT), axes=1)
    residual = mean.curve(first)[0] - fits.gains_DN[0] @ x_NT
    return replace(kernel, sse=float(residual @ residual), residual_ac1=autocorrelation(residual))
