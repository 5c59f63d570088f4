"""Marks of learning and of unification on the evaluated checkpoints (specification, 2.9).

A crossing must hold at two checkpoints running (at the last, at one), is interpolated linearly in
steps, and is censored if never reached. What is met at the first one (step 0) is `at_start` and has
no time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.unification.course import Baselines
from polylore.metrics.unification.resampling import mean_over_seeds
from polylore.tables.unify_results import LAGS, PHASES

NEAR = 1.02
"""Losses up to this multiple of a baseline have reached it."""
PLATEAU = 0.02
PROBE = 0.95
KNOWING = 0.5
MARKS = ("t_stat", "plateau", "t_cond", "t_lang", "t_probe", "t_know", "dip", "anti_transfer",
         "t_unify", "t_transfer", "t_transfer_half")  # fmt: skip


@dataclass(frozen=True)
class Crossing:
    """When a series crossed a threshold."""

    at: float | None
    censored: bool = False
    at_start: bool = False


def crossing(steps: Array, series: Array, threshold: float, *, falling: bool = False) -> Crossing:
    """First lasting passage of a threshold.

    Args:
        steps: steps of the checkpoints, increasing.
        series: values; checkpoints without one (NaN) are left out.
        threshold: value that counts as reached.
        falling: whether it is reached from above.
    """
    there = ~np.isnan(series)
    x, y = np.asarray(steps, dtype=np.float64)[there], np.asarray(series, dtype=np.float64)[there]
    if falling:
        y, threshold = -y, -threshold
    met = y >= threshold
    lasting = met.copy()
    lasting[:-1] &= met[1:]
    if not lasting.any():
        return Crossing(None, censored=True)
    k = int(lasting.argmax())
    if k == 0:
        return Crossing(None, at_start=True)
    part = (threshold - y[k - 1]) / (y[k] - y[k - 1])
    return Crossing(float(x[k - 1] + part * (x[k] - x[k - 1])))


@dataclass(frozen=True)
class Series:
    """What a run's marks are read from, one value per checkpoint; NaN where not measured."""

    steps: Array
    loss_train: Array
    acc_train: Array
    acc_x: Array
    pref_mass: Array
    """On held-out cells."""
    u: Array
    """U_diff at the subject position, last hidden state."""
    probe: Array
    """Accuracy of the language probe, last hidden state."""


def phases(series: Series, base: Baselines, *, languages: int) -> list[dict[str, Any]]:
    """All marks of one run.

    Returns:
        Rows of PHASES without run_hash. A mark whose series was not measured is null with the
        reason.
    """
    s, rows = series, []

    def mark(name: str, values: Array, threshold: float, *, falling: bool = False) -> Crossing:
        found = crossing(s.steps, values, threshold, falling=falling)
        rows.append(_row(name, found, threshold, None if _known(values) else "not measured"))
        return found

    stat = mark("t_stat", s.loss_train, NEAR * base.loss_uniform, falling=True)
    rows.append(_plateau(s, stat, base.loss_uniform))
    mark("t_cond", s.loss_train, NEAR * base.loss_language, falling=True)
    mark("t_lang", s.pref_mass, (1 / languages + base.own_block) / 2)
    mark("t_probe", s.probe, PROBE)
    know = mark("t_know", s.acc_train, KNOWING)
    dip = _dip(s, know)
    rows.append(dip)
    rows.append(_anti_transfer(s, base.chance))
    rows.append(_t_unify(s, dip))
    mark("t_transfer", s.acc_x, KNOWING)
    final = s.acc_x[~np.isnan(s.acc_x)][-1] if _known(s.acc_x) else np.nan
    if final >= 3 * base.chance:
        mark("t_transfer_half", s.acc_x, float(final) / 2)
    else:
        reason = "final acc_x is below 3/V" if _known(s.acc_x) else "not measured"
        rows.append(_null("t_transfer_half", reason))
    return rows


def _known(values: Array) -> bool:
    return bool((~np.isnan(values)).any())


def _row(name: str, found: Crossing, threshold: float, reason: str | None) -> dict[str, Any]:
    if reason is not None:
        return _null(name, reason)
    return {
        "mark": name,
        "at": found.at,
        "threshold": threshold,
        "censored": found.censored,
        "at_start": found.at_start,
        "reason": "never reached" if found.censored else None,
    }


def _null(name: str, reason: str) -> dict[str, Any]:
    return {"mark": name, "censored": False, "at_start": False, "reason": reason}


