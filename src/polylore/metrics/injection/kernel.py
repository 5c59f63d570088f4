"""The superposition kernel: every exposure adds the same shape, which rises and is forgotten.

K(tau) = (1 - r^min(tau, p)) F(max(tau - p, 1)) for tau > 0, F(1) = 1, and by default
F(u) = 1 - a log10 u. Its decay constant is comparable across schedules (specification of `inject`,
section 2.4, rule 4).
"""

from dataclasses import dataclass, replace

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.crossfit import Gains
from polylore.metrics.injection.published import windows
from polylore.metrics.injection.resample import Weights, divide

RATES = (0.3, 0.5, 0.7, 0.8, 0.9)
LONGEST_RISE = 20
TIE = 1e-10
"""Errors that differ by so little, over the square of the curve, are equal."""
_KEPT = 500_000
"""Largest design, in numbers, that is kept from one fit to the next."""


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

    Items with the same exposures share a design, so a cell without stagger has one. Runs may have
    been read at different states: the curve at a state is the mean over the items of the runs that
    were read then, its design that of the same items. Each state weighs as many items as it has:
    curve and shares hold the square root of that weight, over that of all items, so that plain
    least squares of them is weighted least squares. One gain holds for all runs. Where gains differ
    between runs, a change of the runs that are read would look like forgetting: so the curve stops
    at the earliest last state of its runs, and before that runs should take turns. A state at which
    an item or the control of a run was not read is left out for that run, for all weightings alike;
    an item without any reading in a run is left out of that run.
    """

    def __init__(self, gains: Gains, length: int) -> None:
        self.gains = gains
        # A rise may outlast a gap, as exposures add up: the longest window bounds it.
        longest = int(windows(gains.items.times_JN, length).max(initial=1))
        self.rises = range(1, min(LONGEST_RISE, longest) + 1)
        known_JT = gains.read.known_JT
        self.used_J: Array = np.asarray(known_JT.any(axis=1))
        names, run_J = np.unique(np.array(gains.items.runs), return_inverse=True)
        seen_RT = _seen(known_JT, run_J, self.used_J)
        self.seen_T = seen_RT.any(axis=0)
        self.states_T = gains.cell.states_T[self.seen_T]
        # Which runs were read at a state: of these patterns there are few.
        codes_T = (1 << np.arange(len(names), dtype=object)) @ seen_RT[:, self.seen_T]
        codes = sorted(set(codes_T))
        self.pattern_T = np.array([codes.index(code) for code in codes_T], dtype=np.int64)
        self.reads_PJ = np.array(
            [[bool(code >> int(run) & 1) for run in run_J] for code in codes], dtype=np.float64
        ).reshape(len(codes), len(run_J))
        self.reads_PJ *= self.used_J
        times, of_item = np.unique(gains.items.times_JN, axis=0, return_inverse=True)
        one_JS = np.eye(len(times))[of_item.reshape(-1)]
        # A schedule in a pattern is a schedule of its own, with no exposure at other states.
        pairs = np.argwhere(self.reads_PJ @ one_JS > 0)
        self.pattern_S = pairs[:, 0]
        self.one_JS = self.reads_PJ[pairs[:, 0]].T * one_JS[:, pairs[:, 1]]
        times_SN = times[pairs[:, 1]]
        lags_SNT = self.states_T[None, None, :] - times_SN[:, :, None]
        here_S1T = (self.pattern_S[:, None] == self.pattern_T)[:, None]
        # 0: no exposure.
        self.lags_SNT = np.where((times_SN[:, :, None] >= 0) & here_S1T, lags_SNT, 0)
        self._columns: dict[int, Array] = {}

    @property
    def n_items(self) -> int:
        """Items that are in the curve; one of several runs counts in each of them."""
        return int(self.reads_PJ.any(axis=0).sum())

    def curve(self, weights: Weights, corrected_DJT: Array | None = None) -> Array:
        """Weighted mean of D(j, t) at the states seen, times the root of its weight: (D, T)."""
        if corrected_DJT is None:
            corrected_DJT = self.gains.corrected(weights)
        total_DP, root_DP = self._weights(weights)
        columns_T = np.flatnonzero(self.seen_T)
        curve_DT = np.zeros((weights.n, len(columns_T)))
        for p, reads_J in enumerate(self.reads_PJ > 0):
            here = self.pattern_T == p
            values = corrected_DJT[:, reads_J][:, :, columns_T[here]]
            values = np.broadcast_to(values, (weights.n, *values.shape[1:]))
            sums = (weights.injected_DJ[:, None, reads_J] @ values)[:, 0]
            mean = divide(sums, total_DP[:, p, None]) * root_DP[:, p, None]
            # A resample without any of these items says nothing of these states.
            curve_DT[:, here] = np.where(total_DP[:, p, None] > 0, mean, 0)
        return curve_DT

    def weight(self, weights: Weights) -> Array:
        """Share of the items that a state weighs, which curves hold the root of: (D, T)."""
        return np.asarray(np.nan_to_num(self._weights(weights)[1]) ** 2)[:, self.pattern_T]

    def shares(self, weights: Weights) -> Array:
        """Weight of each schedule within its pattern, times the root of the pattern's: (D, S)."""
        total_DP, root_DP = self._weights(weights)
        shares = divide(weights.injected_DJ @ self.one_JS, total_DP[:, self.pattern_S])
        root_DS = np.where(total_DP > 0, root_DP, 0)[:, self.pattern_S]
        return np.asarray(root_DS * np.nan_to_num(shares))

    def _weights(self, weights: Weights) -> tuple[Array, Array]:
        """Weight of the items of each pattern, and the root of its share of all: (D, P)."""
        total_DP = weights.injected_DJ @ self.reads_PJ.T
        every_D = weights.injected_DJ @ self.reads_PJ.any(axis=0)
        return total_DP, np.sqrt(divide(total_DP, every_D[:, None]))

    def columns(self, p: int) -> Array:
        """Both columns of the design for a rise of p steps and every rate: (S, G, 2, T)."""
        if p in self._columns:
            return self._columns[p]
        log_u = np.log10(since_peak(self.lags_SNT, p))
        found = np.empty((len(self.lags_SNT), len(RATES), 2, len(self.states_T)))
        for k, r in enumerate(RATES):
            shape = ramp(self.lags_SNT, p, r)
            found[:, k, 0] = shape.sum(axis=1)
            found[:, k, 1] = -(shape * log_u).sum(axis=1)
        if found.size <= _KEPT:
            self._columns[p] = found
        return found

    def forget(self) -> None:
        """Let go of designs that were kept between fits."""
        self._columns.clear()


