"""Detectors on the measured series of the specification of `unify`, sections 9.3 and 9.5."""

import math

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.unification import (
    Series,
    baselines,
    crossing,
    entropy_of,
    label,
    lags,
    phase_table,
    phases,
)

STEPS = np.arange(0, 151, 15.0)
LOSS = np.array([6.760, 6.380, 5.630, 4.579, 3.507, 2.668, 2.105, 1.548, 1.002, 0.573, 0.286])
TRAIN = np.array([0.001, 0.081, 0.134, 0.188, 0.216, 0.325, 0.562, 0.805, 0.943, 0.988, 0.999])
X = np.array([0.001, 0.032, 0.016, 0.022, 0.066, 0.322, 0.553, 0.778, 0.922, 0.980, 0.997])
U = np.array([0.16, -0.01, -0.09, -0.02, 0.16, 0.63, 0.81, 0.83, 0.83, 0.84, 0.84])
MASS = np.array([0.5, 0.529, 0.565, 0.585, 0.541, 0.232, 0.074, 0.061, 0.048, 0.032, 0.022])
U0 = np.array([0.16, -0.16, -0.23, -0.34, -0.46, -0.35, -0.12, 0.04, 0.07, 0.11, 0.09])
MASS0 = np.array([0.5, 0.537, 0.596, 0.691, 0.827, 0.927, 0.966, 0.969, 0.975, 0.973, 0.979])
PROBE = np.r_[np.ones(5), np.full(6, 0.7)]


def of_run(series: Series, p: float):
    rows = phases(series, baselines(20, 2, lam=1, p=p), languages=2)
    return {row["mark"]: row for row in rows}


def test_goldens_of_the_run_with_few_parallel_entities() -> None:
    found = of_run(Series(STEPS, LOSS, TRAIN, X, MASS, U, PROBE), 0.06)
    times = {"t_stat": 68.07, "t_cond": 77.60, "t_know": 86.08, "t_unify": 66.86,
             "t_transfer": 86.56}  # fmt: skip
    assert {name: found[name]["at"] for name in times} == pytest.approx(times, abs=0.005)
    thresholds = {"t_stat": 3.0557, "t_cond": 2.5705, "t_lang": 0.7217, "t_unify": 0.375}
    assert {n: found[n]["threshold"] for n in thresholds} == pytest.approx(thresholds, abs=1e-4)
    dip = found["dip"]
    assert (dip["at"], dip["value"], dip["depth"]) == pytest.approx((30, -0.09, 0.25))
    assert found["t_lang"]["censored"]
    assert found["t_lang"]["at"] is None
    assert found["t_probe"]["at_start"]
    assert found["t_probe"]["at"] is None
    assert found["plateau"]["at"] == 0
    assert found["t_transfer_half"]["at"] < found["t_transfer"]["at"]
    assert found["anti_transfer"]["value"] == pytest.approx(0.2)


def test_goldens_of_the_run_without() -> None:
    found = of_run(Series(STEPS, LOSS, TRAIN, np.zeros(11), MASS0, U0, np.ones(11)), 0)
    assert found["t_lang"]["at"] == pytest.approx(51.5, abs=0.05)
    assert found["t_lang"]["threshold"] == pytest.approx(0.75)
    assert found["t_transfer"]["censored"]
    assert found["t_transfer_half"]["reason"] == "final acc_x is below 3/V"
    assert found["dip"]["at"] == 60


def test_a_crossing_must_last() -> None:
    steps = np.array([0, 10, 20, 30.0])
    assert crossing(steps, np.array([0, 1, 0, 0.0]), 0.5).censored
    assert crossing(steps, np.array([0, 1, 0, 1.0]), 0.5).at == 25
    assert crossing(steps, np.array([0, 0, 0.25, 0.75]), 0.5).at == 25
    assert crossing(steps, np.array([1, 1, 0, 0.0]), 0.5).at_start
    # Values that were not measured are left out.
    assert crossing(steps, np.array([0, np.nan, 1, 1.0]), 0.5).at == 10
    assert crossing(steps, np.array([4, 3, 1, 0.0]), 2, falling=True).at == 15
    assert crossing(steps, np.full(4, np.nan), 0.5).censored


