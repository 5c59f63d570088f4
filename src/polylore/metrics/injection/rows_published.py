"""Rows of the published form: effectivity, retention and decay of one cell."""

from typing import Any

import numpy as np

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.metrics.injection.published import (
    FACTORS,
    Retained,
    drawn_means,
    find_peaks,
    horizon,
    mean_curve,
    missing_states,
    retained,
    semilog,
    trimmed_mean,
)
from polylore.metrics.injection.reach import LONGEST
from polylore.metrics.injection.resample import ItemDraws, few, limits
from polylore.metrics.injection.trajectories import Cell, pseudo_exposed

Row = dict[str, Any]
MISSING, UNEQUAL, UNREAD = "missing_states", "unequal_exposures", "no_readings"
OVER_READ = "maximum_over_read_states"
"""Remark on an estimate: states are missing, and the maximum is over those that were read."""
FORM = "semi_log"


_LISTED = 10
"""Missing states that are listed."""


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def effectivity_rows(
    cell: Cell, preset: str, length: int, draws: ItemDraws | None, *, sparse: bool
) -> list[Row]:
    """E of all exposures together, and of each one (without values that are negative).

    Args:
        cell: the condition.
        preset: paper or repo.
        length: the acquisition window.
        draws: item bootstrap; without it there is no interval.
        sparse: take the maximum over the states that were read if some are missing, and say so;
            otherwise the estimate is null then.
    """
    factor = FACTORS[preset]
    whole: Row = cell.key | {"preset": preset, "exposure": None, "n_items": cell.injected.n}
    gaps = len(missing_states(cell)) > 0
    if gaps and not sparse:
        return [whole | {"n_values": 0, "n_dropped": 0, "reason": MISSING}]
    try:
        peaks = find_peaks(cell, cell.injected, length)
    except DataError:
        return [whole | {"n_values": 0, "n_dropped": 0, "reason": UNEQUAL}]
    gain_QN, known_QN = peaks.gain_QN, peaks.known_QN
    item_QN = np.broadcast_to(cell.injected.item_Q[:, None], gain_QN.shape)
    value, outliers = trimmed_mean(gain_QN[known_QN], factor)
    samples = None
    if draws is not None and not few(cell) and known_QN.any():
        weights = draws.of_cell(cell).injected_DJ[:, item_QN[known_QN]]
        samples = drawn_means(gain_QN[known_QN], weights, factor)[:, None]
    lo, hi = limits(samples, 1)
    lags = peaks.at_QN - cell.injected.times_JN[cell.injected.item_Q]
    control = None
    if cell.control is not None:
        false = find_peaks(cell, pseudo_exposed(cell), length)
        control = _number(trimmed_mean(false.gain_QN[false.known_QN], factor)[0])
    remark = OVER_READ if gaps else None
    reason = remark or ("few_items" if few(cell) else None)
    rows = [
        whole
        | {
            "estimate": _number(value),
            "lo": _number(lo[0]),
            "hi": _number(hi[0]),
            "n_values": int(known_QN.sum()),
            "n_dropped": outliers + int((~known_QN).sum()),
            "control_estimate": control,
            "lag": _mean(lags[known_QN]),
            "reason": reason if known_QN.any() else UNREAD,
        }
    ]
    for i in range(gain_QN.shape[1]):
        risen = gain_QN[:, i] >= 0
        none = "no_positive_value" if known_QN[:, i].any() else UNREAD
        rows.append(
            cell.key
            | {
                "preset": preset,
                "exposure": i,
                "estimate": _mean(gain_QN[risen, i]),
                "n_items": cell.injected.n,
                "n_values": int(risen.sum()),
                "n_dropped": int((~risen).sum()),
                "lag": _mean(lags[known_QN[:, i], i]),
                "reason": remark if risen.any() else none,
            }
        )
    return rows


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None


