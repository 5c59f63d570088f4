"""A form of forgetting, superposed over exposures and fitted to many curves at once.

The model curve is sum_i g_i X_i F: F is the form at a number of lags u (the nodes), X_i what
exposure i of every schedule adds to each state. All that least squares needs of the data then is
X'X, X'y and y'y, so that hundreds of resamples are fitted together. The gains are linear and are
solved for exactly at every trial of the form's parameters (variable projection).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_interp_spline

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import Kernel, Mean, ramp, since_peak
from polylore.metrics.injection.resample import Weights

Function = Callable[[Array, Array], Array]
_DENSE, _PER_DECADE = 6, 10
"""Nodes: every lag up to `_DENSE`, then so many per decade, a cubic spline in log u between."""
_NUMBERS = 4_000_000
_ROUNDS, _STEP = 60, 1e-4
_GAIN, _SHORT = 1e-9, 1e5
"""A relative gain that is none; damping beyond which no shorter step is tried."""
_RIDGE, _LEAVE = 1e-11, 0.6
"""Relative weight of a ridge; share of curves still moving below which the others are left out."""


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
class Solved:
    """The best gains of some curves with given forms."""

    gains_DN: Array
    error_D: Array
    across_DNUN: Array
    """X_i'X_j F."""
    gram_DNN: Array


@dataclass(frozen=True)
class Moments:
    """X'X, X'y and y'y of some curves; X'X once where all curves share their schedules."""

    u_U: Array
    gram_DNUNU: Array
    cross_DNU: Array
    whole_D: Array

    @property
    def n(self) -> int:
        """Number of curves."""
        return len(self.whole_D)

    def some(self, rows: Array) -> "Moments":
        """Some of the curves."""
        if len(rows) == self.n:
            return self
        gram = self.gram_DNUNU if len(self.gram_DNUNU) == 1 else self.gram_DNUNU[rows]
        return Moments(self.u_U, gram, self.cross_DNU[rows], self.whole_D[rows])

    def joined(self) -> "Moments":
        """The same with one gain for all exposures: they are one."""
        gram = self.gram_DNUNU.sum(axis=(1, 3), keepdims=True)
        cross = self.cross_DNU.sum(axis=1, keepdims=True)
        return Moments(self.u_U, gram, cross, self.whole_D)

    def repeated(self, n: int) -> "Moments":
        """The first curve, n times: one for every start."""
        cross, whole = (np.repeat(part[:1], n, axis=0) for part in (self.cross_DNU, self.whole_D))
        return Moments(self.u_U, self.gram_DNUNU[:1], cross, whole)

    def solve(self, f_DU: Array) -> Solved:
        """The best gains, and the sum of squared residuals."""
        exposures, nodes = self.cross_DNU.shape[1:]
        shape = (len(f_DU), exposures, nodes, exposures)
        if len(self.gram_DNUNU) == 1:
            across = (f_DU @ self.gram_DNUNU[0].reshape(-1, nodes).T).reshape(shape)
        else:
            flat = self.gram_DNUNU.reshape(len(f_DU), -1, nodes)
            across = (flat @ f_DU[..., None]).reshape(shape)
        gram = np.einsum("diuj,du->dij", across, f_DU)
        size = np.einsum("dii->di", gram).max(axis=1, initial=1e-300)
        gram = gram + _RIDGE * size[:, None, None] * np.eye(exposures)
        moment = (self.cross_DNU @ f_DU[..., None])[..., 0]
        gains = np.linalg.solve(gram, moment[..., None])[..., 0]
        return Solved(gains, self.whole_D - (gains * moment).sum(axis=1), across, gram)

    def weighed(self, gains_DN: Array) -> Array:
        """X'X with the exposures weighed by their gains: (D, U, U)."""
        exposures, nodes = self.cross_DNU.shape[1:]
        pairs = (gains_DN[:, :, None] * gains_DN[:, None]).reshape(len(gains_DN), -1)
        if len(self.gram_DNUNU) == 1:
            flat = self.gram_DNUNU[0].transpose(0, 2, 1, 3).reshape(exposures**2, -1)
            return np.asarray((pairs @ flat).reshape(-1, nodes, nodes))
        turned = np.einsum("diujv,di->dujv", self.gram_DNUNU, gains_DN)
        return np.asarray(np.einsum("dujv,dj->duv", turned, gains_DN))


