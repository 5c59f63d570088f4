"""Claims say no more than their numbers do."""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection import claim_cases as cases
from polylore.metrics.injection import claim_conditions as conditions
from polylore.metrics.injection.controls import control_rows
from polylore.metrics.injection.evidence import Evidence, Series
from polylore.metrics.injection.measured import NO_GAIN, NOT_IDENTIFIED
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.readout import Readout, decay
from polylore.metrics.injection.rows_default import effectivity_rows
from polylore.metrics.injection.stages import StageRuns, stage_contrast
from polylore.studies.inject.analyse import _false, _single

SIX = [8 + 40 * k for k in range(6)]


def sparse(states):
    return [*range(9), *range(10, states, 2)]


@pytest.mark.parametrize("seed", [1, 3])
def test_controls_at_the_times_of_one_exposure_are_halved(world, seed):
    """E_cf of all of them is below zero by itself, and would contradict the claim."""
    w = world({"duplication": SIX, "once": [8]}, n=16, states=360, noise=0.1, rho=0.6,
              read=sparse(360), seed=seed)  # fmt: skip
    readout = Readout.of(w.log(), w.exposures(), window=40, resamples=200, kernels=False)
    assert _single(readout) == {"once"}
    controls = control_rows(readout.pooled)
    assert set(controls.filter(quantity="paper_false")["reason"]) == {"maximum_over_read_states"}
    false = _false(controls, {"once"})
    rows = list(cases.false_gains(Evidence(readout, false=false)))
    many, one = sorted(rows, key=lambda row: "once" in row["case"])
    assert (many["verdict"], many["reason"]) == (SHOWN, None)
    assert one["case"].endswith("at the times of once, one half against the other")
    assert one["verdict"] == UNDETERMINED
    assert one["reason"] == "interval_crosses_the_margin"
    assert _false(control_rows(readout.pooled), set()).keys() != false.keys()


@pytest.mark.parametrize("arrived", [0.0, -0.15])
def test_of_what_did_not_arrive_nothing_is_lost(world, arrived):
    gains = {("en", "en"): 0.4, ("en", "de"): arrived}
    decays = {("en", "en"): 0.1, ("en", "de"): 0.3}
    runs = [
        world({"duplication": [8, 48]}, n=12, states=220, noise=0.05, rho=0.6, read=sparse(220),
              gain=gains, a=decays, seed=10 + k, run=f"s{k}")
        for k in range(2)
    ]  # fmt: skip
    log, exposures = (pl.concat(parts) for parts in
                      ([w.log() for w in runs], [w.exposures() for w in runs]))  # fmt: skip
    readout = Readout.of(log, exposures, window=40, resamples=100, kernels=False)
    (row,) = cases.fades(Evidence(readout))
    assert (row["verdict"], row["reason"]) == (UNDETERMINED, "denominator_not_positive")
    assert (row["estimate"], row["lo"], row["hi"]) == (None, None, None)
    series = [StageRuns(name, step, None, "fresh", readout) for step, name in enumerate("ab")]
    shares = stage_contrast([series]).filter(quantity="lost_share")
    by = shares.rows_by_key("direction", named=True, unique=True)
    assert (by["other"]["early"], by["other"]["late"], by["other"]["estimate"]) == (None,) * 3
    assert by["other"]["reason"] == "denominator_not_positive"
    assert 0 < by["own"]["early_lo"] < by["own"]["early"] < by["own"]["early_hi"] < 1


def test_cells_of_few_items_are_asked_for_a_gain_before_they_are_joined(world):
    langs = {(lang, lang): 0.0 for lang in ("en", "de")}
    w = world({"duplication": [8, 28]}, n=8, states=80, noise=0.05, rho=0.5, gain=langs,
              a=dict.fromkeys(langs, 0.2), read=sparse(80), seed=6)  # fmt: skip
    log = w.log()
    again = log.filter(arm="never").with_columns(
        probe_lang=pl.lit("de"), probe_id=pl.col("probe_id") + "d"
    )
    readout = Readout.of(pl.concat([log, again]), w.exposures(), window=10, resamples=60)
    number = readout.number(decay, "duplication", "memorization")
    assert (number.value, number.items) == (None, 16)
    assert number.reason in (NO_GAIN, NOT_IDENTIFIED)