def _plateau(s: Series, stat: Crossing, level: float) -> dict[str, Any]:
    """How long the loss stays within 2 % of the baseline after t_stat."""
    if stat.at is None:
        return _null("plateau", "t_stat is not known")
    after = s.steps >= stat.at
    leaves = after & (np.abs(s.loss_train - level) > PLATEAU * level)
    stays = after & ~leaves & ~np.isnan(s.loss_train)
    first_out = s.steps[leaves][0] if leaves.any() else np.inf
    inside = s.steps[stays & (s.steps < first_out)]
    length = float(inside[-1] - inside[0]) if len(inside) else 0.0
    return {"mark": "plateau", "at": length, "censored": False, "at_start": False}


def _dip(s: Series, know: Crossing) -> dict[str, Any]:
    """Minimum of U before t_know, and how far it lies below the maximum before it."""
    there = ~np.isnan(s.u)
    if know.at_start:
        return _null("dip", "facts are known at step 0")
    before = there & (s.steps < know.at if know.at is not None else True)
    if not before.any():
        return _null("dip", "not measured" if not there.any() else "no checkpoint before t_know")
    x, y = s.steps[before], s.u[before]
    k = int(y.argmin())
    return {
        "mark": "dip",
        "at": float(x[k]),
        "value": float(y[k]),
        "depth": float(y[: k + 1].max() - y[k]),
        "censored": False,
        "at_start": False,
    }


def _anti_transfer(s: Series, chance: float) -> dict[str, Any]:
    """Share of trained checkpoints with acc_x below half of chance, and the first of them."""
    there = ~np.isnan(s.acc_x) & (s.steps > 0)
    if not there.any():
        return _null("anti_transfer", "not measured")
    low = there & (s.acc_x < chance / 2)
    return {
        "mark": "anti_transfer",
        "at": float(s.steps[low][0]) if low.any() else None,
        "value": float(low.sum() / there.sum()),
        "threshold": chance / 2,
        "censored": not low.any(),
        "at_start": False,
    }


def _t_unify(s: Series, dip: dict[str, Any]) -> dict[str, Any]:
    """When U crosses the midpoint of its dip and its final value, after the dip."""
    if dip.get("value") is None:
        return _null("t_unify", "there is no dip to rise from")
    there = ~np.isnan(s.u) & (s.steps >= dip["at"])
    middle = (dip["value"] + s.u[there][-1]) / 2
    if s.u[there][-1] <= dip["value"]:
        return _null("t_unify", "U does not rise after its dip")
    found = crossing(s.steps[there], s.u[there], float(middle))
    return _row("t_unify", found, float(middle), None)


def lags(marks: pl.DataFrame, runs: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """When marks are passed and in which order, over the seeds of each condition.

    Args:
        marks: table PHASES.
        runs: frame with run_hash and condition.
        seed: seed of the bootstrap over seeds.

    Returns:
        Table LAGS: time of every mark (first = start), and the lag of every pair of marks.
    """
    wide = marks.filter(pl.col("mark") != "plateau").join(
        runs.select("run_hash", "condition"), on="run_hash"
    )
    times = [name for name in MARKS if name != "plateau"]
    rows = []
    for (condition,), own in wide.group_by("condition", maintain_order=True):
        at = {
            (row["run_hash"], row["mark"]): row["at"] for row in own.iter_rows(named=True)
        }  # fmt: skip
        hashes = own["run_hash"].unique(maintain_order=True).to_list()
        for second in times:
            for first in ("start", *times[: times.index(second)]):
                difference = [
                    _lag(0.0 if first == "start" else at.get((h, first)), at.get((h, second)))
                    for h in hashes
                ]
                rows.append(
                    {"condition": condition, "first": first, "second": second}
                    | _over_seeds(difference, seed)
                )
    return LAGS.build(rows)


def _lag(first: float | None, second: float | None) -> float:
    return float("nan") if first is None or second is None else second - first


def _over_seeds(values: list[float], seed: int) -> dict[str, Any]:
    found = mean_over_seeds(values, seed=seed)
    known = sum(not np.isnan(v) for v in values)
    numbers = {"lag": found.value, "lo": found.lo, "hi": found.hi, "least": found.least,
               "most": found.most}  # fmt: skip
    return {
        "n_seeds": known,
        "n_censored": len(values) - known,
        "reason": None if known else "no seed has both marks",
        **{name: None if np.isnan(v) else v for name, v in numbers.items()},
    }


def phase_table(
    series_by_run: dict[str, Series], base_of: Callable[[str], Baselines], *, languages: int
) -> pl.DataFrame:
    """Table PHASES of several runs."""
    return PHASES.build(
        [
            {"run_hash": run} | row
            for run, series in series_by_run.items()
            for row in phases(series, base_of(run), languages=languages)
        ]
    )
