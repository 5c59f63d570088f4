"""Learnability threshold by a sweep of exposure intervals (specification of `inject`, 2.6).

Only readings right before an exposure, or before the one that would come next, are used: there is
no maximum, and so no selection bias.
"""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.analysis import check_controls, item_draws
from polylore.metrics.injection.crossfit import Gains, at_states, effectivity
from polylore.metrics.injection.kernel import Mean, fit, gains_by_exposure, shape_at
from polylore.metrics.injection.resample import RESAMPLES, Weights, few, limits, ones
from polylore.metrics.injection.rows_published import retention_rows
from polylore.metrics.injection.trajectories import Cell, read_cells
from polylore.tables.injection import BRACKETS, THRESHOLD

EPSILON = 0.1
SWEEP = "interval"
"""Value of `arm` in the table of brackets: the sweep as a whole."""
Row = dict[str, Any]


def interval_of(cell: Cell) -> int | None:
    """Steps between exposures, if they are the same for all items; None otherwise."""
    times = cell.injected.times_JN
    gaps = np.unique(np.diff(times, axis=1))
    return int(gaps[0]) if len(gaps) == 1 and gaps[0] > 0 and (times >= 0).all() else None


def left_over(gains: Gains, interval: int, weights: Weights) -> Array:
    """S and A: mean of D(j, t_1 + interval) and of D(j, t_N + interval)."""
    corrected = gains.corrected(weights)
    times, w = gains.items.times_JN, weights.injected_J
    means = []
    for state_J in (times[:, 0] + interval, times[:, -1] + interval):
        value_J = at_states(gains.cell, corrected, state_J)
        seen = ~np.isnan(value_J)
        total = w[seen].sum()
        means.append(float(w[seen] @ value_J[seen] / total) if total else float("nan"))
    return np.array(means)


def threshold(
    log: pl.DataFrame,
    exposures: pl.DataFrame,
    *,
    window: int = 50,
    resamples: int = RESAMPLES,
    seed: int = 0,
    pool: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Whether exposures accumulate at each interval, and the bracket of the threshold.

    Every arm whose items share one interval between exposures takes part; its last readings must
    reach one interval beyond the last exposure.

    Args:
        log: contract `tables.inject.LOG`.
        exposures: run_id, item_id, exposure and step of every exposure.
        window: steps in which a gain may peak.
        resamples: bootstrap resamples of items.
        seed: their seed.
        pool: all runs in one cell, items as clusters.

    Returns:
        Tables THRESHOLD and BRACKETS.

    Raises:
        DataError: a probe language has no control items.
    """
    cells = [c for c in read_cells(log, exposures, pool=pool) if interval_of(c) is not None]
    check_controls(cells)
    draws = item_draws(log, resamples, seed)
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        key = tuple(v for k, v in cell.key.items() if k != "arm")
        groups.setdefault(key, []).append(cell)
    rows, brackets = [], []
    for found in groups.values():
        arms = [_Arm(cell, window) for cell in found]
        arms.sort(key=lambda arm: arm.interval)
        first = float(np.nanmean([arm.first_gain for arm in arms]))
        rise = arms[-1].rise
        own = []
        for arm in arms:
            samples = None
            if not few(arm.cell):
                samples = draws.bootstrap(arm.cell, arm.left_over)
            own.append(arm.row(samples, EPSILON * first, rise))
        rows += own
        brackets.append(_bracket(arms[-1].cell, own, window))
    return THRESHOLD.build(rows), BRACKETS.build(brackets)


class _Arm:
    """One interval of the sweep."""

    def __init__(self, cell: Cell, window: int) -> None:
        self.cell, self.interval = cell, interval_of(cell) or 0
        self.gains = Gains.of(cell, window)
        self.first_gain = float(effectivity(self.gains, ones(cell)).by_exposure_N[0])
        self.mean = Mean(self.gains, window)
        self.kernel = fit(self.mean, ones(cell))

    @property
    def rise(self) -> int:
        """Steps until a gain is complete."""
        return self.kernel.p if self.kernel else 1

    def left_over(self, weights: Weights) -> Array:
        return left_over(self.gains, self.interval, weights)

    def predicted(self) -> float | None:
        """kappa by the kernel: sum of g_{N+1-m} K(m interval) over g_1 K(interval)."""
        if self.kernel is None:
            return None
        g = gains_by_exposure(self.mean, self.kernel, ones(self.cell))
        lags = self.interval * np.arange(1, len(g) + 1)
        left = shape_at(self.kernel, lags)
        base = float(g[0] * left[0])
        return float(g[::-1] @ left) / base if base > 0 else None

    def row(self, samples: Array | None, small: float, rise: int) -> Row:
        single, whole = self.left_over(ones(self.cell)).tolist()
        table = None
        if samples is not None:
            s, a = samples.T
            with np.errstate(divide="ignore", invalid="ignore"):
                table = np.column_stack([s, a, a - s, np.where(s != 0, a / s, np.nan)])
        lo, hi = limits(table, 4)
        positive = lo[0] > 0
        verdict = "undetermined"
        if lo[2] > 0:
            verdict = "accumulates"
        elif hi[1] < small:
            verdict = "lost"
        elif lo[1] > 0 and hi[2] < small:
            verdict = "plateau"
        values: Row = {
            "interval": self.interval,
            "S": single,
            "A": whole,
            "A_lo": lo[1],
            "A_hi": hi[1],
            "difference": whole - single,
            "lo": lo[2],
            "hi": hi[2],
            "kappa": whole / single if positive else None,
            "kappa_lo": lo[3] if positive else None,
            "kappa_hi": hi[3] if positive else None,
            "kappa_predicted": self.predicted(),
            "within_rise": self.interval < rise,
            "verdict": verdict,
            "n_items": self.cell.injected.n,
        }
        return self.cell.key | {
            k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()
        }


def _bracket(longest: Cell, rows: list[Row], window: int) -> Row:
    usable = [row for row in rows if not row["within_rise"]]
    grows = [row["interval"] for row in usable if row["verdict"] == "accumulates"]
    ends = [row["interval"] for row in usable if row["verdict"] in ("plateau", "lost")]
    lo = max(grows, default=None)
    hi = min((d for d in ends if lo is None or d > lo), default=None)
    censored = "none"
    if lo is None and hi is None:
        censored = "undetermined"
    elif hi is None:
        censored = "right"
    elif lo is None:
        censored = "left"
    _, decay = retention_rows(longest, "paper", window, [], None, None)
    x = decay.get("x_intercept_log10")
    return longest.key | {
        "arm": SWEEP,
        "bracket_lo": lo,
        "bracket_hi": hi,
        "censored": censored,
        "monotone": not any(end < grow for end in ends for grow in grows),
        # Beyond 10^300 a number of steps means nothing.
        "x_intercept": None if x is None or not 0 < x < 300 else float(10**x),
    }
