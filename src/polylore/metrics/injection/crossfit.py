"""Default effectivity and retention: control-subtracted, and free of the maximum of noise.

The lag at which a gain is read is chosen on other items and other exposures than those it is read
from (specification of `inject`, section 2.4, rules 1 to 3). Everything is computed for many
weightings of the items at once: axis D, of which row 0 usually is the data as they are.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.published import window
from polylore.metrics.injection.resample import Weights, divide
from polylore.metrics.injection.trajectories import Cell, Items, pseudo_exposed


def mean_curves(rise_KT: Array, weights_DK: Array, runs: tuple[str, ...]) -> dict[str, Array]:
    """C(t) of each run, weighted mean over its control items: (D, T)."""
    names = np.array(runs)
    curves = {}
    for run in dict.fromkeys(runs):
        own = names == run
        present = ~np.isnan(rise_KT[own])
        weight = weights_DK[:, own]
        curves[run] = divide(weight @ np.where(present, rise_KT[own], 0), weight @ present)
    return curves


@dataclass(frozen=True)
class Gains:
    """Gains of a cell's items by lag, before the control is taken off."""

    cell: Cell
    items: Items
    rise_JT: Array
    """Item mean of y(t) - y(pre); not yet control-subtracted."""
    rise_KT: Array | None
    """The same of the control items; None if nothing is subtracted."""
    lags_H: Array
    """Lags on the grid, within the window."""
    start_JN: Array
    """Column of t_i, or of the latest state read since the exposure before; -1 if there is none."""
    after_JNH: Array
    """Column of t_i + h; -1 if not read."""

    @classmethod
    def of(cls, cell: Cell, length: int) -> "Gains":
        """Gains of the injected items."""
        control = None if cell.control is None else cell.rise(cell.control)
        return cls._of(cell, cell.injected, control, length)

    @classmethod
    def of_controls(cls, cell: Cell, length: int) -> "Gains":
        """Gains of the control items at the injected items' times; nothing is subtracted."""
        return cls._of(cell, pseudo_exposed(cell), None, length)

    @classmethod
    def _of(cls, cell: Cell, items: Items, control: Array | None, length: int) -> "Gains":
        times = items.times_JN
        lags = np.arange(1, window(times, length) + 1)
        shown = times >= 0
        before = np.concatenate([np.full((len(times), 1), -1), times[:, :-1]], axis=1)
        start = np.where(shown, cell.columns_upto(times, before), -1)
        after = cell.columns(times[:, :, None] + lags)
        after = np.where(shown[:, :, None], after, -1)
        # Only lags that were read after some exposure belong to the grid.
        used = (after >= 0).any(axis=(0, 1))
        return cls(cell, items, cell.rise(items), control, lags[used], start, after[:, :, used])

    def corrected(self, weights: Weights) -> Array:
        """D(j, t): rise minus the control curve of the item's run; (D, J, T)."""
        if self.rise_KT is None or self.cell.control is None:
            return self.rise_JT[None]
        curves = mean_curves(self.rise_KT, weights.control_DK, self.cell.control.runs)
        out = np.full((weights.n, *self.rise_JT.shape), np.nan)
        runs = np.array(self.items.runs)
        for run, curve_DT in curves.items():
            mine = runs == run
            out[:, mine] = self.rise_JT[mine] - curve_DT[:, None]
        return out

    @cached_property
    def near_JNH(self) -> Array:
        """Place of the lag nearest to each one that was read after this exposure of this item."""
        missing = self.after_JNH < 0
        if not missing.any():
            return np.broadcast_to(np.arange(len(self.lags_H)), self.after_JNH.shape)
        far = np.abs(self.lags_H[:, None] - self.lags_H[None]).astype(np.float64)
        return np.asarray(np.where(missing[:, :, None], np.inf, far).argmin(axis=3))

    def by_lag(self, corrected_DJT: Array) -> Array:
        """d_i(j, h): (D, J, N, H), NaN where a reading is missing."""
        rows = np.arange(self.items.n)
        start_DJN = _take(corrected_DJT, rows[:, None], self.start_JN)
        return _take(corrected_DJT, rows[:, None, None], self.after_JNH) - start_DJN[..., None]


def _take(values_DJT: Array, rows: Array, columns: Array) -> Array:
    """Values at some columns of each row; NaN where a column is -1."""
    found = values_DJT[:, rows, columns]
    if (columns < 0).any():
        found = np.where(columns < 0, np.nan, found)
    return np.asarray(found)


def _others(values_DJNH: Array, weights_DJ: Array) -> Array:
    """Sum over all other items and other exposures (with one exposure: over all other items)."""
    weighted = weights_DJ[:, :, None, None] * values_DJNH
    by_exposure = weighted.sum(axis=1, keepdims=True)
    if values_DJNH.shape[2] == 1:
        return np.asarray(by_exposure - weighted)
    by_item = weighted.sum(axis=2, keepdims=True)
    weighted += by_item.sum(axis=1, keepdims=True) - by_exposure
    weighted -= by_item
    return weighted


def best_lags(values_DJNH: Array, weights_DJ: Array) -> Array:
    """Index of the lag that is best on the others: (D, J, N); the first of equals.

    Where readings are missing, the mean over the others that have one decides.
    """
    present = ~np.isnan(values_DJNH)
    if present.all():
        return np.asarray(_others(values_DJNH, weights_DJ).argmax(axis=3))
    sums = _others(np.where(present, values_DJNH, 0), weights_DJ)
    counts = _others(present.astype(np.float64), weights_DJ)
    # Sums of weights that cancel leave rounding behind, not zero.
    means = np.divide(sums, counts, out=np.full(sums.shape, -np.inf), where=counts > 0.5)
    return np.asarray(means.argmax(axis=3))


