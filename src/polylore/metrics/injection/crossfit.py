"""Default effectivity and retention: control-subtracted, and free of the maximum of noise.

The lag at which a gain is read is chosen on other items and other exposures than those it is read
from (specification of `inject`, section 2.4, rules 1 to 3). Everything is computed for many
weightings of the items at once: axis D, of which row 0 usually is the data as they are.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.published import windows
from polylore.metrics.injection.resample import Weights, divide
from polylore.metrics.injection.trajectories import Cell, Items, Read, pseudo_exposed

_EQUAL = 1e-9
"""Sums over other items that differ by less, over the size of all values, count as equal."""


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


def _corrected(
    cell: Cell, items: Items, rise_JT: Array, rise_KT: Array | None, weights_DK: Array | None = None
) -> Array:
    """Rise of items minus the control curve of their own run; (D, J, T)."""
    if rise_KT is None or cell.control is None:
        return rise_JT[None]
    weights_DK = np.ones((1, cell.control.n)) if weights_DK is None else weights_DK
    out = np.full((len(weights_DK), *rise_JT.shape), np.nan)
    runs = np.array(items.runs)
    for run, curve_DT in mean_curves(rise_KT, weights_DK, cell.control.runs).items():
        mine = runs == run
        out[:, mine] = rise_JT[mine] - curve_DT[:, None]
    return out


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
    """Lags on the grid, within the longest window."""
    read: Read
    """Where the items have a reading, and a control curve of their own run beside it."""
    start_JN: Array
    """Column of t_i, or of the latest state read since the exposure before; -1 if there is none."""
    after_JNH: Array
    """Column of t_i + h; -1 if not read, or behind the window of the exposure."""

    @classmethod
    def of(cls, cell: Cell, length: int) -> "Gains":
        """Gains of the injected items."""
        control = None if cell.control is None else cell.rise(cell.control)
        return cls._of(cell, cell.injected, control, length)

    @classmethod
    def of_controls(cls, cell: Cell, length: int) -> "Gains":
        """Gains of the control items at the injected items' times."""
        controls = pseudo_exposed(cell)
        return cls._of(cell, controls, cell.rise(controls), length)

    @classmethod
    def _of(cls, cell: Cell, items: Items, control: Array | None, length: int) -> "Gains":
        times = items.times_JN
        windows_JN = windows(times, length)
        lags = np.arange(1, windows_JN.max(initial=1) + 1)
        rise = cell.rise(items)
        read = Read(cell.states_T, ~np.isnan(_corrected(cell, items, rise, control)[0]))
        rows = np.arange(items.n)
        shown = times >= 0
        before = np.concatenate([np.full((len(times), 1), -1), times[:, :-1]], axis=1)
        start = np.where(shown, read.upto(times, rows[:, None], before), -1)
        after = read.at(times[:, :, None] + lags, rows[:, None, None])
        # Without a reading before the exposure those behind it say nothing.
        within = lags <= np.where(shown & (start >= 0), windows_JN, 0)[:, :, None]
        after = np.where(within, after, -1)
        # Only lags that were read after some exposure belong to the grid.
        used = np.asarray((after >= 0).any(axis=(0, 1)))
        used[0] |= not used.any()
        return cls(cell, items, rise, control, lags[used], read, start, after[:, :, used])

    def corrected(self, weights: Weights) -> Array:
        """D(j, t): rise minus the control curve of the item's run; (D, J, T)."""
        return _corrected(self.cell, self.items, self.rise_JT, self.rise_KT, weights.control_DK)

    @cached_property
    def near_JNH(self) -> Array:
        """Place of the lag nearest to each one that was read in the window of this exposure."""
        missing = self.after_JNH < 0
        if not missing.any():
            return np.broadcast_to(np.arange(len(self.lags_H)), self.after_JNH.shape)
        far = np.abs(self.lags_H[:, None] - self.lags_H[None]).astype(np.float64)
        return np.asarray(np.where(missing[:, :, None], np.inf, far).argmin(axis=3))

    @cached_property
    def same_JJ(self) -> Array | None:
        """1 where two rows are one item, in several runs; None if no item has several rows."""
        names = np.array(self.items.names)
        if len(set(self.items.names)) == len(names):
            return None
        return np.asarray(np.equal.outer(names, names), dtype=np.float64)

    def by_lag(self, corrected_DJT: Array) -> Array:
        """d_i(j, h): (D, J, N, H); where lag h was not read, the lag nearest to it counts.

        Behind the end of an exposure's window, which is cut by the item's next exposure, that is
        the last lag within. So every exposure counts at every lag, with what would be read of it
        were that lag chosen, and sums over exposures are comparable between lags. NaN where nothing
        was read.
        """
        rows = np.arange(self.items.n)
        start_DJN = _take(corrected_DJT, rows[:, None], self.start_JN)
        after_DJNH = _take(corrected_DJT, rows[:, None, None], self._nearest_JNH)
        return np.asarray(after_DJNH - start_DJN[..., None])

    def last_by_lag(self, corrected_DJT: Array) -> Array:
        """The same of each item's last exposure alone: (D, J, 1, H)."""
        rows, last_J = np.arange(self.items.n), self.last_J
        start_DJ = _take(corrected_DJT, rows, self.start_JN[rows, last_J])
        after_DJH = _take(corrected_DJT, rows[:, None], self._nearest_JNH[rows, last_J])
        return np.asarray(after_DJH - start_DJ[..., None])[:, :, None]

    @cached_property
    def last_J(self) -> Array:
        """Number of each item's last exposure, from 0."""
        return np.asarray((self.items.times_JN >= 0).sum(axis=1) - 1)

    @cached_property
    def _nearest_JNH(self) -> Array:
        """Column of the reading nearest to lag h; -1 where nothing was read."""
        return np.take_along_axis(self.after_JNH, self.near_JNH, axis=2)


