"""Default effectivity and retention: control-subtracted, and free of the maximum of noise.

The lag at which a gain is read is chosen on other items and other exposures than those it is read
from (specification of `inject`, section 2.4, rules 1 to 3).
"""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.published import window
from polylore.metrics.injection.resample import Weights
from polylore.metrics.injection.trajectories import Cell, Items, pseudo_exposed


def mean_curves(rise_KT: Array, weights_K: Array, runs: tuple[str, ...]) -> dict[str, Array]:
    """C(t) of each run: weighted mean over its control items."""
    names = np.array(runs)
    curves = {}
    for run in dict.fromkeys(runs):
        own = names == run
        present = ~np.isnan(rise_KT[own])
        w = weights_K[own] @ present
        sums = weights_K[own] @ np.where(present, rise_KT[own], 0)
        curves[run] = np.divide(sums, w, out=np.full(len(w), np.nan), where=w > 0)
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
    """Column of t_i; -1 if not read or no exposure."""
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
        start = np.where(shown, cell.columns(times), -1)
        after = cell.columns(times[:, :, None] + lags)
        after = np.where(shown[:, :, None], after, -1)
        # Only lags that were read after some exposure belong to the grid.
        used = (after >= 0).any(axis=(0, 1))
        return cls(cell, items, cell.rise(items), control, lags[used], start, after[:, :, used])

    def corrected(self, weights: Weights) -> Array:
        """D(j, t): rise minus the control curve of the item's run; (J, T)."""
        if self.rise_KT is None or self.cell.control is None:
            return self.rise_JT
        curves = mean_curves(self.rise_KT, weights.control_K, self.cell.control.runs)
        nothing = np.full(self.rise_JT.shape[1], np.nan)
        return np.asarray(self.rise_JT - [curves.get(run, nothing) for run in self.items.runs])

    def by_lag(self, corrected_JT: Array) -> Array:
        """d_i(j, h): (J, N, H), NaN where a reading is missing."""
        padded = np.concatenate(
            [corrected_JT, np.full((len(corrected_JT), 1), np.nan)], axis=1
        )  # column -1
        rows = np.arange(len(padded))
        start_JN = padded[rows[:, None], self.start_JN]
        return np.asarray(padded[rows[:, None, None], self.after_JNH] - start_JN[:, :, None])


def _others(values_JNH: Array, weights_J: Array) -> Array:
    """Sum over all other items and other exposures (with one exposure: over all other items)."""
    weighted = weights_J[:, None, None] * values_JNH
    by_exposure = weighted.sum(axis=0)
    if values_JNH.shape[1] == 1:
        return np.asarray(by_exposure[None] - weighted)
    by_item = weighted.sum(axis=1)
    return np.asarray(by_item.sum(axis=0) - by_exposure[None] - by_item[:, None] + weighted)


def _best(values_JNH: Array, weights_J: Array) -> Array:
    """Index of the lag that is best on the others: (J, N); the first of equals."""
    present = ~np.isnan(values_JNH)
    if present.all():
        return np.asarray(_others(values_JNH, weights_J).argmax(axis=2))
    # Items may lack readings: then the mean over those that have them decides.
    sums = _others(np.where(present, values_JNH, 0), weights_J)
    counts = _others(present.astype(np.float64), weights_J)
    means = np.divide(sums, counts, out=np.full(sums.shape, -np.inf), where=counts > 0)
    return np.asarray(means.argmax(axis=2))


@dataclass(frozen=True)
class Effect:
    """Cross-fitted effectivity of a cell."""

    value: float
    by_exposure_N: Array
    lag: float
    """Mean lag at which gains are read."""
    n_values: int


def effectivity(gains: Gains, weights: Weights) -> Effect:
    """E_cf: d_i(j, h*) with h* chosen on the other items and exposures; mean over i and j."""
    values = gains.by_lag(gains.corrected(weights))
    return _effect(values, weights.injected_J, gains.lags_H)


def control_effectivity(gains: Gains, weights: Weights) -> float:
    """E_cf of the control items themselves: what no learning gives."""
    return _effect(gains.by_lag(gains.rise_JT), weights.control_K, gains.lags_H).value


def _effect(values_JNH: Array, weights_J: Array, lags_H: Array) -> Effect:
    best_JN = _best(values_JNH, weights_J)
    found = np.take_along_axis(values_JNH, best_JN[:, :, None], axis=2)[:, :, 0]
    present = ~np.isnan(found)
    weight = weights_J[:, None] * present
    filled = np.where(present, found, 0)
    total = weight.sum()
    by = weight.sum(axis=0)
    empty = np.full(found.shape[1], np.nan)
    return Effect(
        float((weight * filled).sum() / total) if total else float("nan"),
        np.divide((weight * filled).sum(axis=0), by, out=empty, where=by > 0),
        float((weight * lags_H[best_JN]).sum() / total) if total else float("nan"),
        int(present[weights_J > 0].sum()),
    )


def peaks(gains: Gains, corrected_JT: Array, weights_J: Array) -> Array:
    """State t_N + h*_j of the last peak, h* from the last exposure of the other items; (J,)."""
    last_J = (gains.items.times_JN >= 0).sum(axis=1) - 1
    rows = np.arange(gains.items.n)
    values_J1H = gains.by_lag(corrected_JT)[rows, last_J][:, None]
    lag_J = gains.lags_H[_best(values_J1H, weights_J)[:, 0]]
    return np.asarray(gains.items.times_JN[rows, last_J] + lag_J)


def at_states(cell: Cell, values_JT: Array, states_J: Array) -> Array:
    """One value of each row, at its own state; NaN where it was not read."""
    padded = np.concatenate([values_JT, np.full((len(values_JT), 1), np.nan)], axis=1)
    return np.asarray(padded[np.arange(len(padded)), cell.columns(states_J)])


def retention(gains: Gains, weights: Weights, lags_L: Array) -> Array:
    """Sums of R_c over items: row 0 at the last peak (the denominator), then at each lag; (1+L,).

    The ratio of row 1 + l to row 0 is R_c(lags_L[l]). Items whose reading is missing at a lag are
    left out of both sums there, so the denominators are returned lag by lag: (2, L).
    """
    corrected = gains.corrected(weights)
    w = weights.injected_J
    peak_J = peaks(gains, corrected, w)
    base_J = at_states(gains.cell, corrected, peak_J)
    tops, bottoms = [], []
    for lag in lags_L.tolist():
        value_J = at_states(gains.cell, corrected, peak_J + lag)
        both = ~np.isnan(value_J) & ~np.isnan(base_J)
        tops.append(float(w[both] @ value_J[both]))
        bottoms.append(float(w[both] @ base_J[both]))
    return np.array([tops, bottoms])
