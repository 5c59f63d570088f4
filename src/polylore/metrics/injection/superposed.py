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
_GAIN, _SHORT = 1e-9, 1e5
"""A relative gain that is none; damping beyond which no shorter step is tried."""


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

    def some(self, rows: Array) -> "Moments":
        """Some of the curves."""
        parts = (self.gram_DUU[rows], self.cross_DU[rows], self.whole_D[rows])
        return self if len(rows) == self.n else Moments(self.u_U, *parts)

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
    error = moments.solve(form.function(moments.u_U, v.T[..., None]))[1]
    damping = np.full(len(v), 1e-2)
    going = np.arange(len(v))
    for _ in range(_ROUNDS):
        own = moments.some(going)
        tried = np.clip(v[going] + _step(own, form, v[going], damping[going]), low, high)
        found = own.solve(form.function(own.u_U, tried.T[..., None]))[1]
        gained = error[going] - found
        better = gained > 0
        v[going] = np.where(better[:, None], tried, v[going])
        error[going] = np.where(better, found, error[going])
        eased = np.where(better, damping[going] / 5, damping[going] * 4)
        damping[going] = np.clip(eased, 1e-9, 1e9)
        # Done: a step that gains next to nothing, or none however short it is.
        near = np.abs(gained) <= _GAIN * np.abs(error[going])
        going = going[~((better & near) | (~better & (damping[going] > _SHORT)))]
        if not len(going):
            break
    return v, error


def _step(moments: Moments, form: Form, v: Array, damping: Array) -> Array:
    """One damped Gauss-Newton step of the parameters: (D, P)."""
    low, high = np.add(form.lower, 1e-9), np.subtract(form.upper, 1e-9)
    params = v.shape[1]

    def shape(values: Array) -> Array:
        return np.asarray(form.function(moments.u_U, values.T[..., None]))

    f = shape(v)
    gain = moments.solve(f)[0]
    slopes = [f]
    for k in range(params):
        up, down = (np.clip(v[:, k] + d, low[k], high[k]) for d in (_STEP, -_STEP))
        ends = [shape(np.where(np.arange(params) == k, e[:, None], v)) for e in (up, down)]
        slopes.append(gain[:, None] * (ends[0] - ends[1]) / (up - down)[:, None])
    j_DPU = np.stack(slopes, axis=1)
    turned = j_DPU @ moments.gram_DUU
    gradient = (j_DPU @ moments.cross_DU[..., None])[..., 0] - gain[:, None] * (
        turned @ f[..., None]
    )[..., 0]
    hessian = turned @ j_DPU.transpose(0, 2, 1)
    # A parameter at its bound that would go beyond it stays where it is.
    stuck = ((v <= low) & (gradient[:, 1:] < 0)) | ((v >= high) & (gradient[:, 1:] > 0))
    free = np.concatenate([np.ones((len(v), 1), dtype=bool), ~stuck], axis=1)
    hessian = hessian * free[:, :, None] * free[:, None]
    scale = np.einsum("dii->di", hessian)
    extra = damping[:, None] * scale + 1e-12 * scale.max(axis=1, keepdims=True) + 1e-300
    hessian = hessian + extra[:, :, None] * np.eye(params + 1)
    return np.asarray(np.linalg.solve(hessian, (gradient * free)[..., None])[:, 1:, 0])
