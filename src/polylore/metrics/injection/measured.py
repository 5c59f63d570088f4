"""All default numbers of one cell, in the data and in every resample, from one pass over them.

Rows R: row 0 is the data as they are, the others are resamples. Tables, transfer, contrasts and
claims are made of these rows, so a difference between two cells keeps its pairing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.crossfit import (
    Effect,
    Gains,
    Kept,
    at_states,
    control_effectivity,
    effectivity,
    effects_by_item,
    peaks,
    retention,
)
from polylore.metrics.injection.kernel import (
    Fits,
    Kernel,
    Mean,
    fit_all,
    gains_by_exposure,
    kernel_of,
)
from polylore.metrics.injection.kernel_by_exposure import (
    HIGHEST,
    LOWEST,
    fit_by_exposure,
    kernel_by_exposure,
)
from polylore.metrics.injection.resample import (
    FEWEST,
    ItemDraws,
    Weights,
    limits,
    ones,
    with_data,
)
from polylore.metrics.injection.trajectories import Cell

NO_GAIN, NOT_IDENTIFIED = "nothing_learned_to_be_forgotten", "not_identified"
_TAIL = 0.025
"""Share of the resamples that an end of a 95 % interval leaves out."""
_NUMBERS = 1_500_000
"""Numbers of one intermediate array: more draws than that holds are done one part at a time."""


@dataclass(frozen=True)
class Fitted:
    """A kernel, in the data and in every resample."""

    kernel: Kernel
    fits: Fits
    gains_RN: Array
    """g_i of every exposure."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a cell that has controls."""

    cell: Cell
    gains: Gains
    mean: Mean
    effect: Effect
    lags_L: Array
    """Lags after the last peak; 0 is among them."""
    kept: Kept
    interval: int | None
    """Steps between exposures, if all items share them."""
    left: Kept
    """D one interval after the first exposure (bottom) and after the last one (top)."""
    by_exposure: Fitted | None
    """The kernel with a gain for every exposure; None if it was not fitted."""
    common: Fitted | None
    """The kernel with one gain for all of them; g_i with the shape that it has in the data."""

    @property
    def rows(self) -> int:
        """One more than the number of resamples."""
        return len(self.effect.sum_DN)

    @cached_property
    def used_J(self) -> Array:
        """Whether an item has a reading in its run, with a control curve beside it."""
        return np.asarray(self.gains.read.known_JT.any(axis=1))

    @property
    def n_items(self) -> int:
        """Items behind the numbers; one of several runs counts in each of them."""
        return int(self.used_J.sum())

    @cached_property
    def names(self) -> set[str]:
        """The same by name."""
        return set(np.array(self.cell.injected.names)[self.used_J].tolist())

    @property
    def few(self) -> bool:
        """Whether there are too few items for an interval."""
        return len(self.names) < FEWEST

    @cached_property
    def kernel_reason(self) -> str | None:
        """Why the decay constant with a gain for every exposure is no number; None if it is one.

        Nothing can be said of how fast a gain is lost that is not surely above zero, nor where the
        decay constant goes to a bound: there its interval would end where the search does. Cells of
        few items are asked as well: joined with others they may be enough for an interval.
        """
        if self.by_exposure is None:
            return "few_readings"
        fits = self.by_exposure.fits
        if not surely_positive(fits.peak_D):
            return NOT_IDENTIFIED if surely_positive(self.effect.value_D) else NO_GAIN
        a_R = fits.a_D[1:] if self.rows > 1 else fits.a_D[:1]
        outside = not LOWEST < fits.a_D[0] < HIGHEST
        ends = np.mean(~(a_R > LOWEST)), np.mean(~(a_R < HIGHEST))
        return NOT_IDENTIFIED if outside or max(ends) > _TAIL else None

    @cached_property
    def decay_R(self) -> Array:
        """Decay constant with a gain for every exposure; NaN where it is no number."""
        if self.by_exposure is None or self.kernel_reason is not None:
            return np.full(self.rows, np.nan)
        return self.by_exposure.fits.a_D

    @cached_property
    def control_effect(self) -> float:
        """E_cf of the control items themselves."""
        gains = Gains.of_controls(self.cell, self.length)
        return float(control_effectivity(gains, ones(self.cell))[0])

    @cached_property
    def peak_J(self) -> Array:
        """D at the last peak of each item."""
        one = ones(self.cell)
        corrected = self.gains.corrected(one)
        states = peaks(self.gains, corrected, one.injected_DJ)
        return np.asarray(at_states(self.gains.read, corrected, states)[0])

    @property
    def peak_lag(self) -> int:
        """Lag after the last exposure at which the mean over items is largest."""
        one = ones(self.cell)
        last_J = self.gains.items.times_JN.max(axis=1)
        states = peaks(self.gains, self.gains.corrected(one), one.injected_DJ)[0]
        return int(np.median(states - last_J))

    @cached_property
    def effect_J(self) -> Array:
        """E_cf of each item: mean over its exposures, at lags chosen on other items."""
        one = ones(self.cell)
        return effects_by_item(self.gains, one)

    @property
    def length(self) -> int:
        """The acquisition window."""
        lags = self.gains.lags_H
        return int(lags[-1]) if len(lags) else 1

    def at(self, lag: int) -> int | None:
        """Place of the lag nearest to this one, within a tenth; None if there is none."""
        if not len(self.lags_L):
            return None
        near = int(np.abs(self.lags_L - lag).argmin())
        close = abs(int(self.lags_L[near]) - lag) <= 0.1 * lag
        return near if close and (lag or not self.lags_L[near]) else None