def retention_rows(
    cell: Cell,
    preset: str,
    length: int,
    lags: list[int],
    draws: ItemDraws | None,
    tokens_per_step: float | None,
) -> tuple[list[Row], Row]:
    """Mean retainability at some lags, and its straight line over every lag."""
    factor = FACTORS[preset]
    key: Row = cell.key | {"preset": preset, "n_items": cell.injected.n}
    last, gaps = horizon(cell, length), missing_states(cell)
    line_key = key | {"horizon": last, "form": FORM, "n_missing": len(gaps),
                      "missing": gaps[:_LISTED].tolist()}  # fmt: skip
    kept = _retained(cell, length)
    if isinstance(kept, str):
        return [], line_key | {"reason": kept}
    item_Q = cell.injected.item_Q
    curve = mean_curve(kept.share_QL, factor)
    line = semilog(curve)
    shown = [lag for lag in lags if lag <= last]
    samples = None
    if draws is not None and not few(cell):
        curves = _drawn_curves(kept.share_QL, draws.of_cell(cell).injected_DJ[:, item_Q], factor)
        slopes = np.array([semilog(one).a for one in curves])
        samples = np.column_stack([curves[:, shown], slopes])
    lo, hi = limits(samples, len(shown) + 1)
    few_items = "few_items" if few(cell) else None
    rows = [
        key
        | {
            "lag": lag,
            "estimate": _number(curve[lag]),
            "lo": _number(lo[at]),
            "hi": _number(hi[at]),
            "n_values": int((~np.isnan(kept.share_QL[:, lag])).sum()),
            "negative_denominators": int((kept.gain_Q < 0).sum()),
            "reason": few_items,
        }
        for at, lag in enumerate(shown)
    ]
    x = _number(line.x_intercept_log10)
    tokens = None if tokens_per_step is None or x is None else x + float(np.log10(tokens_per_step))
    half = line.reaches(0.5, last)
    decay = line_key | {
        "a": _number(line.a),
        "lo": _number(lo[-1]),
        "hi": _number(hi[-1]),
        "naive_se": _number(line.naive_se),
        "r2": _number(line.r2),
        "intercept": _number(line.intercept),
        "x_intercept_log10": x,
        "x_intercept_tokens_log10": tokens,
        "half_life": half,
        "censored": half is None,
        "reason": few_items,
    }
    return rows, decay


def _retained(cell: Cell, length: int) -> Retained | str:
    """R of each probe up to the horizon, or the reason why there is none."""
    last = horizon(cell, length)
    if len(missing_states(cell)):
        return MISSING
    if last < 2:
        return "log_ends_too_early"
    try:
        peaks = find_peaks(cell, cell.injected, length)
    except DataError:
        return UNEQUAL
    kept = retained(cell, cell.injected, peaks, last)
    return kept if (~np.isnan(kept.share_QL)).all(axis=1).any() else UNREAD


def intercepts(
    cell: Cell, preset: str, length: int, draws: ItemDraws | None
) -> tuple[Array, str | None]:
    """log10 of the lag at which the line is zero, on the data (row 0) and on every resample.

    On the data NaN where the line does not fall, or where that lag means nothing; a resample whose
    line does not fall is taken to reach zero at the longest lag that means anything.

    Returns:
        The rows, and why row 0 is no number; None if it is one.
    """
    kept = _retained(cell, length)
    if isinstance(kept, str):
        return np.full(1, np.nan), kept
    factor = FACTORS[preset]
    line = semilog(mean_curve(kept.share_QL, factor))
    falls = line.a > 0 and 0 < line.x_intercept_log10 < LONGEST
    rows = [line.x_intercept_log10 if falls else np.nan]
    if draws is not None and not few(cell):
        weights = draws.of_cell(cell).injected_DJ[:, cell.injected.item_Q]
        lines = map(semilog, _drawn_curves(kept.share_QL, weights, factor))
        rows += [min(one.x_intercept_log10, LONGEST) if one.a > 0 else LONGEST for one in lines]
    return np.array(rows), None if falls else "line_does_not_fall"


def _drawn_curves(share_QL: Array, weights_DQ: Array, factor: float) -> Array:
    """Mean retainability of every resample: (D, L)."""
    there = ~np.isnan(share_QL).any(axis=1)
    values, weights = share_QL[there], weights_DQ[:, there]
    return np.stack([drawn_means(one, weights, factor) for one in values.T], axis=1)
