"""A form of forgetting, superposed over exposures and fitted to many curves at once.

The model curve is X F: F is the form at a number of lags u (the nodes), X what every exposure of
every schedule adds to each state. All that least squares needs of the data then is X'X, X'y and
y'y, which are small, so that hundreds of resamples are fitted together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import Kernel, Mean, ramp, since_peak
from polylore.metrics.injection.resample import Weights, divide

Function = Callable[[Array, Array], Array]
_DENSE, _PER_DECADE = 60, 50
"""Nodes: every lag up to `_DENSE`, then so many per decade, straight lines on log u between."""
_NUMBERS = 3_000_000
_ROUNDS, _STEP = 60, 1e-4


@dataclass(frozen=True)
class Form:
    """F(u), with bounds and starts of its parameters."""

    names: tuple[str, ...]
    function: Callable[[Array, Array], Array]
    """Of u and the parameters, first axis; they broadcast."""
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    starts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Moments:
    """X'X, X'y and y'y of some curves."""

    u_U: Array
    gram_DUU: Array
    cross_DU: Array
    whole_D: Array

    @property
    def n(self) -> int:
        """Number of curves."""
        return len(self.whole_D)

    def repeated(self, n: int) -> "Moments":
        """The first curve, n times: one for every start."""
        one = (self.gram_DUU[:1], self.cross_DU[:1], self.whole_D[:1])
        return Moments(self.u_U, *(np.repeat(part, n, axis=0) for part in one))

    def solve(self, f_DU: Array) -> tuple[Array, Array]:
        """The best common gain, and the sum of squared residuals."""
        top = (f_DU * self.cross_DU).sum(axis=1)
        bottom = (f_DU * (self.gram_DUU @ f_DU[..., None])[..., 0]).sum(axis=1)
        gain = np.nan_to_num(divide(top, bottom))
        return gain, self.whole_D - gain * top

    def scaled(self, function: Function, v_DP: Array) -> Array:
        """g F(u) of every curve: (D, U)."""
        f = function(self.u_U, v_DP.T[..., None])
        return np.asarray(self.solve(f)[0][:, None] * f)


