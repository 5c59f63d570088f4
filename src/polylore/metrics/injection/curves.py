"""Curves to look at: the rise around an item's exposures, and the kernel of one exposure."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import observed_lag
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.measurements import Measurements, retention_lags
from polylore.metrics.injection.resample import FEWEST, divide, limits, with_data
from polylore.tables.injection import CURVES, KERNEL_CURVES

Row = dict[str, Any]


def curve_rows(found: Measurements) -> pl.DataFrame:
    """Item mean of y(t) - y(pre) by the steps since an item's first exposure; table CURVES.

    Readings are put together over the usual distance between states, so that items that start at
    different steps share points. The control curve is that of never-injected items at the very
    states at which the injected ones are read.
    """
    rows: list[Row] = []
    for measured in found.measured.values():
        rows += _curve(measured, found)
    return CURVES.build(rows)


def _curve(measured: Measured, found: Measurements) -> list[Row]:
    cell, gains = measured.cell, measured.gains
    if cell.control is None or gains.rise_KT is None:
        return []
    states = cell.states_T
    width = max(1, int(np.median(np.diff(states)))) if len(states) > 1 else 1
    first_J = gains.items.times_JN[:, 0]
    bins_JT = (states[None] - first_J[:, None]) // width
    low = int(bins_JT.min())
    n_bins = int(bins_JT.max()) - low + 1
    sums, counts = np.zeros((2, gains.items.n, n_bins))
    rows_JT = np.broadcast_to(np.arange(gains.items.n)[:, None], bins_JT.shape)
    there = ~np.isnan(gains.rise_JT)
    at = (rows_JT[there], bins_JT[there] - low)
    np.add.at(sums, at, gains.rise_JT[there])
    np.add.at(counts, at, 1)
    rise_JB = divide(sums, counts)
    control_KB = _controls(measured, bins_JT - low, n_bins)
    weights = with_data(cell, found.draws)
    parts = (
        (rise_JB, weights.injected_DJ, measured.few),
        (control_KB, weights.control_DK, len(set(cell.control.names)) < FEWEST),
    )
    ends = []
    for values, weight, too_few in parts:
        known = ~np.isnan(values)
        drawn = divide(weight @ np.where(known, values, 0), weight @ known)
        samples = drawn[1:] if len(drawn) > 1 and not too_few else None
        ends.append((drawn[0], *limits(samples, n_bins)))
    n_B = (counts > 0).sum(axis=0)
    shown = np.flatnonzero(n_B >= 0.5 * gains.items.n)
    names = (("rise", "lo", "hi"), ("control", "control_lo", "control_hi"))
    return [
        cell.key
        | {"since": (int(b) + low) * width, "n_items": int(n_B[b])}
        | {
            name: _number(values[b])
            for columns, parts in zip(names, ends, strict=True)
            for name, values in zip(columns, parts, strict=True)
        }
        for b in shown
    ]


def _controls(measured: Measured, bins_JT: Array, n_bins: int) -> Array:
    """Rise of each control item, by the bins of the injected items of its run: (K, B)."""
    cell, rise_KT = measured.cell, measured.gains.rise_KT
    if cell.control is None or rise_KT is None:
        return np.zeros((0, n_bins))
    runs = np.array(cell.injected.runs)
    found = np.full((cell.control.n, n_bins), np.nan)
    for run in dict.fromkeys(cell.control.runs):
        own = np.array(cell.control.runs) == run
        bins = bins_JT[runs == run]
        if not len(bins):
            continue
        state_T = np.broadcast_to(np.arange(bins.shape[1]), bins.shape)
        count_TB = np.zeros((bins.shape[1], n_bins))
        np.add.at(count_TB, (state_T.ravel(), bins.ravel()), 1)
        present = ~np.isnan(rise_KT[own])
        found[own] = divide(np.where(present, rise_KT[own], 0) @ count_TB, present @ count_TB)
    return found


def kernel_curves(found: Measurements) -> pl.DataFrame:
    """g K(lag) of each arm on the data and its interval over resamples; table KERNEL_CURVES.

    Of the kernel with a gain for every exposure: g is their mean.
    """
    rows: list[Row] = []
    for measured in found.measured.values():
        if measured.by_exposure is None:
            continue
        fits = measured.by_exposure.fits
        lags = np.array(retention_lags(observed_lag(measured.mean)))
        p, r, g, a = (v[:, None] for v in (fits.p_D, fits.r_D, fits.g_D, fits.a_D))
        with np.errstate(invalid="ignore"):
            curves = np.where(lags > 0, 1 - r ** np.minimum(lags, p), 0.0)
            curves = g * curves * (1 - a * np.log10(np.maximum(lags - p, 1)))
        samples = curves[1:] if len(curves) > 1 and not measured.few else None
        lo, hi = limits(samples, len(lags))
        rows += [
            measured.cell.key
            | {"lag": int(lag), "value": float(curves[0, k]), "lo": _number(lo[k]),
               "hi": _number(hi[k])}
            for k, lag in enumerate(lags)
            if np.isfinite(curves[0, k])
        ]  # fmt: skip
    return KERNEL_CURVES.build(rows)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