def _take(values_DJT: Array, rows: Array, columns: Array) -> Array:
    """Values at some columns of each row; NaN where a column is -1."""
    found = values_DJT[:, rows, columns]
    if (columns < 0).any():
        found = np.where(columns < 0, np.nan, found)
    return np.asarray(found)


def best_lags(values_DJNH: Array, weights_DJ: Array, same_JJ: Array | None = None) -> Array:
    """Index of the lag that is best on the others: (D, J, N); the first of equals.

    The others are all other exposures of all other items (with one exposure: all other items); an
    item of several runs is another one in none of them. All lags of an exposure are known or none.

    Sums that differ by rounding alone are equal. There are such: in a resample that draws no other
    item every lag has the sum of nothing, and two lags for which the others have one and the same
    reading have the same sum; the item's own part, which differs from lag to lag, is taken off a
    total, and leaves its rounding behind.

    Args:
        values_DJNH: d_i(j, h).
        weights_DJ: weight of each item.
        same_JJ: 1 where rows are one item; None if no item has several rows.
    """
    weighted = weights_DJ[:, :, None, None] * np.nan_to_num(values_DJNH)
    by_exposure = weighted.sum(axis=1, keepdims=True)
    own = weighted if same_JJ is None else _summed(same_JJ, weighted)
    if values_DJNH.shape[2] == 1:
        return np.asarray((by_exposure - _later(own) - own).argmax(axis=3))
    by_item = own.sum(axis=2, keepdims=True)
    own += by_exposure.sum(axis=2, keepdims=True) - by_exposure - _later(by_item)
    own -= by_item
    return np.asarray(own.argmax(axis=3))


def _later(parts_DJNH: Array) -> Array:
    """What is taken off sums of these, from lag to lag more, but too little to part unequal ones.

    Of the shape (D, 1, 1, H).
    """
    flat = parts_DJNH.reshape(len(parts_DJNH), -1)
    size_D = np.sqrt(np.einsum("dx,dx->d", flat, flat))
    return np.asarray(size_D[:, None, None, None] * np.linspace(0, _EQUAL, parts_DJNH.shape[3]))


def _summed(same_JJ: Array, values_DJNH: Array) -> Array:
    """Sum over all rows of the same item, for each row."""
    flat = values_DJNH.reshape(*values_DJNH.shape[:2], -1)
    return np.asarray((same_JJ @ flat).reshape(values_DJNH.shape))


@dataclass(frozen=True)
class Effect:
    """Cross-fitted effectivity of a cell: weighted sums, so that cells can be joined."""

    sum_DN: Array
    weight_DN: Array
    lag_D: Array
    """Mean lag at which gains are read."""
    n_by_exposure: tuple[int, ...]
    """Values behind the first row, exposure by exposure."""

    @property
    def n_values(self) -> int:
        """Values behind the first row."""
        return sum(self.n_by_exposure)

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
    values = gains.by_lag(corrected)
    return _effect(gains, values, values, weights.injected_DJ)


def control_effectivity(gains: Gains, weights: Weights) -> Array:
    """E_cf of the control items themselves, without the C term: what no learning gives; (D,).

    Lags are chosen as everywhere, on corrected gains; only what is read there is not corrected.
    The corrected gains of all control items add up to nothing, so that with a single exposure the
    others' best lag is an item's own worst one: E_cf then lies below zero (`halves_effectivity`).
    """
    chosen = gains.by_lag(gains.corrected(weights))
    return _effect(gains, gains.by_lag(gains.rise_JT[None]), chosen, weights.control_DK).value_D


