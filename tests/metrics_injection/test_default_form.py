"""Control-subtracted estimators find what was put in, whatever all probes have in common."""

import math

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.injection import analyse_injection, threshold
from polylore.metrics.injection.measurements import retention_lags
from polylore.metrics.injection.reach import reach


def run(w, **options):
    return analyse_injection(
        w.log(), w.exposures(), **{"resamples": 60, "form_resamples": 5} | options
    )


def whole(out):
    table = out["inject_effectivity"].filter(preset="default")
    return table.filter(pl.col("exposure").is_null()).row(0, named=True)


def test_kernel_and_gain_are_found(world):
    w = world({"duplication": [8, 108, 208]}, n=20, seed=1)
    out = run(w)
    row = whole(out)
    peak = 0.4 * (1 - 0.7**8) * math.exp(0.3**2 / 2)
    # A later exposure starts from a kernel that still falls, a little.
    assert row["estimate"] == pytest.approx(peak, rel=0.12)
    assert row["lo"] < row["estimate"] < row["hi"]
    assert abs(row["control_estimate"]) < 0.01
    for found in out["inject_kernels"].iter_rows(named=True):
        assert (found["p"], found["r"]) == (8, 0.7)
        assert found["a"] == pytest.approx(0.2, abs=0.02)
        assert found["lo"] < 0.2 < found["hi"]
        assert found["above_lo"] < 0 < found["above_hi"]
    assert out["inject_kernels"]["gains"].to_list() == ["by_exposure", "common"]
    assert out["inject_kernel_gains"].height == 6
    assert set(out["inject_forms"]["form"]) >= {"log_linear", "power", "two_exponentials"}
    assert out["inject_forms"]["verdict"].unique().to_list() == ["log_linear"]
    assert set(out["inject_forms"]["gains"]) == {"by_exposure", "common"}


def test_stagger_and_missing_readings_change_little(world):
    dense = [*range(0, 9), *range(9, 400, 3)]
    plain_, staggered = (
        run(world({"duplication": [8, 108, 208]}, n=20, stagger=s, read=r), resamples=0)
        for s, r in ((0, None), (40, dense))
    )
    assert whole(staggered)["estimate"] == pytest.approx(whole(plain_)["estimate"], abs=0.03)
    a = [out["inject_kernels"]["a"][0] for out in (plain_, staggered)]
    assert a[1] == pytest.approx(a[0], abs=0.02)


def test_common_noise_leaves_the_default_alone(world):
    common = np.random.default_rng(5).normal(0, 0.3, 400)
    calm, loud = (
        run(world({"duplication": [8, 108, 208]}, common=c), resamples=0) for c in (None, common)
    )
    assert whole(loud)["estimate"] == pytest.approx(whole(calm)["estimate"], abs=1e-9)
    for name, column in (("inject_retention", "estimate"), ("inject_kernels", "a")):
        pair = [out[name] for out in (calm, loud)]
        if "preset" in pair[0].columns:
            pair = [table.filter(preset="default") for table in pair]
        np.testing.assert_allclose(
            pair[0][column].to_numpy(), pair[1][column].to_numpy(), atol=1e-9
        )
    published = [
        out["inject_effectivity"].filter(pl.col("exposure").is_null(), preset="paper")["estimate"][
            0
        ]
        for out in (calm, loud)
    ]
    assert abs(published[0] - published[1]) > 0.05


def test_nothing_learned_has_no_retention(world):
    out = run(world({"once": [8]}, gain={("en", "en"): 0.0}, noise=0.1))
    rows = out["inject_retention"].filter(preset="default")
    assert rows["reason"].unique().to_list() == ["denominator_not_different_from_zero"]
    assert rows["estimate"].null_count() == rows.height