def test_what_was_not_measured_has_no_mark() -> None:
    nothing = np.full(11, np.nan)
    found = of_run(Series(STEPS, LOSS, TRAIN, nothing, nothing, nothing, nothing), 0.06)
    for mark in ("t_lang", "t_probe", "dip", "t_transfer", "t_transfer_half", "anti_transfer"):
        assert found[mark]["reason"] == "not measured"
        assert not found[mark]["censored"]
    assert found["t_unify"]["reason"] == "there is no dip to rise from"


def test_plateau_is_the_stay_within_two_percent() -> None:
    level = math.log(20)
    loss = np.array([6, 3.05, 3.0, 2.95, 2.2, 3.0, 1.0, 0.5, 0.4, 0.3, 0.2])
    found = of_run(Series(STEPS, loss, TRAIN, X, MASS, U, PROBE), 0)
    assert found["t_stat"]["at"] < 15
    assert abs(2.95 - level) < 0.02 * level
    assert found["plateau"]["at"] == 30


@pytest.mark.parametrize(("lam", "loss"), [(0, 2.9957), (0.5, 2.8649), (0.9, 2.5011), (1, 2.3026)])
def test_golden_baselines(lam: float, loss: float) -> None:
    found = baselines(20, 2, lam=lam)
    assert found.loss_language == pytest.approx(loss, abs=5e-5)
    assert found.loss_uniform == pytest.approx(math.log(20))
    assert found.chance == 0.05


def test_baselines_of_other_designs() -> None:
    assert baselines(20, 2, lam=1, p=0.06).loss_language == pytest.approx(2.5201, abs=5e-5)
    four = baselines(20, 4, lam=1, p=0.5, exposure="fact")
    s = 1 - 0.5 * 3 / 4
    blocks = [s] + [(1 - s) / 3] * 3
    assert four.loss_language == pytest.approx(math.log(5) + entropy_of(np.array(blocks)))
    assert baselines(20, 2, lam=1, p=0.5, exposure="dup").loss_language == pytest.approx(
        math.log(10)
    )
    with pytest.raises(DataError, match="divisible"):
        baselines(21, 2)


def test_labels() -> None:
    assert label(0.95, 1.0, 20) == "unified"
    assert label(0.05, 1.0, 20) == "separated"
    assert label(0.05, 0.05, 20) == "separated"
    assert label(0.5, 1.0, 20) == "partial"
    assert label(None, 1.0, 20) is None


def test_lags_over_seeds() -> None:
    series = Series(STEPS, LOSS, TRAIN, X, MASS, U, PROBE)
    late = Series(STEPS + np.where(STEPS > 0, 15, 0), LOSS, TRAIN, X, MASS, U, PROBE)
    marks = phase_table(
        {"r0": series, "r1": late}, lambda _: baselines(20, 2, lam=1, p=0.06), languages=2
    )
    runs = pl.DataFrame({"run_hash": ["r0", "r1"], "condition": ["c", "c"]})
    table = lags(marks, runs)
    row = table.filter(first="start", second="t_know").row(0, named=True)
    assert row["lag"] == pytest.approx(86.076 + 7.5, abs=0.01)
    assert (row["n_seeds"], row["n_censored"]) == (2, 0)
    lag = table.filter(first="t_know", second="t_transfer").row(0, named=True)
    assert lag["lag"] == pytest.approx(86.558 - 86.076, abs=0.01)
    gone = table.filter(first="start", second="t_lang").row(0, named=True)
    assert gone["lag"] is None
    assert gone["reason"] == "no seed has both marks"