class Superposed:
    """Mean curves of a cell under some weightings, and what a form adds up to in them."""

    def __init__(self, mean: Mean, kernel: Kernel, weights: Weights) -> None:
        self.mean, self.kernel = mean, kernel
        self.y_DT = mean.curve(weights)
        self.shares_DS = mean.shares(weights)
        fine = ~np.isnan(self.y_DT).any(axis=1)
        self.y_DT, self.shares_DS = self.y_DT[fine], self.shares_DS[fine]
        self.lags_SNT = since_peak(mean.lags_SNT, kernel.p)
        self.rise_SNT = ramp(mean.lags_SNT, kernel.p, kernel.r)
        self.u_U = _nodes(np.unique(self.lags_SNT[self.rise_SNT > 0]))

    def curve(self, function: Function, v: Array) -> Array:
        """The superposed form under the first weighting, exact; (T,)."""
        each = (self.rise_SNT * function(self.lags_SNT, v)).sum(axis=1)
        return np.asarray(self.shares_DS[0] @ each)

    def _parts(self) -> Iterator[tuple[slice, Array]]:
        """X of every weighting, a few states at a time: (D, t, U)."""
        s, _, states = self.lags_SNT.shape
        nodes = len(self.u_U)
        at_once = max(1, _NUMBERS // (nodes * max(s, len(self.y_DT))))
        for start in range(0, states, at_once):
            part = slice(start, min(start + at_once, states))
            u, rise = self.lags_SNT[:, :, part], self.rise_SNT[:, :, part]
            below = np.clip(np.searchsorted(self.u_U, u, side="right") - 1, 0, nodes - 1)
            above = np.minimum(below + 1, nodes - 1)
            x, low = np.log(u), np.log(self.u_U[below])
            gap = np.log(self.u_U[above]) - low
            share = np.divide(x - low, gap, out=np.zeros(u.shape), where=gap > 0)
            x_StU = np.zeros((s, u.shape[2], nodes))
            where = (np.arange(s)[:, None, None], np.arange(u.shape[2]))
            np.add.at(x_StU, (*where, below), rise * (1 - share))
            np.add.at(x_StU, (*where, above), rise * share)
            flat = self.shares_DS @ x_StU.reshape(s, -1)
            yield part, flat.reshape(len(flat), u.shape[2], nodes)

    def moments(self, use_T: Array) -> Moments:
        """Moments over some of the states."""
        draws, nodes = len(self.y_DT), len(self.u_U)
        gram, cross = np.zeros((draws, nodes, nodes)), np.zeros((draws, nodes))
        for part, x_DtU in self._parts():
            used = x_DtU[:, use_T[part]]
            turned = used.transpose(0, 2, 1)
            gram += turned @ used
            cross += (turned @ self.y_DT[:, part][:, use_T[part], None])[..., 0]
        return Moments(self.u_U, gram, cross, (self.y_DT[:, use_T] ** 2).sum(axis=1))

    def superpose(self, f_DU: Array) -> Array:
        """X F of every weighting: (D, T)."""
        return np.concatenate([(x @ f_DU[..., None])[..., 0] for _, x in self._parts()], axis=1)


def _nodes(lags: Array) -> Array:
    if not len(lags):
        return np.ones(1)
    longest = float(lags[-1])
    n = int(np.ceil(np.log10(max(longest / _DENSE, 1)) * _PER_DECADE)) + 1
    wide = np.geomspace(_DENSE, longest, n) if longest > _DENSE else np.empty(0)
    found = np.union1d(lags[lags <= _DENSE], wide)
    return found if len(found) < len(lags) else lags.astype(np.float64)


def minimise(moments: Moments, form: Form, start_DP: Array) -> tuple[Array, Array]:
    """Bounded Levenberg-Marquardt of all curves at once, the gain solved linearly.

    Returns:
        Parameters (D, P), and the sums of squared residuals (D,).
    """
    low, high = np.add(form.lower, 1e-9), np.subtract(form.upper, 1e-9)
    v = np.clip(start_DP, low, high)
    params = v.shape[1]
    damping = np.full(len(v), 1e-2)

    def shape(values: Array) -> Array:
        return np.asarray(form.function(moments.u_U, values.T[..., None]))

    f = shape(v)
    gain, error = moments.solve(f)
    for _ in range(_ROUNDS):
        slopes = [f]
        for k in range(params):
            up, down = (np.clip(v[:, k] + d, low[k], high[k]) for d in (_STEP, -_STEP))
            ends = [shape(np.where(np.arange(params) == k, e[:, None], v)) for e in (up, down)]
            slopes.append(gain[:, None] * (ends[0] - ends[1]) / (up - down)[:, None])
        j_DPU = np.stack(slopes, axis=1)
        residual = moments.cross_DU - gain[:, None] * (moments.gram_DUU @ f[..., None])[..., 0]
        gradient = (j_DPU @ residual[..., None])[..., 0]
        hessian = j_DPU @ moments.gram_DUU @ j_DPU.transpose(0, 2, 1)
        # A parameter at its bound that would go beyond it stays where it is.
        stuck = ((v <= low) & (gradient[:, 1:] < 0)) | ((v >= high) & (gradient[:, 1:] > 0))
        free = np.concatenate([np.ones((len(v), 1), dtype=bool), ~stuck], axis=1)
        hessian = hessian * free[:, :, None] * free[:, None]
        scale = np.einsum("dii->di", hessian)
        extra = damping[:, None] * scale + 1e-12 * scale.max(axis=1, keepdims=True) + 1e-300
        hessian = hessian + extra[:, :, None] * np.eye(params + 1)
        step = np.linalg.solve(hessian, (gradient * free)[..., None])[:, 1:, 0]
        tried = np.clip(v + step, low, high)
        f_tried = shape(tried)
        gain_tried, error_tried = moments.solve(f_tried)
        better = error_tried < error
        moved = better & (error - error_tried > 1e-10 * np.abs(error))
        v = np.where(better[:, None], tried, v)
        f = np.where(better[:, None], f_tried, f)
        gain, error = np.where(better, gain_tried, gain), np.where(better, error_tried, error)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-9, 1e9)
        if not moved.any() and (damping[~better] > 1e3).all():
            break
    return v, error