def _seen(known_JT: Array, run_J: Array, used_J: Array) -> Array:
    """Whether all items of a run that have readings were read at a state, up to the first end."""
    runs = range(int(run_J.max(initial=-1)) + 1)
    seen_RT = np.array(
        [known_JT[own].all(axis=0) & own.any() for own in ((run_J == r) & used_J for r in runs)]
    ).reshape(len(runs), known_JT.shape[1])
    read_RT = seen_RT[seen_RT.any(axis=1)]
    if len(read_RT):
        # Places of the last state of every run: argmax finds the first from behind.
        ends = read_RT.shape[1] - read_RT[:, ::-1].argmax(axis=1)
        seen_RT[:, int(ends.min()) :] = False
    return seen_RT


@dataclass(frozen=True)
class Fits:
    """The best kernel of every weighting; NaN where the curve could not be read."""

    p_D: Array
    r_D: Array
    g_D: Array
    a_D: Array
    sse_D: Array

    @property
    def peak_D(self) -> Array:
        """g (1 - r^p)."""
        return np.asarray(self.g_D * (1 - self.r_D**self.p_D))


def fit_all(mean: Mean, weights: Weights, curve_DT: Array) -> Fits:
    """Least squares over the grid, p ascending then r: the first of the smallest errors wins."""
    shares = mean.shares(weights)
    n = len(curve_DT)
    best = np.full((n, 5), np.nan)
    best[:, 4] = np.inf
    whole_D = (curve_DT**2).sum(axis=1)
    for p in mean.rises:
        columns = mean.columns(p)
        x_DG2T = (shares @ columns.reshape(len(columns), -1)).reshape(n, *columns.shape[1:])
        xx, xz, zz = (
            np.einsum("dgt,dgt->dg", x_DG2T[:, :, i], x_DG2T[:, :, j])
            for i, j in ((0, 0), (0, 1), (1, 1))
        )
        moment = (x_DG2T.reshape(n, -1, x_DG2T.shape[-1]) @ curve_DT[..., None])[..., 0]
        moment = moment.reshape(n, -1, 2)
        g, ga = _solved(xx, xz, zz, moment[..., 0], moment[..., 1])
        sse = whole_D[:, None] - g * moment[..., 0] - ga * moment[..., 1]
        sse = np.where(np.isnan(sse), np.inf, sse)
        rows, tie_D = np.arange(n), TIE * whole_D
        # Rates that differ by rounding alone (all of them, where p is 1) are equal.
        k = (sse <= (sse.min(axis=1) + tie_D)[:, None]).argmax(axis=1)
        better = sse[rows, k] < best[:, 4] - tie_D
        found = np.stack(
            [np.full(n, p), np.array(RATES)[k], g[rows, k], ga[rows, k], sse[rows, k]], axis=1
        )
        best[better] = found[better]
    best[np.isinf(best[:, 4])] = np.nan
    p_D, r_D, g_D, ga_D, sse_D = best.T
    return Fits(p_D, r_D, g_D, divide(ga_D, g_D), sse_D)