def test_runs_are_pooled_with_items_as_clusters(world):
    worlds = [world({"once": [8]}, seed=seed, run=f"run{seed}") for seed in (1, 2)]
    log = pl.concat([w.log() for w in worlds])
    exposures = pl.concat([w.exposures() for w in worlds])
    apart = analyse_injection(log, exposures, resamples=0)["inject_effectivity"]
    pooled = analyse_injection(log, exposures, resamples=50, pool=True)["inject_effectivity"]
    pick = (pl.col("preset") == "default") & pl.col("exposure").is_null()
    one = pooled.filter(pick).row(0, named=True)
    assert one["run_id"] == "all"
    assert one["n_items"] == 24
    assert one["estimate"] == pytest.approx(apart.filter(pick)["estimate"].mean(), abs=0.01)


def test_controls_are_asked_for(world):
    w = world({"once": [8]})
    log = w.log().filter(pl.col("arm") != "never")
    with pytest.raises(DataError, match="No never-injected item is probed in en"):
        analyse_injection(log, w.exposures(), resamples=0)
    out = analyse_injection(log, w.exposures(), resamples=0, no_control=True)
    own = out["inject_effectivity"].filter(preset="default")
    assert own["reason"].to_list() == ["no_control_items"]
    assert own["estimate"].to_list() == [None]


def test_few_items_and_broken_plans(world):
    w = world({"once": [8]}, n=9)
    out = run(w)
    assert whole(out)["reason"] == "few_items"
    assert whole(out)["lo"] is None
    with pytest.raises(DataError, match="places nothing"):
        analyse_injection(w.log(), w.exposures().clear())
    with pytest.raises(DataError, match="never places it"):
        analyse_injection(w.log(), w.exposures().filter(pl.col("item_id") != "once-en-3"))


def test_unread_scores_are_left_out(world):
    w = world({"once": [8]}, noise=0.0)
    clean = whole(run(w, resamples=0))["estimate"]
    log = w.log().with_columns(
        mean_logprob=pl.when(pl.col("t").is_between(100, 110) & (pl.col("item_id") == "once-en-1"))
        .then(float("nan"))
        .otherwise("mean_logprob")
    )
    assert whole(analyse_injection(log, w.exposures(), resamples=0))["estimate"] == pytest.approx(
        clean
    )


def test_censored_lags():
    assert reach(0.25, 0.2, 0.5, 0.5, 1000).value == pytest.approx(100)
    found = reach(0.25, 0.1, 0.5, 0.5, 1000)
    assert (found.lo, found.hi) == (pytest.approx(10), None)
    assert reach(0.25, 0.2, 0.5, 1.0, 1000).censored
    assert reach(-0.1, -0.2, 0.1, 0.5, 1000).censored
    assert retention_lags(100)[:4] == [0, 1, 2, 3]
    assert retention_lags(100)[-1] == 100


def test_threshold_brackets_where_facts_stop_accumulating(world):
    """A kernel that is gone after 1 / 0.6 decades: long intervals lose everything."""
    arms = {}
    for interval in (4, 16, 128):
        arms[f"interval_{interval}"] = [560 - interval * k for k in range(4, -1, -1)]
    w = world(arms, n=14, states=720, noise=0.01, a={("en", "en"): 0.6})
    table, brackets = threshold(w.log(), w.exposures(), resamples=60)
    rows = table.rows_by_key("interval", named=True, unique=True)
    assert rows[16]["verdict"] == "accumulates"
    assert 1.3 < rows[16]["kappa"] < 1.6
    assert rows[4]["within_rise"]
    assert rows[128]["verdict"] == "lost"
    bracket = brackets.row(0, named=True)
    assert (bracket["bracket_lo"], bracket["bracket_hi"]) == (16, 128)
    assert (bracket["censored"], bracket["monotone"]) == ("none", True)


def test_open_brackets_are_censored(world):
    arms = {f"interval_{d}": [300 - d * k for k in range(3, -1, -1)] for d in (10, 40)}
    w = world(arms, n=12, noise=0.01)
    table, brackets = threshold(w.log(), w.exposures(), resamples=40)
    for one in table.iter_rows(named=True):
        assert one["kappa_predicted"] == pytest.approx(one["kappa"], rel=0.1)
    row = brackets.row(0, named=True)
    assert (row["bracket_lo"], row["bracket_hi"], row["censored"]) == (40, None, "right")