def halves(cell: Cell) -> list[tuple[Cell, Array, Array]]:
    """One half of the control items as if injected, held against the other; then the reverse.

    Returns:
        Cells, each with the rows of its items and of its controls among the cell's control items.
        None unless both halves have items of every run.
    """
    if cell.control is None:
        return []
    controls = pseudo_exposed(cell)
    place = {name: k for k, name in enumerate(sorted(set(controls.names)))}
    even = np.array([place[name] % 2 == 0 for name in controls.names])
    runs = np.array(controls.runs)
    if any(len(set(runs[side])) < len(set(runs)) for side in (even, ~even)):
        return []
    return [
        (
            replace(cell, injected=controls.some(one), control=controls.some(two)),
            np.flatnonzero(one),
            np.flatnonzero(two),
        )
        for one, two in ((even, ~even), (~even, even))
    ]


def halves_effectivity(cell: Cell, length: int, weights: Weights) -> Array:
    """E_cf, all of it, of each half of the control items with the other as controls; (D,).

    What the corrected form finds where nothing was taught, with any number of exposures; its
    control curve has half as many items as that of the injected ones, and so more noise.
    """
    top, bottom = np.zeros((2, weights.n))
    for half, one, two in halves(cell):
        own = Weights(weights.control_DK[:, one], weights.control_DK[:, two])
        effect = effectivity(Gains.of(half, length), own)
        top += effect.sum_DN.sum(axis=1)
        bottom += effect.weight_DN.sum(axis=1)
    return divide(top, bottom)


def effects_by_item(gains: Gains, weights: Weights) -> Array:
    """E_cf of each item under the first weighting: mean over its exposures; (J,)."""
    values = gains.by_lag(gains.corrected(weights))[:1]
    best = best_lags(values, weights.injected_DJ[:1], gains.same_JJ)
    found = np.take_along_axis(values, best[..., None], axis=3)[0, :, :, 0]
    present = ~np.isnan(found)
    return divide(np.where(present, found, 0).sum(axis=1), present.sum(axis=1))


def _read(near_JNH: Array, best_DJN: Array) -> Array:
    """The lags that were read nearest to the best ones: (D, J, N)."""
    items, exposures, _ = near_JNH.shape
    rows = (np.arange(items)[:, None], np.arange(exposures)[None])
    return np.asarray(near_JNH[(*rows, best_DJN)])


def _effect(gains: Gains, values_DJNH: Array, chosen_DJNH: Array, weights_DJ: Array) -> Effect:
    """Values at the lags that are best in what they are chosen on."""
    best_DJN = best_lags(chosen_DJNH, weights_DJ, gains.same_JJ)
    values = np.broadcast_to(values_DJNH, (len(best_DJN), *values_DJNH.shape[1:]))
    found = np.take_along_axis(values, best_DJN[..., None], axis=3)[..., 0]
    present = ~np.isnan(found)
    weight = weights_DJ[:, :, None] * present
    lags = gains.lags_H[_read(gains.near_JNH, best_DJN)]
    return Effect(
        (weight * np.where(present, found, 0)).sum(axis=1),
        weight.sum(axis=1),
        divide((weight * lags).sum(axis=(1, 2)), weight.sum(axis=(1, 2))),
        tuple(present[0][weights_DJ[0] > 0].sum(axis=0).tolist()),
    )


def peaks(gains: Gains, corrected_DJT: Array, weights_DJ: Array) -> Array:
    """State t_N + h*_j of the last peak, h* from the last exposure of the other items; (D, J)."""
    rows, last_J = np.arange(gains.items.n), gains.last_J
    best_DJ = best_lags(gains.last_by_lag(corrected_DJT), weights_DJ, gains.same_JJ)
    lag_DJ = gains.lags_H[_read(gains.near_JNH[rows, last_J][:, None], best_DJ)[..., 0]]
    return np.asarray(gains.items.times_JN[rows, last_J] + lag_DJ)


def at_states(read: Read, values_DJT: Array, states_DJ: Array) -> Array:
    """One value of each row, at its own state; NaN where it was not read; (D, J)."""
    rows = np.arange(values_DJT.shape[1])
    columns = read.at(states_DJ, rows)
    found = values_DJT[np.arange(len(values_DJT))[:, None], rows, columns]
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
    base_DJ = at_states(gains.read, corrected, peak_DJ)
    rows = np.arange(gains.items.n)[:, None]
    columns_DJL = gains.read.at(peak_DJ[..., None] + lags_L, rows)
    after_DJL = corrected[np.arange(len(corrected))[:, None, None], rows, columns_DJL]
    both = (columns_DJL >= 0) & ~np.isnan(after_DJL) & ~np.isnan(base_DJ)[..., None]
    weight = w[..., None] * both
    return Kept(
        (weight * np.where(both, after_DJL, 0)).sum(axis=1),
        (weight * np.where(both, base_DJ[..., None], 0)).sum(axis=1),
        weight.sum(axis=1),
    )