def _solved(xx: Array, xz: Array, zz: Array, x: Array, z: Array) -> tuple[Array, Array]:
    """Solution of the normal equations of two columns; of least norm if the second one is void."""
    determinant = xx * zz - xz**2
    single = determinant <= 1e-12 * np.maximum(xx, zz) ** 2
    g = divide(zz * x - xz * z, np.where(single, 0, determinant))
    ga = divide(xx * z - xz * x, np.where(single, 0, determinant))
    # One column is a multiple of the other (nothing forgotten yet): the pseudo-inverse.
    norm = xx + zz
    return (
        np.where(single, divide(x * xx, norm * xx), g),
        np.where(single, divide(x * xz, norm * xx), ga),
    )


def fit(mean: Mean, weights: Weights) -> Kernel | None:
    """The kernel of the first weighting; None if the curve has fewer than four readings."""
    first = Weights(weights.injected_DJ[:1], weights.control_DK[:1])
    return kernel_of(mean, first, fit_all(mean, first, mean.curve(first)))


def kernel_of(mean: Mean, weights: Weights, fits: Fits) -> Kernel | None:
    """The kernel of the first weighting, with what its residuals say."""
    if len(mean.states_T) < 4 or np.isnan(fits.sse_D[0]):
        return None
    first = Weights(weights.injected_DJ[:1], weights.control_DK[:1])
    p, r, g = int(fits.p_D[0]), float(fits.r_D[0]), float(fits.g_D[0])
    kernel = Kernel(p, r, g, float(fits.a_D[0]), 0.0, 0.0)
    x_2T = np.tensordot(mean.shares(first)[0], mean.columns(p)[:, RATES.index(r)], axes=1)
    a = np.nan_to_num(fits.a_D[0])
    residual = mean.curve(first)[0] - np.array([g, g * a]) @ x_2T
    return replace(kernel, sse=float(residual @ residual), residual_ac1=autocorrelation(residual))


def shape_at(kernel: Kernel, lags: Array) -> Array:
    """K at any lags."""
    u = since_peak(lags, kernel.p)
    return np.asarray(ramp(lags, kernel.p, kernel.r) * (1 - kernel.a * np.log10(u)))


def gains_by_exposure(mean: Mean, kernel: Kernel, weights: Weights, curve_DT: Array) -> Array:
    """g_i of every exposure, with the shape fixed; (D, N)."""
    shape = shape_at(kernel, mean.lags_SNT)
    shares = mean.shares(weights)
    x_DNT = (shares @ shape.reshape(len(shape), -1)).reshape(len(shares), *shape.shape[1:])
    gram = x_DNT @ x_DNT.transpose(0, 2, 1)
    moment = (x_DNT @ curve_DT[..., None])[..., 0]
    lost = np.isnan(moment).any(axis=1) | np.isnan(gram).any(axis=(1, 2))
    gram[lost] = np.eye(gram.shape[1])
    solved = np.einsum("dij,dj->di", np.linalg.pinv(gram, rcond=1e-12, hermitian=True), moment)
    solved[lost] = np.nan
    return np.asarray(solved)


def observed_lag(mean: Mean) -> int:
    """Longest lag after the last exposure that the curve holds."""
    last = int(mean.gains.items.times_JN.max())
    return max(1, int(mean.states_T[-1]) - last)
