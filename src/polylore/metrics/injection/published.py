"""Effectivity, retainability and decay constant as published (`inject`, section 2.2).

`paper` drops values beyond 1.5 interquartile ranges, `repo` (the released code) beyond 2.0. The
maximum of noisy readings is positive without learning, and the decay constant depends on the
schedule (section 2.3); `crossfit` and `kernel` hold what should be read instead.
"""

from dataclasses import dataclass

import numpy as np

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.metrics.injection.trajectories import Cell, Items, Read

FACTORS = {"paper": 1.5, "repo": 2.0}
"""How many interquartile ranges a value may lie outside the quartiles."""


@dataclass(frozen=True)
class Peaks:
    """Local acquisition maxima of each probe and exposure; NaN where a reading is missing."""

    start_QN: Array
    """y at t_i, the last reading before the exposure."""
    peak_QN: Array
    """y at the local acquisition maximum."""
    at_QN: Array
    """State of that maximum."""

    @property
    def gain_QN(self) -> Array:
        """E(q, i)."""
        return np.asarray(self.peak_QN - self.start_QN)

    @property
    def known_QN(self) -> Array:
        """Whether both readings are there."""
        return ~np.isnan(self.gain_QN)


def windows(times_JN: Array, length: int) -> Array:
    """Steps in which each exposure may peak: `length`, but never beyond the item's next exposure.

    An item's last exposure has no next one: it may peak in the longest window of the others, so
    that where all gaps are equal all exposures are searched equally far. (J, N)
    """
    followed_JN = times_JN[:, 1:] >= 0
    gaps = np.minimum(np.diff(times_JN, axis=1)[followed_JN], length)
    found = np.full(times_JN.shape, gaps.max() if len(gaps) else length)
    found[:, :-1][followed_JN] = gaps
    return found


def window_of(beta1: float) -> int:
    """Steps in which momentum works off an update: round(ln 0.005 / ln beta1), at least 1."""
    return max(1, round(float(np.log(0.005) / np.log(beta1)))) if beta1 > 0 else 1


def missing_states(cell: Cell) -> Array:
    """States up to the last one of a run that this run was not read at; of all runs, each once."""
    runs = np.array(cell.injected.runs)[cell.injected.item_Q]
    missing = [np.empty(0, dtype=np.int64)]
    for run in dict.fromkeys(cell.injected.runs):
        known_T = (~np.isnan(cell.injected.y_QT[runs == run])).any(axis=0)
        states = cell.states_T[known_T]
        last = int(states[-1]) if len(states) else int(cell.states_T[-1])
        missing.append(np.setdiff1d(np.arange(last + 1), states))
    return np.unique(np.concatenate(missing))


def check_complete(cell: Cell) -> None:
    """Refuse a log with gaps.

    Raises:
        DataError: states are missing; they are listed.
    """
    missing = missing_states(cell)
    if len(missing):
        shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise DataError(
            f"The published form needs every state, and the log lacks {len(missing)} of them "
            f"({shown}); read every state, or use the default form."
        )


def find_peaks(cell: Cell, items: Items, length: int) -> Peaks:
    """Local acquisition maximum: first largest y in t_i < t <= t_i + t_w, among the states read.

    The published form reads every state (`check_complete`). Elsewhere the start is the latest
    reading since the exposure before, and an exposure without a reading on either side has none.

    Raises:
        DataError: items differ in their number of exposures.
    """
    times_JN = items.times_JN
    if (times_JN < 0).any():
        raise DataError("The published form needs equally many exposures of every item of an arm.")
    read = Read(cell.states_T, ~np.isnan(items.y_QT))
    rows = np.arange(len(items.y_QT))
    before = np.concatenate([np.full((len(times_JN), 1), -1), times_JN[:, :-1]], axis=1)
    times_QN, windows_QN = times_JN[items.item_Q], windows(times_JN, length)[items.item_Q]
    start = read.upto(times_QN, rows[:, None], before[items.item_Q])
    lags = np.arange(1, windows_QN.max(initial=1) + 1)
    columns = read.at(times_QN[:, :, None] + lags, rows[:, None, None])
    there = (columns >= 0) & (lags <= windows_QN[:, :, None])
    values = np.where(there, items.y_QT[rows[:, None, None], columns], -np.inf)
    best = values.argmax(axis=2)
    peak_QN = np.take_along_axis(values, best[:, :, None], axis=2)[:, :, 0]
    peak_QN = np.where(np.isinf(peak_QN), np.nan, peak_QN)
    start_QN = np.where(start < 0, np.nan, items.y_QT[rows[:, None], start])
    return Peaks(start_QN, peak_QN, times_QN + 1 + best)


def kept(values: Array, factor: float) -> Array:
    """Which values the outlier rule keeps, along the first axis; bounds are inclusive."""
    q1, q3 = np.percentile(values, [25, 75], axis=0)
    reach = factor * (q3 - q1)
    return np.asarray((values >= q1 - reach) & (values <= q3 + reach))


