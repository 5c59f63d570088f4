"""Rows of the default form of one cell: effectivity, retention, kernel, gains and forms."""

from typing import Any

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.forms import FORMS, compare_forms
from polylore.metrics.injection.kernel import Kernel, observed_lag
from polylore.metrics.injection.measured import NO_GAIN, Fitted, Measured
from polylore.metrics.injection.reach import reach
from polylore.metrics.injection.resample import ItemDraws, limits
from polylore.metrics.injection.trajectories import Cell

Row = dict[str, Any]
PRESET = "default"
NO_CONTROL = "no_control_items"
BY_EXPOSURE, COMMON = "by_exposure", "common"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def effectivity_rows(cell: Cell, found: Measured | None) -> list[Row]:
    """E_cf of all exposures together, and of each one; `found` is None without controls."""
    n_items = cell.injected.n if found is None else found.n_items
    key: Row = cell.key | {"preset": PRESET, "n_items": n_items}
    if found is None:
        empty = {"exposure": None, "n_values": 0, "n_dropped": 0, "reason": NO_CONTROL}
        return [key | empty]
    effect = found.effect
    values = np.column_stack([effect.by_exposure_DN, effect.value_D])
    n = values.shape[1] - 1
    lo, hi = limits(_samples(found, values), n + 1)
    reason = "few_items" if found.few else None
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
    return values_RV[1:] if found.rows > 1 and not found.few else None


def retention_rows(cell: Cell, found: Measured | None, lags: list[int]) -> list[Row]:
    """R_c by lag; null where the whole gain is not surely different from zero."""
    n_items = cell.injected.n if found is None else found.n_items
    key: Row = cell.key | {"preset": PRESET, "n_items": n_items}
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
        reason: str | None = "few_items" if found.few else None
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
) -> tuple[list[Row], list[Row], list[Row]]:
    """Both kernels, the gains of every exposure, and the comparison of forms.

    Args:
        cell: the condition.
        found: what was measured of it; None without controls.
        draws: item bootstrap; without it forms get no verdict.
        form_draws: of these, how many the comparison of forms uses; None: it is left out.
    """
    own, common = (None, None) if found is None else (found.by_exposure, found.common)
    if found is None or own is None or common is None:
        key: Row = cell.key | {"n_items": cell.injected.n, "observed": 0}
        key |= {"half_life_censored": True, "zero_censored": True}
        key |= {"reason": NO_CONTROL if found is None else "few_readings"}
        return [key | {"gains": name} for name in (BY_EXPOSURE, COMMON)], [], []
    nothing = NO_GAIN if found.kernel_reason == NO_GAIN else None
    kernels = [
        _kernel_row(found, BY_EXPOSURE, own, common, found.kernel_reason),
        # What was not gained is not forgotten, whichever kernel is asked.
        _kernel_row(found, COMMON, common, own, nothing),
    ]
    gains = [*_gain_rows(found, BY_EXPOSURE, own), *_gain_rows(found, COMMON, common)]
    forms = [] if form_draws is None else [
        row
        for name, kernel in ((BY_EXPOSURE, own.kernel), (COMMON, common.kernel))
        for row in _form_rows(found, name, kernel, draws, form_draws)
    ]  # fmt: skip
    return kernels, gains, forms


def _kernel_row(found: Measured, name: str, own: Fitted, other: Fitted, reason: str | None) -> Row:
    """One kernel; its decay constant and what follows from it are null with a reason."""
    kernel, cell = own.kernel, found.cell
    values = np.column_stack([own.fits.peak_D, own.fits.a_D, own.fits.a_D - other.fits.a_D])
    if reason is not None:
        values[:, 1:] = np.nan
    elif found.kernel_reason is not None:
        values[:, 2] = np.nan
    lo, hi = limits(_samples(found, values), 3)
    observed = observed_lag(found.mean)
    half, zero = (reach(values[0, 1], lo[1], hi[1], share, observed) for share in (0.5, 1.0))
    return cell.key | {
        "gains": name,
        "p": kernel.p,
        "r": kernel.r,
        "gain_at_peak": kernel.gain_at_peak,
        "gain_lo": _number(lo[0]),
        "gain_hi": _number(hi[0]),
        "a": _number(values[0, 1]),
        "lo": _number(lo[1]),
        "hi": _number(hi[1]),
        "above": _number(values[0, 2]),
        "above_lo": _number(lo[2]),
        "above_hi": _number(hi[2]),
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
        "n_items": found.mean.n_items,
        "reason": reason or ("few_items" if found.few else None),
    }


def _gain_rows(found: Measured, name: str, own: Fitted) -> list[Row]:
    lo, hi = limits(_samples(found, own.gains_RN), own.gains_RN.shape[1])
    return [
        found.cell.key
        | {"gains": name, "exposure": i, "gain": gain, "lo": _number(lo[i]), "hi": _number(hi[i])}
        for i, gain in enumerate(own.gains_RN[0].tolist())
    ]


def _form_rows(
    found: Measured, name: str, kernel: Kernel, draws: ItemDraws | None, n: int
) -> list[Row]:
    """All forms, where every exposure has a gain of its own or all share one."""
    cell = found.cell
    resamples = None if draws is None or found.few else draws.of_cell(cell, n)
    compared = compare_forms(found.mean, kernel, resamples, common=name == COMMON)
    return [
        cell.key
        | {
            "gains": name,
            "form": shape,
            "names": list(form.names),
            "params": list(compared.fits[shape].params),
            "gain": float(np.mean(compared.fits[shape].gains)),
            "sse": compared.fits[shape].sse,
            "aicc": compared.aicc[shape],
            "n_eff": compared.n_eff,
            "win_share": compared.win_share[shape],
            "holdout_error": compared.holdout_error[shape],
            "verdict": compared.verdict,
        }
        for shape, form in FORMS.items()
    ]
