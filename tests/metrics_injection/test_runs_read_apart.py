"""Runs of one condition that were read at different states: every value of every run counts."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from polylore.corpus.injection import latin_square
from polylore.errors import DataError
from polylore.metrics.injection import analyse_injection, crossfit, published
from polylore.metrics.injection.analysis import arm_tables
from polylore.metrics.injection.controls import control_rows
from polylore.metrics.injection.forms import compare_forms
from polylore.metrics.injection.kernel import Mean, fit, observed_lag
from polylore.metrics.injection.measured import measure
from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.resample import Weights, ones
from polylore.metrics.injection.rows_default import kernel_rows
from polylore.metrics.injection.trajectories import pseudo_exposed, read_cells
from polylore.studies.inject.config import ProbingConfig
from polylore.studies.inject.schedule import readings

GAIN, DECAY, TAIL = 0.3, 0.1, 150
PEAK = GAIN * (1 - 0.7**8)


def kernel(tau):
    risen = np.where(tau > 0, 1 - 0.7 ** np.clip(tau, 0, 8), 0)
    return GAIN * risen * (1 - DECAY * np.log10(np.maximum(tau - 8, 1)))


def study(times_of, conditions, *, items=33, noise=0.02, runs=3):
    """Runs that are read at the default states of their own schedules, and their exposures.

    Args:
        times_of: steps of the exposures of an item: (arm, rng) -> list.
        conditions: arm and language of each group; groups are unequal where items do not divide.
    """
    names, controls = ([f"{k}{n:02d}" for n in range(m)] for k, m in (("i", items), ("z", 20)))
    logs, plans = [], []
    for run in range(runs):
        rng = np.random.default_rng(run)
        arms = latin_square(names, conditions, run, seed=0, controls=controls)
        told = [
            (item, arm, lang, [] if arm == "never" else times_of(arm, rng))
            for item, arm, lang in arms.select("item_id", "arm", "inject_lang").iter_rows()
        ]
        rows = [(item, n, t) for item, _, _, own in told for n, t in enumerate(own)]
        plan = pl.DataFrame(rows, schema=["item_id", "exposure", "step"], orient="row")
        last = int(plan["step"].max())
        states = np.array(readings(plan, last + 1 + TAIL, 8, ProbingConfig()).states)
        for item, arm, lang, own in told:
            y = -6 + rng.normal(0, noise, len(states))
            y += sum((kernel(states - t) for t in own), np.zeros(len(states)))
            logs.append(
                pl.DataFrame({"t": states, "mean_logprob": y}).with_columns(
                    run_id=pl.lit(f"s{run}"), item_id=pl.lit(item), probe_id=pl.lit(f"{item}q"),
                    arm=pl.lit(arm), inject_lang=pl.lit(lang, pl.String), depth=pl.lit("m"),
                    probe_lang=pl.lit("a"),
                )
            )  # fmt: skip
        plans.append(plan.with_columns(run_id=pl.lit(f"s{run}")))
    return pl.concat(logs), pl.concat(plans)


def staggered(arm, rng):
    start = 8 + int(rng.integers(0, 100))
    return [start + 100 * n for n in range(4 if arm == "duplication" else 1)]


def at_random(arm, rng):
    start = 8 + int(rng.integers(0, 100))
    gaps = rng.integers(40, 140, 3 if arm == "duplication" else 0)
    return [start, *(start + np.cumsum(gaps)).tolist()]


GROUPS = [("duplication", "a"), ("once", "a"), ("duplication", "b"), ("once", "b")]


@pytest.mark.parametrize("times_of", [staggered, at_random])
def test_nothing_is_dropped_and_the_truth_is_found(times_of):
    log, plan = study(times_of, GROUPS)
    states = log.group_by("run_id").agg(pl.col("t").unique().sort())["t"].to_list()
    assert len({tuple(s) for s in states}) == 3
    assert len({s[-1] for s in states}) > 1  # last exposures differ, so the logs end apart
    found = Measurements.of(log, plan, pool=True)
    tables = arm_tables(found, paper_on_gaps=True, form_resamples=None)
    effects = tables["inject_effectivity"].filter(pl.col("exposure").is_null())
    for (_, arm, _, lang, _), m in found.measured.items():
        shown = int((m.cell.injected.times_JN >= 0).sum())
        assert m.effect.n_values == shown
        # The curve ends with the first log that does.
        end = min(s[-1] for s in states)
        assert len(m.mean.states_T) == (m.cell.states_T <= end).sum()
        assert m.effect.value_D[0] == pytest.approx(PEAK, abs=0.03)
        for fitted in (m.by_exposure, m.common):
            assert fitted is not None
            assert fitted.kernel.a == pytest.approx(DECAY, abs=0.05)
            assert fitted.kernel.gain_at_peak == pytest.approx(PEAK, abs=0.03)
        own = effects.filter(arm=arm, inject_lang=lang)
        default, paper = (own.filter(preset=p).row(0, named=True) for p in ("default", "paper"))
        assert (default["n_values"], default["n_dropped"]) == (shown, 0)
        assert paper["n_values"] == shown
        assert paper["estimate"] > default["estimate"]
        assert 0.02 < paper["control_estimate"] < 0.08  # a maximum of noise of sd 0.02
        assert m.kept.weight_DL[0, 0] == m.cell.injected.n


def test_pooled_numbers_are_those_of_the_runs():
    log, plan = study(staggered, GROUPS[:2], items=24, noise=0.0)
    pooled = Measurements.of(log, plan, pool=True).measured
    alone = Measurements.of(log, plan).measured
    for (_, *key), m in pooled.items():
        mine = [one for (_, *other), one in alone.items() if other == key]
        weights = [one.cell.injected.n for one in mine]
        effects = [one.effect.value_D[0] for one in mine]
        # Lags are chosen over all runs, so equal up to what a step of lag makes of a flat top.
        assert m.effect.value_D[0] == pytest.approx(np.average(effects, weights=weights), abs=2e-3)
        # Published values know nothing of other runs: equal to the last digit.
        peaks = published.find_peaks(m.cell, m.cell.injected, 50)
        apart = [published.find_peaks(o.cell, o.cell.injected, 50).gain_QN for o in mine]
        np.testing.assert_array_equal(peaks.gain_QN, np.concatenate(apart))


def test_the_kernel_weighs_states_by_what_was_read(world):
    """Without noise the kernel is exact, whatever each run was read at."""
    base = world({"duplication": [8, 108]}, n=12, noise=0.0, states=300, spread=0.0)
    reads = (list(range(300)), list(range(0, 300, 2)), [*range(60), *range(60, 260, 7)])
    worlds = [replace(base, run=f"r{k}", seed=k, read=read) for k, read in enumerate(reads)]
    log, plan = (
        pl.concat(f(w) for w in worlds) for f in (lambda w: w.log(), lambda w: w.exposures())
    )
    (cell,) = read_cells(log, plan, pool=True)
    assert len(cell.states_T) == 300
    mean = Mean(crossfit.Gains.of(cell, 50), 50)
    found = fit(mean, ones(cell))
    assert (found.p, found.r) == (8, 0.7)
    assert found.a == pytest.approx(0.2, abs=1e-9)
    assert found.sse == pytest.approx(0, abs=1e-12)
    # By hand: states of run 0 alone weigh a third of those that all runs were read at.
    weights = ones(cell)
    curve, shares = mean.curve(weights)[0], mean.shares(weights)[0]
    corrected = mean.gains.corrected(weights)[0]
    runs = np.array(cell.injected.runs)
    alone, every = (np.flatnonzero(cell.states_T == t)[0] for t in (101, 0 + 144))
    assert curve[alone] == pytest.approx(corrected[runs == "r0", alone].mean() / np.sqrt(3))
    assert curve[every] == pytest.approx(corrected[:, every].mean())
    assert sorted({round(s**2, 9) for s in shares}) == pytest.approx([1 / 3, 2 / 3, 1])
    # A resample without any item of run 0 is silent about the states that only it has.
    none = Weights((runs != "r0").astype(float)[None], weights.control_DK)
    assert mean.curve(none)[0, alone] == 0
    assert not np.isnan(mean.curve(none)).any()


def test_equal_states_need_no_weights(world):
    base = world({"duplication": [8, 108]}, n=6, noise=0.05, states=260, stagger=20)
    worlds = [replace(base, run=f"r{k}", seed=k) for k in range(2)]
    log, plan = pl.concat([w.log() for w in worlds]), pl.concat([w.exposures() for w in worlds])
    (cell,) = read_cells(log, plan, pool=True)
    mean = Mean(crossfit.Gains.of(cell, 50), 50)
    weights = ones(cell)
    corrected = mean.gains.corrected(weights)[0]
    np.testing.assert_allclose(mean.curve(weights)[0], corrected.mean(axis=0), atol=1e-14)
    assert mean.shares(weights).sum() == pytest.approx(1)


def test_pseudo_exposures_come_from_the_same_run():
    log, plan = study(staggered, GROUPS[:2], items=9)
    for cell in read_cells(log, plan, pool=True):
        false = pseudo_exposed(cell)
        for run in ("s0", "s1", "s2"):
            own, other = (
                {
                    tuple(t)
                    for t, r in zip(items.times_JN.tolist(), items.runs, strict=True)
                    if r == run
                }
                for items in (false, cell.injected)
            )
            assert own == other


def test_an_item_is_left_out_of_all_its_runs(world):
    """The definition, for items that return in a second run."""
    base = world({"duplication": [8, 58]}, n=5, noise=0.3, states=120)
    worlds = [replace(base, run=f"r{k}", seed=k) for k in range(2)]
    log, plan = pl.concat([w.log() for w in worlds]), pl.concat([w.exposures() for w in worlds])
    (cell,) = read_cells(log, plan, pool=True)
    gains = crossfit.Gains.of(cell, 40)
    d_JNH = gains.by_lag(gains.corrected(ones(cell)))[0]
    names = np.array(cell.injected.names)
    assert len(names) == 10
    values = [
        d_JNH[j, i, d_JNH[names != names[j]][:, [1 - i]].sum(axis=(0, 1)).argmax()]
        for j in range(10)
        for i in range(2)
    ]
    assert crossfit.effectivity(gains, ones(cell)).value_D[0] == pytest.approx(np.mean(values))
    single = d_JNH[:, :1]
    best = crossfit.best_lags(single[None], np.ones((1, 10)), gains.same_JJ)[0, :, 0]
    by_hand = [single[names != names[j], 0].sum(axis=0).argmax() for j in range(10)]
    assert best.tolist() == by_hand


def test_lags_read_of_few_do_not_win_by_it(world):
    """Run 1 was read at lags 1, 3, 5, ... only, and gains less: every lag has all exposures."""
    strong = world({"once": [8]}, n=6, noise=0.0, states=80, run="a", gain={("en", "en"): 0.8})
    weak = replace(strong, run="b", seed=1, read=[*range(9), *range(9, 80, 2)],
                   gain={("en", "en"): 0.1})  # fmt: skip
    log, plan = (pl.concat([f(w) for w in (strong, weak)])
                 for f in (lambda w: w.log(), lambda w: w.exposures()))  # fmt: skip
    (cell,) = read_cells(log, plan, pool=True)
    gains = crossfit.Gains.of(cell, 50)
    values = gains.by_lag(gains.corrected(ones(cell)))
    assert not np.isnan(values).any()
    best = gains.lags_H[crossfit.best_lags(values, np.ones((1, 12)), gains.same_JJ)]
    assert np.abs(best - 8).max() <= 1
    at_odd = gains.lags_H == 10
    runs = np.array(cell.injected.runs)
    np.testing.assert_array_equal(values[0, runs == "b"][..., at_odd],
                                  values[0, runs == "b"][..., gains.lags_H == 9])  # fmt: skip


def test_nothing_read_is_null_with_a_reason(world):
    """No reading between the exposure and the end of its window: no number, and no crash."""
    w = world({"once": [8]}, n=12, states=200, read=[*range(9), *range(100, 200)])
    out = analyse_injection(w.log(), w.exposures(), resamples=20, window=50, paper_on_gaps=True)
    rows = out["inject_effectivity"]
    assert rows["estimate"].null_count() == rows.height
    assert rows["n_values"].to_list() == [0] * rows.height
    assert set(rows["reason"]) == {"no_readings"}
    assert set(rows.filter(preset="paper")["n_dropped"]) == {36}
    with pytest.raises(DataError, match=r"lacks 91 of them \(9, 10"):
        published.check_complete(next(iter(read_cells(w.log(), w.exposures()))))


def test_complete_runs_that_end_apart_have_a_published_line(world):
    base = world({"duplication": [0, 60]}, n=10, noise=0.02, states=260)
    worlds = [base, replace(base, run="late", seed=1, arms={"duplication": [9, 69]}, states=275)]
    log, plan = pl.concat([w.log() for w in worlds]), pl.concat([w.exposures() for w in worlds])
    out = analyse_injection(log, plan, resamples=0, pool=True, window=50)
    decay = out["inject_decay"].filter(preset="paper").row(0, named=True)
    assert decay["reason"] is None
    assert decay["horizon"] == 259 - 60 - 50
    assert decay["a"] > 0
    assert decay["form"] == "semi_log"
    # Where the line is at a half: between its value at one step and its zero.
    whole = decay["x_intercept_log10"]
    if decay["censored"]:
        assert decay["half_life"] is None
        assert 10 ** (whole - 0.5 / decay["a"]) > decay["horizon"]
    else:
        assert np.log10(decay["half_life"]) == pytest.approx(whole - 0.5 / decay["a"])


def test_a_line_reaches_a_value_within_the_horizon_only():
    line = published.semilog(1 - 0.25 * np.log10(np.maximum(np.arange(1000), 1)))
    assert line.reaches(0.5, 999) == pytest.approx(100)
    assert line.reaches(0.5, 99) is None
    assert published.semilog(np.ones(100)).reaches(0.5, 99) is None


@pytest.mark.parametrize(("times", "stagger"), [([8], 0), ([8, 58, 108], 20)])
def test_controls_of_every_schedule(world, times, stagger):
    """Step noise that all probes share feigns a gain in the published form only."""
    common = np.random.default_rng(3).normal(0, 0.3, 300)
    w = world({"once": times, "more": [8, 58, 108, 158]}, n=12, noise=0.05, common=common,
              gain={("en", "en"): 0.0}, states=300, stagger=stagger)  # fmt: skip
    rows = control_rows(Measurements.of(w.log(), w.exposures(), resamples=40, pool=True))
    found = {(r["arm"], r["quantity"]): r for r in rows.iter_rows(named=True)}
    for arm in ("once", "more"):
        assert found[arm, "paper_false"]["lo"] > 0.1
        half = found[arm, "halves_false"]
        assert abs(half["value"]) < 0.05
        assert half["lo"] < half["hi"] < 0.1
    assert abs(found["more", "default_false"]["value"]) < 0.1
    assert (None, "default_false") not in found
    assert found[None, "noise_sd"]["n_readings"] == 9


def test_one_exposure_of_controls_is_read_at_their_worst_lag(world):
    """Known bias of the golden formula; the noise left in a control curve is a smaller one."""
    lone, half, told = [], [], []
    for seed in range(4):
        w = world({"once": [8]}, n=20, noise=0.1, gain={("en", "en"): 0.0}, states=120, seed=seed)
        (cell,) = read_cells(w.log(), w.exposures())
        one = ones(cell)
        lone.append(crossfit.control_effectivity(crossfit.Gains.of_controls(cell, 50), one)[0])
        half.append(crossfit.halves_effectivity(cell, 50, one)[0])
        told.append(crossfit.effectivity(crossfit.Gains.of(cell, 50), one).value_D[0])
    assert max(lone) < -0.05
    for small in (half, told):
        assert abs(np.mean(small)) < abs(np.mean(lone)) / 2


def test_unequal_baselines_are_each_runs_own():
    log, plan = study(staggered, GROUPS[:1], items=12, noise=0.0)
    (cell,) = read_cells(log, plan, pool=True)
    before = cell.baseline(cell.injected)
    firsts = plan.group_by("run_id").agg(pl.col("step").min())
    for run, first in firsts.iter_rows():
        mine = np.array(cell.injected.runs) == run
        assert (before[mine] == (cell.states_T <= first)).all()
    assert measure(cell, 50, None, [0, 10]).effect.n_values == 4 * cell.injected.n


def pooled(worlds):
    """One measured cell of several runs."""
    log, plan = (
        pl.concat(parts) for parts in ([w.log() for w in worlds], [w.exposures() for w in worlds])
    )
    return log, plan


def test_logs_that_end_apart_are_no_forgetting(world):
    """Runs differ in their gain: behind the end of the shorter log that is no step down."""
    worlds = [
        world({"duplication": [8, 48]}, n=12, noise=0.01, states=states, seed=7, run=f"r{states}",
              gain={("en", "en"): gain}, read=[*range(9), *range(10, states, 2)], spread=0.0)
        for states, gain in ((120, 0.4), (240, 0.2))
    ]  # fmt: skip
    log, plan = pooled(worlds)
    (cell,) = read_cells(log, plan, pool=True)
    found = measure(cell, 20, None, [0])
    assert (found.mean.states_T[-1], cell.states_T[-1]) == (118, 238)
    assert observed_lag(found.mean) == 118 - 48
    for fitted in (found.by_exposure, found.common):
        assert fitted.kernel.a == pytest.approx(0.2, abs=0.02)


def test_an_item_without_readings_takes_no_run_along(world):
    worlds = [
        world({"duplication": [8, 48]}, n=11, noise=0.01, states=140, seed=k, run=f"r{k}",
              read=[*range(9), *range(10, 140, 2)], a={("en", "en"): a})
        for k, a in enumerate((0.1, 0.4))
    ]  # fmt: skip
    log, plan = pooled(worlds)
    lost = (pl.col("item_id") == "duplication-en-3") & (pl.col("run_id") == "r1")
    y = pl.when(lost).then(float("nan")).otherwise("mean_logprob")
    whole, bad = (
        measure(next(read_cells(rows, plan, pool=True)), 20, None, [0])
        for rows in (log, log.with_columns(mean_logprob=y))
    )
    assert bad.common.kernel.a == pytest.approx(whole.common.kernel.a, abs=0.02)
    assert (whole.n_items, bad.n_items, bad.mean.n_items) == (22, 21, 21)
    (row, _), _, _ = kernel_rows(bad.cell, bad, None, None)
    assert row["n_items"] == 21
    assert bad.mean.reads_PJ[:, ~bad.used_J].sum() == 0


def test_errors_of_forms_are_in_nats_however_runs_are_read(world):
    """Three runs of equal noise that take turns: the mean of one run is what is predicted."""
    errors = []
    for reads in ([list(range(200))], [[*range(20), *range(20 + k, 200, 3)] for k in range(3)]):
        worlds = [
            world({"once": [8]}, n=16, noise=0.3, states=200, spread=0.0, seed=k, run=f"r{k}",
                  read=read)
            for k, read in enumerate(reads)
        ]  # fmt: skip
        log, plan = pooled(worlds)
        found = measure(next(read_cells(log, plan, pool=True)), 20, None, [0])
        compared = compare_forms(found.mean, found.by_exposure.kernel, None)
        sse = compared.fits["log_linear"].sse / len(found.mean.states_T)
        errors.append((compared.holdout_error["log_linear"], np.sqrt(sse)))
    assert errors[1] == pytest.approx(errors[0], rel=0.25)
