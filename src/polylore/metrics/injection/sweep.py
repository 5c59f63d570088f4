"""Learnability threshold by a sweep of exposure intervals (specification of `inject`, 2.6).

Only readings right before an exposure, or before the one that would come next, are used: there is
no maximum, and so no selection bias.
"""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.injection.kernel import shape_at
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.number import Number
from polylore.metrics.injection.readout import Readout
from polylore.metrics.injection.resample import RESAMPLES, divide, limits
from polylore.metrics.injection.rows_published import intercepts
from polylore.metrics.injection.trajectories import Cell
from polylore.tables.injection import BRACKETS, THRESHOLD

EPSILON = 0.1
SWEEP = "interval"
"""Arms of a sweep begin with this; in the table of brackets it is the sweep as a whole."""
Row = dict[str, Any]


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

    Every arm whose items share one interval between exposures has a row; its last readings must
    reach one interval beyond the last exposure. The bracket is that of the arms `interval_...`.

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
    found = Measurements.of(
        log, exposures, window=window, resamples=resamples, seed=seed, pool=pool
    )
    return threshold_tables(found)


def threshold_tables(found: Measurements) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables of `threshold`, from a log that was measured already."""
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for measured in found.measured.values():
        if measured.interval is not None:
            key = tuple(v for k, v in measured.cell.key.items() if k != "arm")
            groups.setdefault(key, []).append(measured)
    rows, brackets = [], []
    for arms in groups.values():
        arms.sort(key=lambda arm: arm.interval or 0)
        first = float(np.nanmean([arm.effect.by_exposure_DN[0, 0] for arm in arms]))
        rise = max((arm.by_exposure.kernel.p for arm in arms[-1:] if arm.by_exposure), default=1)
        own = [_row(arm, EPSILON * first, rise) for arm in arms]
        rows += own
        swept = [arm for arm in arms if arm.cell.key["arm"].startswith(SWEEP)]
        if swept:
            mine = [row for row in own if row["arm"].startswith(SWEEP)]
            brackets.append(_bracket(swept[-1].cell, mine, found.window))
    return THRESHOLD.build(rows), BRACKETS.build(brackets)


def x_intercept(readout: Readout, depth: str, pair: tuple[str, str]) -> Number | None:
    """log10 of the published x-intercept of a sweep's longest arm, in steps; None without a sweep.

    Its resamples are those of the condition: what was read of an item moves together.
    """
    arms = [
        arm
        for key, arm in readout.pooled.measured.items()
        if key[1].startswith(SWEEP) and key[2:] == (depth, *pair) and arm.interval is not None
    ]
    if not arms:
        return None
    cell = max(arms, key=lambda arm: arm.interval or 0).cell
    window, draws = readout.pooled.window, readout.pooled.draws
    rows, why = intercepts(cell, "paper", window, draws)
    alone = [readout.runs.cells.get((run, cell.key["arm"], depth, *pair)) for run in readout.names]
    runs = [np.nan if one is None else intercepts(one, "paper", window, None)[0][0]
            for one in alone]  # fmt: skip
    return Number(rows, np.array(runs), len(set(cell.injected.names)), why)


def predicted(arm: Measured) -> float | None:
    """kappa by the kernel with a gain for every exposure.

    Sum of g_{N+1-m} K(m interval) over g_1 K(interval); None where its decay is not known.
    """
    own = arm.by_exposure
    if own is None or arm.interval is None or arm.kernel_reason is not None:
        return None
    g = own.gains_RN[0]
    left = shape_at(own.kernel, arm.interval * np.arange(1, len(g) + 1))
    base = float(g[0] * left[0])
    return float(g[::-1] @ left) / base if base > 0 else None


def _row(arm: Measured, small: float, rise: int) -> Row:
    left = arm.left
    a, s = (divide(part, left.weight_DL)[:, 0] for part in (left.top_DL, left.bottom_DL))
    table = np.column_stack([s, a, a - s, left.share_DL[:, 0]])
    samples = table[1:] if arm.rows > 1 and not arm.few else None
    lo, hi = limits(samples, 4)
    positive = lo[0] > 0
    verdict = "undetermined"
    if lo[2] > 0:
        verdict = "accumulates"
    elif hi[1] < small:
        verdict = "lost"
    elif lo[1] > 0 and hi[2] < small:
        verdict = "plateau"
    values: Row = {
        "interval": arm.interval,
        "S": table[0, 0],
        "A": table[0, 1],
        "A_lo": lo[1],
        "A_hi": hi[1],
        "difference": table[0, 2],
        "lo": lo[2],
        "hi": hi[2],
        "kappa": table[0, 3] if positive else None,
        "kappa_lo": lo[3] if positive else None,
        "kappa_hi": hi[3] if positive else None,
        "kappa_predicted": predicted(arm),
        "within_rise": (arm.interval or 0) < rise,
        "verdict": verdict,
        "n_items": arm.n_items,
    }
    return arm.cell.key | {
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
    x = float(intercepts(longest, "paper", window, None)[0][0])
    return longest.key | {
        "arm": SWEEP,
        "bracket_lo": lo,
        "bracket_hi": hi,
        "censored": censored,
        "monotone": not any(end < grow for end in ends for grow in grows),
        "x_intercept": float(10**x) if np.isfinite(x) else None,
    }