def trimmed_mean(values: Array, factor: float) -> tuple[float, int]:
    """Mean of what the outlier rule keeps of a vector, and how many values it drops.

    The mean of nothing is NaN.
    """
    if not len(values):
        return float("nan"), 0
    keep = kept(values, factor)
    return float(values[keep].mean()), int(len(values) - keep.sum())


def drawn_means(values_M: Array, weights_DM: Array, factor: float) -> Array:
    """`trimmed_mean` of each resample, in which value m occurs `weights_DM[d, m]` times; (D,)."""
    if not len(values_M):
        return np.full(len(weights_DM), np.nan)
    order = np.argsort(values_M, kind="stable")
    values, weights = values_M[order], weights_DM[:, order]
    places = np.cumsum(weights, axis=1)
    total = places[:, -1]

    def quartile(share: float) -> Array:
        rank = share * (total - 1)
        low = np.floor(rank)
        ends = [values[(places > np.minimum(k, total - 1)[:, None]).argmax(axis=1)]
                for k in (low, low + 1)]  # fmt: skip
        return np.asarray(ends[0] + (rank - low) * (ends[1] - ends[0]))

    q1, q3 = quartile(0.25), quartile(0.75)
    reach = factor * (q3 - q1)
    inside = (values >= (q1 - reach)[:, None]) & (values <= (q3 + reach)[:, None])
    weights = weights * inside
    found = weights @ values, weights.sum(axis=1)
    nothing = np.full(len(weights), np.nan)
    return np.asarray(np.divide(*found, out=nothing, where=found[1] > 0))


def horizon(cell: Cell, length: int) -> int:
    """Last lag H of the decay line; the same for all arms of a plan, and for all runs.

    So the window is not cut here: what an arm's last exposure gains may peak that late in any arm.
    """
    return min(cell.tails) - length


@dataclass(frozen=True)
class Retained:
    """R(q, t) of each probe."""

    share_QL: Array
    """Share of the whole gain left at lag 0, 1, ..., H; NaN where that gain is zero or unread."""
    gain_Q: Array
    """The whole gain: the denominator."""


def retained(cell: Cell, items: Items, peaks: Peaks, last_lag: int) -> Retained:
    """R(q, t) = [y(q, t_LAM(q, N) + t) - y(q, t_1)] / [y(q, t_LAM(q, N)) - y(q, t_1)].

    Raises:
        DataError: states are missing.
    """
    check_complete(cell)
    y_QT = items.y_QT
    rows = np.arange(len(y_QT))
    start_Q, at_Q = peaks.start_QN[:, 0], peaks.at_QN[:, -1]
    gain_Q = peaks.peak_QN[:, -1] - start_Q
    after = y_QT[rows[:, None], at_Q[:, None] + np.arange(last_lag + 1)]
    gain_Q1 = gain_Q[:, None]
    shape = after.shape
    share = np.divide(
        after - start_Q[:, None], gain_Q1, out=np.full(shape, np.nan), where=gain_Q1 != 0
    )
    return Retained(share, gain_Q)


def mean_curve(share_QL: Array, factor: float) -> Array:
    """Mean of R(q, t) by lag: zero denominators dropped, negative ones kept, outliers dropped."""
    values = share_QL[~np.isnan(share_QL).any(axis=1)]
    if not len(values):
        return np.full(share_QL.shape[1], np.nan)
    keep = kept(values, factor)
    return np.asarray(np.where(keep, values, 0).sum(axis=0) / keep.sum(axis=0))


@dataclass(frozen=True)
class Line:
    """A straight line on log10 of the lag."""

    a: float
    """Decay constant: minus the slope."""
    intercept: float
    naive_se: float
    """Least-squares standard error of the slope; the points are not independent."""
    r2: float

    @property
    def x_intercept_log10(self) -> float:
        """log10 of the lag at which the line is zero; NaN if it does not fall."""
        return self.intercept / self.a if self.a > 0 else float("nan")

    def reaches(self, value: float, horizon: int) -> float | None:
        """Lag at which the line falls to a value; None beyond the horizon, or if it never does."""
        if not self.a > 0:
            return None
        log_lag = (self.intercept - value) / self.a
        return float(10**log_lag) if log_lag <= np.log10(horizon) else None


def semilog(curve_L: Array) -> Line:
    """Unweighted straight line of a curve on log10 t, over every integer t = 1, 2, ..., H."""
    y = curve_L[1:]
    x = np.log10(np.arange(1, len(y) + 1))
    centred = x - x.mean()
    sxx = float(centred @ centred)
    slope = float(centred @ (y - y.mean())) / sxx
    intercept = float(y.mean() - slope * x.mean())
    residual = y - intercept - slope * x
    ssr, sst = float(residual @ residual), float(((y - y.mean()) ** 2).sum())
    se = float(np.sqrt(ssr / (len(y) - 2) / sxx)) if len(y) > 2 else float("nan")
    return Line(-slope, intercept, se, 1 - ssr / sst if sst > 0 else float("nan"))
