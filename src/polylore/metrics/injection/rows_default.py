"""Rows of the default form of one cell: effectivity, retention, kernel, gains and forms."""

from typing import Any

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection import crossfit
from polylore.metrics.injection.crossfit import Gains
from polylore.metrics.injection.forms import FORMS, compare_forms
from polylore.metrics.injection.kernel import Kernel, Mean, fit, gains_by_exposure, observed_lag
from polylore.metrics.injection.reach import reach
from polylore.metrics.injection.resample import ItemDraws, Weights, few, limits, ones
from polylore.metrics.injection.trajectories import Cell

Row = dict[str, Any]
PRESET = "default"
NO_CONTROL = "no_control_items"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def effectivity_rows(cell: Cell, length: int, draws: ItemDraws | None) -> list[Row]:
    """E_cf of all exposures together, and of each one."""
    key: Row = cell.key | {"preset": PRESET, "n_items": cell.injected.n, "n_dropped": 0}
    if cell.control is None:
        return [key | {"exposure": None, "n_values": 0, "reason": NO_CONTROL}]
    gains = Gains.of(cell, length)
    effect = crossfit.effectivity(gains, ones(cell))

    def statistic(weights: Weights) -> Array:
        drawn = crossfit.effectivity(gains, weights)
        return np.append(drawn.by_exposure_N, drawn.value)

    n = len(effect.by_exposure_N)
    samples = None if draws is None or few(cell) else draws.bootstrap(cell, statistic)
    lo, hi = limits(samples, n + 1)
    control = crossfit.control_effectivity(Gains.of_controls(cell, length), ones(cell))
    reason = "few_items" if few(cell) else None
    values = [*effect.by_exposure_N.tolist(), effect.value]
    shown = (cell.injected.times_JN >= 0).sum(axis=0).tolist()
    return [
        key
        | {
            "exposure": i if i < n else None,
            "estimate": _number(value),
            "lo": _number(lo[i]),
            "hi": _number(hi[i]),
            "n_values": shown[i] if i < n else effect.n_values,
            "control_estimate": _number(control) if i == n else None,
            "lag": _number(effect.lag) if i == n else None,
            "reason": reason if np.isfinite(value) else "no_readings",
        }
        for i, value in enumerate(values)
    ]


def retention_rows(cell: Cell, length: int, lags: list[int], draws: ItemDraws | None) -> list[Row]:
    """R_c by lag; null where the whole gain is not surely different from zero."""
    key: Row = cell.key | {"preset": PRESET, "n_items": cell.injected.n}
    if cell.control is None or not lags:
        empty = {"n_values": 0, "negative_denominators": 0, "reason": NO_CONTROL}
        return [key | {"lag": lag} | empty for lag in lags]
    gains = Gains.of(cell, length)
    lags_L = np.array(lags)
    top, bottom = crossfit.retention(gains, ones(cell), lags_L)
    samples = None
    if draws is not None and not few(cell):
        sums = draws.bootstrap(cell, lambda w: crossfit.retention(gains, w, lags_L).ravel())
        tops, bottoms = sums[:, : len(lags)], sums[:, len(lags) :]
        samples = np.divide(tops, bottoms, out=np.full(tops.shape, np.nan), where=bottoms != 0)
        low, high = limits(bottoms, len(lags))
    lo, hi = limits(samples, len(lags))
    corrected = gains.corrected(ones(cell))
    at_peak = crossfit.at_states(
        cell, corrected, crossfit.peaks(gains, corrected, np.ones(cell.injected.n))
    )
    rows = []
    for at, lag in enumerate(lags):
        surely = samples is None or low[at] > 0 or high[at] < 0
        reason: str | None = "few_items" if few(cell) else None
        if not surely:
            reason = "denominator_not_different_from_zero"
        fine = surely and bottom[at] != 0
        rows.append(
            key
            | {
                "lag": lag,
                "estimate": _number(top[at] / bottom[at]) if fine else None,
                "lo": _number(lo[at]) if fine else None,
                "hi": _number(hi[at]) if fine else None,
                "n_values": cell.injected.n,
                "negative_denominators": int((at_peak < 0).sum()),
                "reason": reason if fine or not surely else "no_readings",
            }
        )
    return [row for row in rows if row["reason"] != "no_readings"]


def kernel_rows(
    cell: Cell, length: int, draws: ItemDraws | None, form_draws: int
) -> tuple[Row, list[Row], list[Row]]:
    """The kernel, the gain of every exposure, and the comparison of forms.

    Args:
        cell: the condition.
        length: the acquisition window.
        draws: item bootstrap; without it there is no interval and no verdict.
        form_draws: of these, how many the comparison of forms uses.
    """
    key: Row = cell.key | {"n_items": cell.injected.n}
    empty = {"half_life_censored": True, "zero_censored": True, "observed": 0}
    if cell.control is None:
        return key | empty | {"reason": NO_CONTROL}, [], []
    mean = Mean(Gains.of(cell, length), length)
    found = fit(mean, ones(cell))
    if found is None:
        return key | empty | {"reason": "few_readings"}, [], []
    kernel: Kernel = found

    def statistic(weights: Weights) -> Array:
        drawn = fit(mean, weights)
        if drawn is None:
            return np.full(2 + n, np.nan)
        each = gains_by_exposure(mean, kernel, weights)
        return np.concatenate([[drawn.gain_at_peak, drawn.a], each])

    each = gains_by_exposure(mean, kernel, ones(cell))
    n = len(each)
    samples = None if draws is None or few(cell) else draws.bootstrap(cell, statistic)
    lo, hi = limits(samples, 2 + n)
    observed = observed_lag(mean)
    half = reach(kernel.a, lo[1], hi[1], 0.5, observed)
    zero = reach(kernel.a, lo[1], hi[1], 1.0, observed)
    row = key | {
        "p": kernel.p,
        "r": kernel.r,
        "gain_at_peak": kernel.gain_at_peak,
        "gain_lo": _number(lo[0]),
        "gain_hi": _number(hi[0]),
        "a": _number(kernel.a),
        "lo": _number(lo[1]),
        "hi": _number(hi[1]),
        "residual_ac1": _number(kernel.residual_ac1),
        "half_life": half.value,
        "half_life_lo": half.lo,
        "half_life_hi": half.hi,
        "half_life_censored": half.censored,
        "zero": zero.value,
        "zero_lo": zero.lo,
        "zero_hi": zero.hi,
        "zero_censored": zero.censored,
        "observed": observed,
        "reason": "few_items" if few(cell) else None,
    }
    gains = [
        cell.key
        | {
            "exposure": i,
            "gain": float(each[i]),
            "lo": _number(lo[2 + i]),
            "hi": _number(hi[2 + i]),
        }
        for i in range(n)
    ]
    return row, gains, _form_rows(cell, mean, kernel, draws, form_draws)


def _form_rows(
    cell: Cell, mean: Mean, kernel: Kernel, draws: ItemDraws | None, n: int
) -> list[Row]:
    resamples = [] if draws is None or few(cell) else draws.some(cell, n)
    compared = compare_forms(mean, kernel, ones(cell), resamples)
    return [
        cell.key
        | {
            "form": name,
            "names": list(form.names),
            "params": list(compared.fits[name].params),
            "gain": compared.fits[name].gain,
            "sse": compared.fits[name].sse,
            "aicc": compared.aicc[name],
            "n_eff": compared.n_eff,
            "win_share": compared.win_share[name],
            "holdout_error": compared.holdout_error[name],
            "verdict": compared.verdict,
        }
        for name, form in FORMS.items()
    ]