class Superposed:
    """Mean curves of a cell under some weightings, and what a form adds up to in them.

    With `common` all exposures share one gain: they count as one exposure, whose form is their sum.
    """

    def __init__(
        self, mean: Mean, kernel: Kernel, weights: Weights, *, common: bool = False
    ) -> None:
        self.mean, self.common = mean, common
        self.y_DT = mean.curve(weights)
        shares_DS = mean.shares(weights)
        fine = ~np.isnan(self.y_DT).any(axis=1)
        self.y_DT, shares_DS = self.y_DT[fine], shares_DS[fine]
        # Where all items share their exposures, so do all resamples.
        self.shares_DS = shares_DS[:1] if shares_DS.shape[1] == 1 else shares_DS
        self.weight_T = mean.weight(weights)[0]
        self.lags_SNT = since_peak(mean.lags_SNT, kernel.p)
        self.rise_SNT = ramp(mean.lags_SNT, kernel.p, kernel.r)
        self.u_U = _nodes(np.unique(self.lags_SNT[self.rise_SNT > 0]))

    def columns(self, function: Function, v: Array) -> Array:
        """What every exposure adds under the first weighting, without its gain, exact; (N, T)."""
        each = self.rise_SNT * function(self.lags_SNT, v)
        found = np.tensordot(self.shares_DS[0], each, axes=1)
        return np.asarray(found.sum(axis=0, keepdims=True) if self.common else found)

    def _basis(self) -> Array:
        """X of every schedule: (S, N, T, U)."""
        u, at = np.unique(self.lags_SNT, return_inverse=True)
        nodes = len(self.u_U)
        degree = min(3, nodes - 1)
        spline = make_interp_spline(np.log(self.u_U), np.eye(nodes), k=degree)
        # Lags before an exposure have u = 1, and no rise.
        rows_LU = spline(np.log(np.clip(u, self.u_U[0], self.u_U[-1])))
        found = rows_LU[at.reshape(-1)].reshape(*self.lags_SNT.shape, nodes)
        return np.asarray(found * self.rise_SNT[..., None])

    def moments(self, use_T: Array) -> Moments:
        """Moments over some of the states."""
        basis = self._basis()[:, :, use_T]
        s, exposures, states, nodes = basis.shape
        flat = np.ascontiguousarray(basis.transpose(0, 2, 1, 3)).reshape(s, -1)
        y_DT = self.y_DT[:, use_T]
        width = exposures * nodes
        at_once = max(1, _NUMBERS // (width * states))
        grams, crosses = [], []
        for start in range(0, len(self.shares_DS), at_once):
            part = slice(start, start + at_once)
            x_DTW = (self.shares_DS[part] @ flat).reshape(-1, states, width)
            grams.append(x_DTW.transpose(0, 2, 1) @ x_DTW)
            if len(self.shares_DS) > 1:
                crosses.append((y_DT[part, None] @ x_DTW)[:, 0])
            else:
                crosses.append(y_DT @ x_DTW[0])
        shape = (exposures, nodes)
        found = Moments(
            self.u_U,
            np.concatenate(grams).reshape(-1, *shape, *shape),
            np.concatenate(crosses).reshape(-1, *shape),
            (y_DT**2).sum(axis=1),
        )
        return found.joined() if self.common else found

    def superpose(self, gf_DNU: Array) -> Array:
        """Curves of given forms times gains: (D, T)."""
        basis = self._basis()
        s, exposures, states, nodes = basis.shape
        gf_DNU = np.broadcast_to(gf_DNU, (len(gf_DNU), exposures, nodes))
        turned = basis.transpose(1, 3, 0, 2).reshape(exposures * nodes, s, states)
        each = (gf_DNU.reshape(len(gf_DNU), -1) @ turned.reshape(len(turned), -1)).reshape(
            -1, s, states
        )
        return np.asarray((self.shares_DS[:, :, None] * each).sum(axis=1))


def _nodes(lags: Array) -> Array:
    if not len(lags):
        return np.ones(1)
    longest = float(lags[-1])
    n = int(np.ceil(np.log10(max(longest / _DENSE, 1)) * _PER_DECADE)) + 1
    wide = np.geomspace(_DENSE, longest, n)[1:] if longest > _DENSE else np.empty(0)
    dense = np.arange(float(lags[0]), min(_DENSE, longest) + 1)
    found = np.append(dense, wide)
    return found if len(found) < len(lags) else lags.astype(np.float64)


def minimise(moments: Moments, form: Form, start_DP: Array) -> tuple[Array, Array]:
    """Bounded Levenberg-Marquardt of all curves at once, the gains solved linearly.

    Returns:
        Parameters (D, P), and the sums of squared residuals (D,).
    """
    low, high = np.add(form.lower, 1e-9), np.subtract(form.upper, 1e-9)
    v = np.clip(start_DP, low, high)
    error = moments.solve(_shape(moments, form, v)).error_D
    damping = np.full(len(v), 1e-2)
    going, own = np.arange(len(v)), moments
    active = np.ones(len(v), dtype=bool)
    for _ in range(_ROUNDS):
        tried = np.clip(v[going] + _step(own, form, v[going], damping[going]), low, high)
        found = own.solve(_shape(own, form, tried)).error_D
        gained = error[going] - found
        better = gained > 0
        v[going] = np.where(better[:, None], tried, v[going])
        error[going] = np.where(better, found, error[going])
        eased = np.where(better, damping[going] / 5, damping[going] * 4)
        damping[going] = np.clip(eased, 1e-9, 1e9)
        # Done: a step that gains next to nothing, or none however short it is.
        near = np.abs(gained) <= _GAIN * np.abs(error[going])
        active &= ~((better & near) | (~better & (damping[going] > _SHORT)))
        if not active.any():
            break
        # To leave curves out costs a copy of the others' moments.
        if active.mean() < _LEAVE:
            own, going = own.some(np.flatnonzero(active)), going[active]
            active = np.ones(len(going), dtype=bool)
    return v, error


def _shape(moments: Moments, form: Form, v_DP: Array) -> Array:
    return np.asarray(form.function(moments.u_U, v_DP.T[..., None]))


def _step(moments: Moments, form: Form, v: Array, damping: Array) -> Array:
    """One damped Gauss-Newton step of the parameters, the gains refitted: (D, P)."""
    low, high = np.add(form.lower, 1e-9), np.subtract(form.upper, 1e-9)
    params = v.shape[1]
    f = _shape(moments, form, v)
    solved = moments.solve(f)
    g = solved.gains_DN
    slopes = []
    for k in range(params):
        up, down = (np.clip(v[:, k] + d, low[k], high[k]) for d in (_STEP, -_STEP))
        ends = [
            _shape(moments, form, np.where(np.arange(params) == k, e[:, None], v))
            for e in (up, down)
        ]
        slopes.append((ends[0] - ends[1]) / (up - down)[:, None])
    j_DPU = np.stack(slopes, axis=1)
    # Along: X_j F against sum_i g_i X_i F'.
    along = np.einsum("dpu,duj->dpj", j_DPU, np.einsum("diuj,di->duj", solved.across_DNUN, g))
    moment = (j_DPU @ np.einsum("dnu,dn->du", moments.cross_DNU, g)[..., None])[..., 0]
    gradient = moment - (along @ g[..., None])[..., 0]
    hessian = j_DPU @ moments.weighed(g) @ j_DPU.transpose(0, 2, 1)
    hessian = hessian - along @ np.linalg.solve(solved.gram_DNN, along.transpose(0, 2, 1))
    # A parameter at its bound that would go beyond it stays where it is.
    stuck = ((v <= low) & (gradient < 0)) | ((v >= high) & (gradient > 0))
    free = ~stuck
    hessian = hessian * free[:, :, None] * free[:, None]
    scale = np.einsum("dii->di", hessian)
    extra = damping[:, None] * scale + 1e-12 * scale.max(axis=1, keepdims=True) + 1e-300
    hessian = hessian + extra[:, :, None] * np.eye(params)
    return np.asarray(np.linalg.solve(hessian, (gradient * free)[..., None])[:, :, 0])