def surely_positive(rows_R: Array) -> bool:
    """Whether the interval lies above zero; the number itself where there are no resamples."""
    low = limits(rows_R[1:, None], 1)[0] if len(rows_R) > 1 else rows_R[:1]
    return bool(low[0] > 0)


def interval_of(cell: Cell) -> int | None:
    """Steps between exposures, if they are the same for all items; None otherwise."""
    times = cell.injected.times_JN
    gaps = np.unique(np.diff(times, axis=1))
    return int(gaps[0]) if len(gaps) == 1 and gaps[0] > 0 and (times >= 0).all() else None


def measure(
    cell: Cell,
    length: int,
    draws: ItemDraws | None,
    lags: list[int] | None = None,
    *,
    kernels: bool = True,
) -> Measured:
    """Effectivity, retention, what is left after an interval, and the kernel.

    Args:
        cell: a condition with controls.
        length: the acquisition window.
        draws: item bootstrap; without it there is row 0 alone.
        lags: lags of retention that are wanted; those that were read nearest to them are used.
        kernels: whether kernels are fitted.
    """
    gains = Gains.of(cell, length)
    mean = Mean(gains, length)
    step = interval_of(cell)
    lags_L = read_lags(gains, lags or [0])
    kernel: Kernel | None = None
    parts: list[tuple[Any, ...]] = []
    weights = with_data(cell, draws)
    for part in weights.chunks(_draws_at_once(gains)):
        corrected = gains.corrected(part)
        curve = mean.curve(part, corrected)
        fits = fit_all(mean, part, curve) if kernels and len(mean.states_T) >= 4 else None
        if not parts and fits is not None:
            kernel = kernel_of(mean, part, fits)
        parts.append(
            (
                effectivity(gains, part, corrected),
                retention(gains, part, lags_L, corrected),
                left_over(gains, step, part, corrected),
                fits,
                None if kernel is None else gains_by_exposure(mean, kernel, part, curve),
                None if kernel is None else curve,
            )
        )
    mean.forget()
    effect, kept, left, fitted, each, curves = zip(*parts, strict=True)
    common = own = None
    if kernel is not None:
        common = Fitted(kernel, _joined(Fits, fitted), np.concatenate(each))
        own = _by_exposure(mean, weights, np.concatenate(curves), common)
    return Measured(
        cell,
        gains,
        mean,
        _joined(Effect, effect),
        lags_L,
        _joined(Kept, kept),
        step,
        _joined(Kept, left),
        own,
        common,
    )