@dataclass(frozen=True)
class Effect:
    """Cross-fitted effectivity of a cell: weighted sums, so that cells can be joined."""

    sum_DN: Array
    weight_DN: Array
    lag_D: Array
    """Mean lag at which gains are read."""
    n_values: int
    """Values behind the first row."""

    @property
    def value_D(self) -> Array:
        """E_cf: mean over exposures and items."""
        return divide(self.sum_DN.sum(axis=1), self.weight_DN.sum(axis=1))

    @property
    def by_exposure_DN(self) -> Array:
        """The same of each exposure."""
        return divide(self.sum_DN, self.weight_DN)


def effectivity(gains: Gains, weights: Weights, corrected_DJT: Array | None = None) -> Effect:
    """E_cf: d_i(j, h*) with h* chosen on the other items and exposures."""
    corrected = gains.corrected(weights) if corrected_DJT is None else corrected_DJT
    return _effect(gains, gains.by_lag(corrected), weights.injected_DJ)


def control_effectivity(gains: Gains, weights: Weights) -> Array:
    """E_cf of the control items themselves: what no learning gives; (D,)."""
    return _effect(gains, gains.by_lag(gains.rise_JT[None]), weights.control_DK).value_D


def effects_by_item(gains: Gains, weights: Weights) -> Array:
    """E_cf of each item under the first weighting: mean over its exposures; (J,)."""
    values = gains.by_lag(gains.corrected(weights))[:1]
    best = _read(gains.near_JNH, best_lags(values, weights.injected_DJ[:1]))
    found = np.take_along_axis(values, best[..., None], axis=3)[0, :, :, 0]
    present = ~np.isnan(found)
    return divide(np.where(present, found, 0).sum(axis=1), present.sum(axis=1))


def _read(near_JNH: Array, best_DJN: Array) -> Array:
    """The lags that were read nearest to the best ones: (D, J, N)."""
    items, exposures, _ = near_JNH.shape
    rows = (np.arange(items)[:, None], np.arange(exposures)[None])
    return np.asarray(near_JNH[(*rows, best_DJN)])


def _effect(gains: Gains, values_DJNH: Array, weights_DJ: Array) -> Effect:
    best_DJN = _read(gains.near_JNH, best_lags(values_DJNH, weights_DJ))
    values = np.broadcast_to(values_DJNH, (len(best_DJN), *values_DJNH.shape[1:]))
    found = np.take_along_axis(values, best_DJN[..., None], axis=3)[..., 0]
    present = ~np.isnan(found)
    weight = weights_DJ[:, :, None] * present
    return Effect(
        (weight * np.where(present, found, 0)).sum(axis=1),
        weight.sum(axis=1),
        divide((weight * gains.lags_H[best_DJN]).sum(axis=(1, 2)), weight.sum(axis=(1, 2))),
        int(present[0][weights_DJ[0] > 0].sum()),
    )


def peaks(gains: Gains, corrected_DJT: Array, weights_DJ: Array) -> Array:
    """State t_N + h*_j of the last peak, h* from the last exposure of the other items; (D, J)."""
    last_J = (gains.items.times_JN >= 0).sum(axis=1) - 1
    rows = np.arange(gains.items.n)
    after_JH = gains.after_JNH[rows, last_J]
    start_DJ = _take(corrected_DJT, rows, gains.start_JN[rows, last_J])
    values = _take(corrected_DJT, rows[:, None], after_JH) - start_DJ[..., None]
    best_DJ = best_lags(values[:, :, None], weights_DJ)
    lag_DJ = gains.lags_H[_read(gains.near_JNH[rows, last_J][:, None], best_DJ)[..., 0]]
    return np.asarray(gains.items.times_JN[rows, last_J] + lag_DJ)


def at_states(cell: Cell, values_DJT: Array, states_DJ: Array) -> Array:
    """One value of each row, at its own state; NaN where it was not read; (D, J)."""
    columns = cell.columns(states_DJ)
    draws = np.arange(len(values_DJT))[:, None]
    found = values_DJT[draws, np.arange(values_DJT.shape[1]), columns]
    return np.asarray(np.where(columns < 0, np.nan, found))


@dataclass(frozen=True)
class Kept:
    """What is left of the gain at some lags after the last peak: weighted sums over items.

    R_c at lag l is top / bottom. Items whose reading is missing at a lag are left out of both sums
    there, so denominators are kept lag by lag.
    """

    top_DL: Array
    bottom_DL: Array
    weight_DL: Array
    """Weight of the items in both."""

    @property
    def share_DL(self) -> Array:
        """R_c."""
        return divide(self.top_DL, self.bottom_DL)


def retention(
    gains: Gains, weights: Weights, lags_L: Array, corrected_DJT: Array | None = None
) -> Kept:
    """R_c(t) = sum of D(j, t_N + h*_j + t) / sum of D(j, t_N + h*_j)."""
    corrected = gains.corrected(weights) if corrected_DJT is None else corrected_DJT
    w = weights.injected_DJ
    peak_DJ = peaks(gains, corrected, w)
    base_DJ = at_states(gains.cell, corrected, peak_DJ)
    columns_DJL = gains.cell.columns(peak_DJ[..., None] + lags_L)
    rows = np.arange(gains.items.n)[:, None]
    after_DJL = corrected[np.arange(len(corrected))[:, None, None], rows, columns_DJL]
    both = (columns_DJL >= 0) & ~np.isnan(after_DJL) & ~np.isnan(base_DJ)[..., None]
    weight = w[..., None] * both
    return Kept(
        (weight * np.where(both, after_DJL, 0)).sum(axis=1),
        (weight * np.where(both, base_DJ[..., None], 0)).sum(axis=1),
        weight.sum(axis=1),
    )
