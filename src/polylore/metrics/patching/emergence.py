"""When a difference emerged in training, with censoring (specification of `patch`, section 2).

E1: the first checkpoint from which on the simultaneous lower bound is above a floor. E2: the first
from which on the difference is at least a fraction of its final value. Either must hold at the next
checkpoint too, unless there is none. A checkpoint says only that it had happened by then and not at
the one before: the result is an interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.patching.curves import Series
from polylore.metrics.patching.resample import Estimate
from polylore.tables.patch_derived import EMERGENCE

PHI = 0.5
FLOOR_MARGIN = 0.01


@dataclass(frozen=True)
class Curve:
    """A difference over checkpoints."""

    mean_K: Array
    lo_K: Array
    """Lower end of the simultaneous band."""
    final_lo: float
    """Interval of the last value."""
    final_hi: float
    draws_DK: Array


@dataclass(frozen=True)
class Times:
    """Where the checkpoints lie; NaN where tokens or steps are not known."""

    tokens_K: Array
    steps_K: Array

    @classmethod
    def of(cls, places: pl.DataFrame) -> "Times":
        """From the columns tokens and step."""
        columns = (places[c].cast(pl.Float64).fill_null(float("nan")) for c in ("tokens", "step"))
        return cls(*(column.to_numpy() for column in columns))

    @property
    def axis_K(self) -> Array:
        """Tokens if all are known, else steps, else the places themselves."""
        for values in (self.tokens_K, self.steps_K):
            if not np.isnan(values).any():
                return values
        return np.arange(len(self.tokens_K), dtype=np.float64)


def emergence(curve: Curve, times: Times, *, phi: float = PHI, margin: float = FLOOR_MARGIN) -> (
    list[dict[str, Any]]
):  # fmt: skip
    """E1 and E2 of one curve.

    Args:
        curve: means, bounds and draws; every checkpoint has a value.
        times: tokens and steps of its checkpoints.
        phi: fraction of the final value for E2.
        margin: floor for E1.

    Returns:
        Two rows of table EMERGENCE without their keys.
    """
    above = curve.lo_K > margin
    # A draw has no band of its own; it keeps that of the data around its own values.
    lower_DK = curve.draws_DK - (curve.mean_K - curve.lo_K)
    first = _row(_first(above), times, None) | {"kind": "E1", "phi": None}
    first |= _bootstrap(_first_of_each(lower_DK > margin), times, None, None)
    threshold = phi * curve.mean_K[-1]
    if not curve.final_lo > 0:
        return [first, {"kind": "E2", "phi": phi, "censor": "undefined"}]
    second = _row(_first(curve.mean_K >= threshold), times, (curve.mean_K, threshold))
    second |= {"kind": "E2", "phi": phi}
    final_D = curve.draws_DK[:, -1]
    reached = (curve.draws_DK >= phi * final_D[:, None]) & (final_D > 0)[:, None]
    second |= _bootstrap(_first_of_each(reached), times, curve.draws_DK, phi * final_D)
    return [first, second]


def _first(holds_K: Array) -> int | None:
    found = int(_first_of_each(holds_K[None])[0])
    return found if found < len(holds_K) else None


def _first_of_each(holds_DK: Array) -> Array:
    """First checkpoint that holds and whose successor holds; K if none does."""
    lasting = holds_DK.copy()
    lasting[:, :-1] &= holds_DK[:, 1:]
    return np.asarray(np.where(lasting.any(axis=1), lasting.argmax(axis=1), lasting.shape[1]))


def _row(k: int | None, times: Times, interpolated: tuple[Array, float] | None) -> dict[str, Any]:
    last = len(times.axis_K) - 1
    if k is None:
        return {"censor": "right", "lo_tokens": _known(times.tokens_K, last),
                "lo_step": _known(times.steps_K, last)}  # fmt: skip
    row: dict[str, Any] = {
        "censor": "interval" if k else "left",
        "hi_tokens": _known(times.tokens_K, k),
        "hi_step": _known(times.steps_K, k),
        "lo_tokens": _known(times.tokens_K, k - 1) if k else 0.0,
        "lo_step": _known(times.steps_K, k - 1) if k else 0,
    }
    if k and interpolated is not None and not np.isnan(times.tokens_K).any():
        mean_K, threshold = interpolated
        row["point"] = _between(times.tokens_K, mean_K, threshold, k)
    return row


def _between(axis_K: Array, mean_K: Array, threshold: float, k: int) -> float | None:
    """Linear in log10 of the tokens; an untrained model has no place there."""
    start, end = axis_K[k - 1], axis_K[k]
    if start <= 0 or end <= 0:
        return None
    part = (threshold - mean_K[k - 1]) / (mean_K[k] - mean_K[k - 1])
    return float(10 ** (math.log10(start) + part * (math.log10(end) - math.log10(start))))


def _known(values_K: Array, k: int) -> float | None:
    return None if np.isnan(values_K[k]) else float(values_K[k])


def _bootstrap(
    k_D: Array, times: Times, draws_DK: Array | None, threshold_D: Array | None
) -> dict[str, Any]:
    """Shares of censored draws, and the 95 % interval of the time over all draws.

    A draw censored on the left counts as 0, one on the right as later than all; an end that falls
    among the latter is unknown (null).
    """
    n_k = len(times.axis_K)
    shares = {"p_left": float((k_D == 0).mean()), "p_right": float((k_D == n_k).mean())}
    if np.isnan(times.tokens_K).any():
        return shares
    when_D = np.concatenate([times.tokens_K, [np.inf]])[k_D]
    when_D[k_D == 0] = 0.0
    if draws_DK is not None and threshold_D is not None:
        for d in np.flatnonzero((k_D > 0) & (k_D < n_k)):
            point = _between(times.tokens_K, draws_DK[d], threshold_D[d], int(k_D[d]))
            when_D[d] = when_D[d] if point is None else point
    lo, hi = (float(np.quantile(when_D, q, method="inverted_cdf")) for q in (0.025, 0.975))
    return shares | {
        "boot_lo": lo if math.isfinite(lo) else None,
        "boot_hi": hi if math.isfinite(hi) else None,
    }


class EmergenceRows:
    """Collects the emergence of contrasts while these are computed.

    Args:
        places: ckpt_id, step and tokens of the analysed checkpoints, in order.
        phi: fractions of the final value for E2.
        margin: floor for E1.
        chosen: contrasts whose emergence is asked for.
    """

    def __init__(
        self,
        places: pl.DataFrame,
        *,
        chosen: Sequence[str],
        phi: float = PHI,
        margin: float = FLOOR_MARGIN,
    ) -> None:
        self.times = Times.of(places)
        self.chosen, self.phi, self.margin = frozenset(chosen), phi, margin
        self.rows: list[dict[str, Any]] = []

    def __call__(
        self,
        series: Series,
        estimate: Estimate,
        bands: dict[str, tuple[Array, Array]],
        keys: dict[str, Any],
    ) -> None:
        """Add the emergence of one contrast at every onset and in every summary."""
        if keys["contrast"] not in self.chosen:
            return
        for at, columns, onsets in series.blocks:
            sim_lo = bands[at][0]
            for j, onset in enumerate(onsets):
                own = slice(j, None, len(onsets))
                mean_K = estimate.mean_G[columns][own]
                there = ~np.isnan(mean_K)
                if not there.any():
                    continue
                last = int(np.flatnonzero(there)[-1])
                curve = Curve(
                    mean_K[there],
                    sim_lo[own][there],
                    float(estimate.lo_G[columns][own][last]),
                    float(estimate.hi_G[columns][own][last]),
                    estimate.draws_DG[:, columns][:, own][:, there],
                )
                times = Times(self.times.tokens_K[there], self.times.steps_K[there])
                named = {k: v for k, v in keys.items() if k in EMERGENCE.schema}
                self.rows += [
                    named | {"at": at, "onset": onset} | row
                    for row in emergence(curve, times, phi=self.phi, margin=self.margin)
                ]

    def table(self) -> pl.DataFrame:
        """Table EMERGENCE."""
        return EMERGENCE.build(self.rows)


def order_of(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Which of two rows of EMERGENCE came first: only disjoint intervals have an order.

    Returns:
        `first`, `second` or `not ordered`.
    """
    a, b = (_ends(row) for row in (first, second))
    if a is None or b is None:
        return "not ordered"
    # Intervals are (lo, hi]: one may begin where the other ends.
    if a[1] <= b[0]:
        return "first"
    return "second" if b[1] <= a[0] else "not ordered"


def _ends(row: dict[str, Any]) -> tuple[float, float] | None:
    if row["censor"] == "undefined" or row["lo_tokens"] is None:
        return None
    if row["censor"] == "right":
        return row["lo_tokens"], math.inf
    return (row["lo_tokens"], row["hi_tokens"]) if row["hi_tokens"] is not None else None