class Stub:
    """A readout that has one number."""

    def __init__(self, value, sd):
        z = np.linspace(-1.96, 1.96, 401)
        rows = value + sd * np.append(0, z)
        self.found = Number(rows, np.array([value]), 20)

    def number(self, reading, arm, depth, direction="own"):
        return self.found if arm == "duplication" else None


@pytest.mark.parametrize(
    ("early", "rise", "sd", "verdict", "reason"),
    [
        (1.0, 0.05, 0.02, SHOWN, None),
        (1.0, 0.06, 0.028, UNDETERMINED, "interval_crosses_the_margin"),
        (1.0, 0.15, 0.02, CONTRADICTED, None),
        (0.0, 0.5, 0.1, UNDETERMINED, "denominator_not_positive"),
        (-1.0, -0.5, 0.1, UNDETERMINED, "denominator_not_positive"),
    ],
)
def test_a_rise_within_the_margin_is_no_rise(early, rise, sd, verdict, reason):
    stages = ((1, Stub(early, 0.0)), (2, Stub(early + rise, sd)))
    (row,) = conditions.stages([Series("main", stages)])
    assert (row["verdict"], row["reason"]) == (verdict, reason)


def test_the_straight_form_must_lead_in_every_run(world):
    """It wins every resample of both runs together, and in one of them another form is ahead."""
    runs = [
        world({"once": [8]}, n=12, states=240, noise=0.02, form=form, seed=k, run=f"s{k}")
        for k, form in enumerate([None, lambda u: np.exp(-(u - 1) / 40)])
    ]
    log, exposures = (pl.concat(parts) for parts in
                      ([w.log() for w in runs], [w.exposures() for w in runs]))  # fmt: skip
    readout = Readout.of(log, exposures, window=40, resamples=20)
    forms = pl.DataFrame(
        {"arm": "once", "depth": "memorization", "inject_lang": "en", "probe_lang": "en",
         "gains": "by_exposure", "form": "log_linear", "win_share": 1.0, "verdict": "log_linear"}
    )  # fmt: skip
    (row,) = cases.straight(Evidence(readout, forms=forms))
    assert row["signs_by_seed"] == [1, -1]
    assert (row["verdict"], row["reason"]) == (UNDETERMINED, "signs_differ_between_seeds")
    assert (row["estimate"], row["n_items"]) == (1.0, 12)
    alone = Readout.of(runs[0].log(), runs[0].exposures(), window=40, resamples=20)
    (row,) = cases.straight(Evidence(alone, forms=forms))
    assert (row["verdict"], row["signs_by_seed"], row["reason"]) == (SHOWN, [1], None)
    beaten = forms.with_columns(verdict=pl.lit("power"))
    (row,) = cases.straight(Evidence(alone, forms=beaten))
    assert (row["verdict"], row["reason"]) == (CONTRADICTED, None)


def test_a_run_without_controls_says_so(world):
    runs = [world({"duplication": [8, 48]}, n=12, states=120, seed=k, run=f"s{k}",
                  read=sparse(120)) for k in range(2)]  # fmt: skip
    log, exposures = (pl.concat(parts) for parts in
                      ([w.log() for w in runs], [w.exposures() for w in runs]))  # fmt: skip
    log = log.filter((pl.col("arm") != "never") | (pl.col("run_id") == "s0"))
    readout = Readout.of(log, exposures, window=40, resamples=40, no_control=True, kernels=False)
    (row,) = cases.gains(Evidence(readout))
    assert (row["verdict"], row["reason"]) == (UNDETERMINED, "no_number_in_a_seed")
    (found,) = readout.pooled.measured.values()
    rows = effectivity_rows(found.cell, found)
    assert {(row["n_items"], row["n_dropped"]) for row in rows} == {(12, 12), (12, 24)}
