"""The superposition kernel: every exposure adds the same shape, which rises and is forgotten.

K(tau) = (1 - r^min(tau, p)) F(max(tau - p, 1)) for tau > 0, F(1) = 1, and by default
F(u) = 1 - a log10 u. Its decay constant is comparable across schedules (specification of `inject`,
section 2.4, rule 4).
"""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.crossfit import Gains
from polylore.metrics.injection.published import window
from polylore.metrics.injection.resample import Weights

RATES = (0.3, 0.5, 0.7, 0.8, 0.9)
LONGEST_RISE = 20


def ramp(lags: Array, p: int, r: float) -> Array:
    """1 - r^min(tau, p), zero before the exposure is visible."""
    risen: Array = np.where(lags > 0, 1 - r ** np.clip(lags, 0, p), 0.0)
    return risen


def since_peak(lags: Array, p: int) -> Array:
    """u = max(tau - p, 1)."""
    return np.asarray(np.maximum(lags - p, 1))


@dataclass(frozen=True)
class Kernel:
    """A fitted kernel."""

    p: int
    r: float
    g: float
    a: float
    sse: float
    residual_ac1: float

    @property
    def gain_at_peak(self) -> float:
        """g (1 - r^p)."""
        return self.g * float(1 - self.r**self.p)


def autocorrelation(residual_T: Array) -> float:
    """Lag-1 autocorrelation."""
    centred = residual_T - residual_T.mean()
    whole = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / whole if whole > 0 else float("nan")


class Mean:
    """The mean curve of a cell and the designs that are fitted to it.

    Items with the same exposures share a design, so a cell without stagger has one.
    """

    def __init__(self, gains: Gains, length: int) -> None:
        self.gains = gains
        self.rises = range(1, min(LONGEST_RISE, window(gains.items.times_JN, length)) + 1)
        times, self.of_item = np.unique(gains.items.times_JN, axis=0, return_inverse=True)
        self.of_item = self.of_item.reshape(-1)
        states = gains.cell.states_T
        lags_SNT = states[None, None, :] - times[:, :, None]
        self.lags_SNT = np.where(times[:, :, None] >= 0, lags_SNT, 0)  # 0: no exposure
        self._grid: tuple[list[tuple[int, float]], Array] | None = None

    def curve(self, weights: Weights) -> Array:
        """Weighted mean of D(j, t): (T,); NaN where any item was not read."""
        corrected = self.gains.corrected(weights)
        used = weights.injected_J > 0
        w = weights.injected_J[used]
        return np.asarray(w @ corrected[used] / w.sum())

    def shares(self, weights: Weights) -> Array:
        """Weight of each schedule: (S,)."""
        shares = np.bincount(self.of_item, weights.injected_J, minlength=len(self.lags_SNT))
        return np.asarray(shares / shares.sum())

    def designs(self) -> tuple[list[tuple[int, float]], Array]:
        """Every (p, r) of the grid, p ascending then r, and its columns: (S, G, 2, T)."""
        if self._grid is None:
            grid = [(p, r) for p in self.rises for r in RATES]
            s, _, t = self.lags_SNT.shape
            columns = np.empty((s, len(grid), 2, t))
            for p in self.rises:
                log_u = np.log10(since_peak(self.lags_SNT, p))
                for k, r in enumerate(RATES):
                    shape = ramp(self.lags_SNT, p, r)
                    at = (p - self.rises.start) * len(RATES) + k
                    columns[:, at, 0] = shape.sum(axis=1)
                    columns[:, at, 1] = -(shape * log_u).sum(axis=1)
            self._grid = grid, columns
        return self._grid


def fit(mean: Mean, weights: Weights) -> Kernel | None:
    """Least squares over the grid; None if the curve has fewer than four readings."""
    y = mean.curve(weights)
    grid, columns = mean.designs()
    x_G2T = np.tensordot(mean.shares(weights), columns, axes=1)
    seen = ~np.isnan(y)
    if seen.sum() < 4:
        return None
    y, x_G2T = y[seen], x_G2T[:, :, seen]
    gram_G22 = x_G2T @ x_G2T.transpose(0, 2, 1)
    moment_G2 = x_G2T @ y
    # The pseudo-inverse also serves designs whose two columns are one (nothing forgotten yet).
    inverse_G22 = np.linalg.pinv(gram_G22, rcond=1e-12, hermitian=True)
    coefficients_G2 = np.einsum("gij,gj->gi", inverse_G22, moment_G2)
    sse_G = y @ y - (coefficients_G2 * moment_G2).sum(axis=1)
    best = int(sse_G.argmin())
    g, ga = coefficients_G2[best]
    residual = y - coefficients_G2[best] @ x_G2T[best]
    p, r = grid[best]
    a = float(ga / g) if g != 0 else float("nan")
    return Kernel(p, r, float(g), a, float(residual @ residual), autocorrelation(residual))


def shape_at(kernel: Kernel, lags: Array) -> Array:
    """K at any lags."""
    u = since_peak(lags, kernel.p)
    return np.asarray(ramp(lags, kernel.p, kernel.r) * (1 - kernel.a * np.log10(u)))


def gains_by_exposure(mean: Mean, kernel: Kernel, weights: Weights) -> Array:
    """g_i of every exposure, with the shape fixed; (N,)."""
    y = mean.curve(weights)
    x_NT = np.tensordot(mean.shares(weights), shape_at(kernel, mean.lags_SNT), axes=1)
    seen = ~np.isnan(y)
    return np.asarray(np.linalg.lstsq(x_NT[:, seen].T, y[seen], rcond=None)[0])


def observed_lag(mean: Mean) -> int:
    """Longest lag after the last exposure that was read."""
    last = int(mean.gains.items.times_JN.max())
    return max(1, int(mean.gains.cell.states_T[-1]) - last)
