"""Rows of the default form of one cell: effectivity, retention, kernel, gains and forms."""

from typing import Any

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.forms import FORMS, compare_forms
from polylore.metrics.injection.kernel import Kernel, observed_lag
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.reach import reach
from polylore.metrics.injection.resample import ItemDraws, few, limits
from polylore.metrics.injection.trajectories import Cell

Row = dict[str, Any]
PRESET = "default"
NO_CONTROL = "no_control_items"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def effectivity_rows(cell: Cell, found: Measured | None) -> list[Row]:
    """E_cf of all exposures together, and of each one; `found` is None without controls."""
    key: Row = cell.key | {"preset": PRESET, "n_items": cell.injected.n}
    if found is None:
        empty = {"exposure": None, "n_values": 0, "n_dropped": 0, "reason": NO_CONTROL}
        return [key | empty]
    effect = found.effect
    values = np.column_stack([effect.by_exposure_DN, effect.value_D])
    n = values.shape[1] - 1
    lo, hi = limits(_samples(found, values), n + 1)
    reason = "few_items" if few(cell) else None
    shown = (cell.injected.times_JN >= 0).sum(axis=0).tolist()
    shown.append(sum(shown))
    read = [*effect.n_by_exposure, effect.n_values]
    return [
        key
        | {
            "exposure": i if i < n else None,
            "estimate": _number(value),
            "lo": _number(lo[i]),
            "hi": _number(hi[i]),
            "n_values": read[i],
            "n_dropped": shown[i] - read[i],
            "control_estimate": _number(found.control_effect) if i == n else None,
            "lag": _number(effect.lag_D[0]) if i == n else None,
            "reason": reason if np.isfinite(value) else "no_readings",
        }
        for i, value in enumerate(values[0].tolist())
    ]


def _samples(found: Measured, values_RV: Array) -> Array | None:
    """The resamples among the rows; None if there are none or too few items for an interval."""
    return values_RV[1:] if found.rows > 1 and not few(found.cell) else None


def retention_rows(cell: Cell, found: Measured | None, lags: list[int]) -> list[Row]:
    """R_c by lag; null where the whole gain is not surely different from zero."""
    key: Row = cell.key | {"preset": PRESET, "n_items": cell.injected.n}
    if found is None:
        empty = {"n_values": 0, "negative_denominators": 0, "reason": NO_CONTROL}
        return [key | {"lag": lag} | empty for lag in lags]
    kept = found.kept
    width = len(found.lags_L)
    lo, hi = limits(_samples(found, kept.share_DL), width)
    bottoms = _samples(found, kept.bottom_DL)
    low, high = limits(bottoms, width)
    peak_J = found.peak_J
    rows = []
    for at, lag in enumerate(found.lags_L.tolist()):
        surely = bottoms is None or low[at] > 0 or high[at] < 0
        reason: str | None = "few_items" if few(cell) else None
        fine = surely and kept.bottom_DL[0, at] != 0
        rows.append(
            key
            | {
                "lag": lag,
                "estimate": _number(kept.share_DL[0, at]) if fine else None,
                "lo": _number(lo[at]) if fine else None,
                "hi": _number(hi[at]) if fine else None,
                "n_values": int(kept.weight_DL[0, at]),
                "negative_denominators": int((peak_J < 0).sum()),
                "reason": reason if fine else "denominator_not_different_from_zero",
            }
        )
    return rows


def kernel_rows(
    cell: Cell, found: Measured | None, draws: ItemDraws | None, form_draws: int | None
) -> tuple[Row, list[Row], list[Row]]:
    """The kernel, the gain of every exposure, and the comparison of forms.

    Args:
        cell: the condition.
        found: what was measured of it; None without controls.
        draws: item bootstrap; without it forms get no verdict.
        form_draws: of these, how many the comparison of forms uses; None: it is left out.
    """
    key: Row = cell.key | {"n_items": cell.injected.n}
    empty = {"half_life_censored": True, "zero_censored": True, "observed": 0}
    if found is None:
        return key | empty | {"reason": NO_CONTROL}, [], []
    if found.kernel is None or found.fits is None:
        return key | empty | {"reason": "few_readings"}, [], []
    kernel = found.kernel
    values = np.column_stack([found.fits.peak_D, found.fits.a_D, found.gains_RN])
    n = found.gains_RN.shape[1]
    lo, hi = limits(_samples(found, values), 2 + n)
    observed = observed_lag(found.mean)
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
            "gain": float(found.gains_RN[0, i]),
            "lo": _number(lo[2 + i]),
            "hi": _number(hi[2 + i]),
        }
        for i in range(n)
    ]
    forms = [] if form_draws is None else _form_rows(cell, found, kernel, draws, form_draws)
    return row, gains, forms


def _form_rows(
    cell: Cell, found: Measured, kernel: Kernel, draws: ItemDraws | None, n: int
) -> list[Row]:
    resamples = None if draws is None or few(cell) else draws.of_cell(cell, n)
    compared = compare_forms(found.mean, kernel, resamples)
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