def _by_exposure(mean: Mean, weights: Weights, curve_DT: Array, common: Fitted) -> Fitted | None:
    """The kernel with a gain for every exposure; of one exposure both are the same."""
    if common.gains_RN.shape[1] == 1:
        return replace(common, gains_RN=common.fits.g_D[:, None])
    fits = fit_by_exposure(mean, weights, curve_DT)
    kernel = kernel_by_exposure(mean, weights, fits)
    return None if kernel is None else Fitted(kernel, fits, fits.gains_DN)


def _draws_at_once(gains: Gains) -> int:
    items, states = gains.rise_JT.shape
    widest = max(items * states, gains.after_JNH.size, 10 * states, 1)
    return max(1, int(_NUMBERS // widest))


def _joined(kind: Callable[..., Any], parts: tuple[Any, ...]) -> Any:
    """Draws of all parts one after the other; numbers that are no arrays come from the first."""
    values = {}
    for name in parts[0].__dataclass_fields__:
        first = getattr(parts[0], name)
        one_array = isinstance(first, np.ndarray)
        values[name] = np.concatenate([getattr(p, name) for p in parts]) if one_array else first
    return kind(**values)


def left_over(gains: Gains, interval: int | None, weights: Weights, corrected_DJT: Array) -> Kept:
    """A and S as sums: D(j, t_N + interval) over D(j, t_1 + interval); one column, none without.

    The latest reading up to that state counts, so that none is taken after the next exposure.
    """
    if interval is None:
        nothing = np.zeros((weights.n, 0))
        return Kept(nothing, nothing, nothing)
    times, read, rows = gains.items.times_JN, gains.read, np.arange(gains.items.n)
    found = []
    for exposure_J in (gains.last_J, np.zeros_like(gains.last_J)):
        shown_J = times[rows, exposure_J]
        column_J = read.upto(shown_J + interval, rows, shown_J)
        column_J = np.where(shown_J + interval > read.last_J, -1, column_J)
        states_J = np.where(column_J < 0, -1, read.states_T[column_J])
        found.append(at_states(read, corrected_DJT, states_J[None]))
    last, first = np.broadcast_arrays(*found)
    both = ~np.isnan(last) & ~np.isnan(first)
    weight = weights.injected_DJ * both
    return Kept(
        (weight * np.where(both, last, 0)).sum(axis=1)[:, None],
        (weight * np.where(both, first, 0)).sum(axis=1)[:, None],
        weight.sum(axis=1)[:, None],
    )


_READ = 0.5
"""Share of the items of which a lag must have been read."""


def read_lags(gains: Gains, wanted: list[int]) -> Array:
    """The lags after the last peak that were read nearest to those wanted, each once."""
    one, cell = ones(gains.cell), gains.cell
    corrected = gains.corrected(one)
    peak_J = peaks(gains, corrected, one.injected_DJ)[0]
    every = np.arange(int(cell.states_T[-1] - gains.items.times_JN[:, 0].min()) + 1)
    rows = np.arange(gains.items.n)
    column_LJ = gains.read.at(peak_J + every[:, None], rows)
    known_LJ = (column_LJ >= 0) & ~np.isnan(corrected[0][rows, column_LJ])
    read_L = (known_LJ & known_LJ[0]).sum(axis=1)
    there = every[read_L >= _READ * gains.items.n]
    if not len(there):
        return np.zeros(0, dtype=np.int64)
    near = np.abs(there[None] - np.array(wanted)[:, None]).argmin(axis=1)
    close = np.abs(there[near] - wanted) <= 0.1 * np.maximum(wanted, 1)
    return np.unique(there[near][close])
