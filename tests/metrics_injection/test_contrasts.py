"""Contrasts, controls, shuffled labels, clocks and answers find what was put in."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection.answers import answer_transfer
from polylore.metrics.injection.batches import BatchRuns, batch_contrast
from polylore.metrics.injection.clocks import Clock
from polylore.metrics.injection.contrasts import dedup_contrast, mixed_contrast
from polylore.metrics.injection.controls import control_rows, drift_rows, expected_maximum
from polylore.metrics.injection.curves import curve_rows, kernel_curves
from polylore.metrics.injection.measurements import Measurements, item_draws
from polylore.metrics.injection.permuted import permuted_plan
from polylore.metrics.injection.readout import Readout, accumulated, at_peak, gain, later_gain, lost
from polylore.tables.injection import KERNEL_LAGS

TIMES = [8, 48, 88]


def measured(w, **options):
    return Measurements.of(w.log(), w.exposures(), window=40, resamples=40, pool=True, **options)


def read(w, draws=None, window=40):
    return Readout.of(w.log(), w.exposures(), window=window, resamples=40, draws=draws)


def test_the_expected_maximum_of_noise():
    assert expected_maximum(50) == pytest.approx(2.2491, abs=1e-4)
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)


def test_controls_say_what_noise_feigns(world):
    w = world({"duplication": TIMES}, n=10, states=140, noise=0.1, gain={("en", "en"): 0.0})
    rows = control_rows(measured(w)).rows_by_key("quantity", named=True, unique=True)
    assert rows["noise_sd"]["value"] == pytest.approx(0.1, rel=0.1)
    assert rows["expected_false"]["value"] == pytest.approx(0.1 * expected_maximum(40), rel=0.1)
    assert rows["paper_false"]["value"] == pytest.approx(rows["expected_false"]["value"], rel=0.2)
    assert abs(rows["default_false"]["value"]) < 0.03
    assert rows["default_false"]["lo"] < 0 < rows["default_false"]["hi"]
    assert rows["not_learned"]["value"] == pytest.approx(0.5, abs=0.25)
    learned = world({"duplication": TIMES}, n=10, states=140, noise=0.01)
    rows = control_rows(measured(learned)).rows_by_key("quantity", named=True, unique=True)
    assert rows["not_learned"]["value"] == 0
    assert rows["not_learned_control"]["value"] > 0.2


def test_drift_of_runs_that_teach_nothing(world):
    log = world({"once": [5]}, n=10, states=40, common=np.linspace(0, 0.5, 40)).log()
    rows = drift_rows(log.filter(pl.col("arm") == "never"), "sham", "sham")
    assert rows[0]["value"] == pytest.approx(0.5, abs=0.02)
    assert rows[0]["lo"] < rows[0]["value"] < rows[0]["hi"]


def drifts(moves):
    """Readings of one probe of each item, which moves by so much."""
    rows = [("r", t, f"i{k:02d}", "memorization", "en", -5 + move * (t > 0))
            for k, move in enumerate(moves) for t in (0, 10)]  # fmt: skip
    names = ["run_id", "t", "item_id", "depth", "probe_lang", "mean_logprob"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(probe_id=pl.col("item_id"))


def test_drift_has_the_interval_of_resampled_items_and_none_of_few():
    (few,) = drift_rows(drifts([0.1, 0.5, 0.9]), "sham", "sham")
    assert few["value"] == pytest.approx(0.5)
    assert (few["lo"], few["hi"], few["n"], few["reason"]) == (None, None, 3, "few_items")
    # One item in twelve moves: a resample holds it often or not at all, and none moves back.
    (skew,) = drift_rows(drifts([1.2, *[0.0] * 11]), "sham", "sham")
    assert skew["value"] == pytest.approx(0.1)
    assert skew["lo"] == pytest.approx(0, abs=1e-12)
    assert skew["hi"] == pytest.approx(0.3)
    assert skew["reason"] is None
    (bare,) = drift_rows(drifts([1.2, *[0.0] * 11]), "sham", "sham", resamples=0)
    assert (bare["lo"], bare["hi"], bare["reason"]) == (None, None, None)


def test_readings_of_joined_languages(world):
    gains = {("en", "en"): 0.4, ("en", "de"): 0.1, ("de", "de"): 0.8, ("de", "en"): 0.1}
    w = world({"duplication": TIMES}, n=6, states=200, gain=gains, a=dict.fromkeys(gains, 0.2))
    readout = read(w)
    own, other = (readout.number(gain, "duplication", "memorization", d) for d in ("own", "other"))
    assert own.items == 12
    assert own.limits[0] is not None
    assert own.value > 3 * other.value
    by_pair = [
        readout.number(gain, "duplication", "memorization", pair=(lang, lang)).value
        for lang in ("en", "de")
    ]
    assert own.value == pytest.approx(np.mean(by_pair))
    assert (own - other).verdict == "shown"
    peak = readout.number(at_peak, "duplication", "memorization")
    gone = readout.number(lost(60), "duplication", "memorization")
    assert 0 < gone.value < peak.value
    assert readout.number(accumulated, "duplication", "memorization").value > 0
    later = readout.number(later_gain, "duplication", "memorization")
    assert later.value == pytest.approx(own.value, rel=0.1)
    assert readout.number(gain, "absent", "memorization") is None


def three_depths(w, semantic):
    """The same log asked at a second depth, with gains scaled by arm."""
    log = w.log()
    scale = pl.col("arm").replace_strict({**semantic, "never": 1.0}, return_dtype=pl.Float64)
    other = log.with_columns(
        depth=pl.lit("semantic"),
        probe_id=pl.col("probe_id") + "/s",
        mean_logprob=-6 + scale * (pl.col("mean_logprob") + 6),
    )
    return pl.concat([log, other])


def test_copies_against_paraphrases(world):
    w = world({"duplication": TIMES, "paraphrase": TIMES}, n=12, states=200)
    log = three_depths(w, {"duplication": 0.4, "paraphrase": 0.9})
    readout = Readout.of(log, w.exposures(), window=40, resamples=40)
    plan = pl.DataFrame(
        {"item_id": ["a", "b"], "arm": ["duplication", "paraphrase"], "n_tokens": [30, 29],
         "loss_weight": [1.0, 1.0]}
    )  # fmt: skip
    table = dedup_contrast(readout, plan).filter(direction="own")
    gap = table.filter(quantity="gap").rows_by_key("arm_a", named=True, unique=True)
    assert gap["duplication"]["estimate"] > 3 * gap["paraphrase"]["estimate"]
    both = table.filter(quantity="gap_difference").row(0, named=True)
    difference = gap["duplication"]["estimate"] - gap["paraphrase"]["estimate"]
    assert both["estimate"] == pytest.approx(difference)
    assert both["lo"] > 0
    assert both["matched"] is True
    decay = table.filter(quantity="a_kernel", depth="memorization").row(0, named=True)
    assert abs(decay["estimate"]) < 0.02
    assert dedup_contrast(read(world({"other": TIMES}, states=160)), plan).height == 0


def test_turning_languages_against_one(world):
    w = world({"duplication": TIMES, "mixed_language": TIMES}, n=12, states=160)
    turning = pl.col("arm") == "mixed_language"
    lang = pl.when(turning).then(pl.lit("mixed")).otherwise("inject_lang")
    log = w.log().with_columns(inject_lang=lang)
    readout = Readout.of(log, w.exposures(), window=40, resamples=40)
    plan = pl.DataFrame(schema={"item_id": pl.String, "arm": pl.String, "n_tokens": pl.Int64,
                                "loss_weight": pl.Float64})  # fmt: skip
    rows = mixed_contrast(readout, plan).rows_by_key("quantity", named=True, unique=True)
    assert rows["effectivity"]["lo"] < 0 < rows["effectivity"]["hi"]
    assert (rows["effectivity"]["inject_lang"], rows["effectivity"]["probe_lang"]) == ("en", "en")
    assert rows["effectivity"]["dose_ratio"] is None


def test_dose_explains_what_share_takes_away(world):
    """The small batch gains more for its dose alone: nothing is left at equal share."""
    base = world({"duplication": TIMES}, n=12, states=160)
    draws = item_draws(base.log(), 40)
    groups = []
    for batch, match, g in ((16, "none", 0.8), (16, "share", 0.4), (64, "none", 0.4)):
        w = replace(base, gain={("en", "en"): g}, seed=batch)
        share = 0.04 if (batch, match) == (16, "none") else 0.01
        groups.append(BatchRuns(match, "equal", "restored", batch, 64, share, read(w, draws)))
    table = batch_contrast(groups).filter(quantity="effectivity")
    rows = table.rows_by_key("match", named=True, unique=True)
    assert rows["none"]["lo"] > 0.1
    assert abs(rows["share"]["estimate"]) < 0.1
    explained = rows["none"]["estimate"] - rows["share"]["estimate"]
    assert rows["none_minus_share"]["estimate"] == pytest.approx(explained)
    assert rows["none_minus_share"]["lo"] > 0.1
    assert rows["none"]["dose_share_small"] == 0.04
    assert batch_contrast(groups[:1]).height == 0


def test_shuffled_labels(world):
    same = permuted_plan(measured(world({"a": TIMES, "b": TIMES}, n=12, states=160)))
    row = same.filter(quantity="effectivity").row(0, named=True)
    assert row["null_lo"] < row["estimate"] < row["null_hi"]
    assert row["p"] > 0.05
    assert row["n_items"] == 24
    apart = permuted_plan(measured(world({"a": TIMES, "b": TIMES[:1]}, n=12, states=160)))
    row = apart.filter(quantity="at_peak").row(0, named=True)
    assert row["estimate"] > row["null_hi"]
    assert row["p"] == pytest.approx(1 / 201)


def kernel_lags(values):
    lags = dict.fromkeys(KERNEL_LAGS, values) | {"observed": [2] * len(values)}
    return pl.DataFrame(lags, strict=False)


def test_clocks():
    steps = pl.DataFrame(
        {"run_id": ["a"] * 4 + ["b"] * 4, "t": [1, 2, 3, 4] * 2, "tokens": [100, 200, 300, 400] * 2,
         "sum_lr": [1.0, 2, 3, 4, 2, 4, 6, 8]}
    )  # fmt: skip
    clock = Clock.of(steps, 2)
    table = clock.beside(pl.DataFrame({"lag": [0, 1, 2, 5]}), "lag")
    assert table["lag_tokens"].to_list() == [0, 100, 200, 500]
    assert table["lag_sum_lr"].to_list() == [0, 1.5, 3, None]
    kernels = clock.on({"inject_kernels": kernel_lags([1.5, None, 9.0]), "other": table})
    found = kernels["inject_kernels"]
    assert found["zero_hi_tokens"].to_list() == [150, None, 900]
    assert found["zero_hi_sum_lr"].to_list() == [2.25, None, None]
    assert found["observed_tokens"].to_list() == [200] * 3
    assert kernels["other"] is table
    unknown = Clock.of(steps.clear(), 0)
    assert unknown.beside(pl.DataFrame({"lag": [3]}), "lag")["lag_tokens"].to_list() == [None]


def test_curves_stand_on_the_items_own_clock(world):
    w = world({"once": [8]}, n=10, states=100, noise=0.0, stagger=20)
    table = curve_rows(measured(w)).filter(pl.col("n_items") == 10)
    before = table.filter(pl.col("since") <= 0)["rise"].to_list()
    assert before == pytest.approx([0] * len(before), abs=1e-9)
    assert table.filter(since=8)["rise"][0] > 0.3
    assert table["control"].abs().max() < 1e-9
    kernel = kernel_curves(measured(w))
    assert kernel.filter(lag=0)["value"][0] == 0
    assert kernel.filter(lag=8)["value"][0] == pytest.approx(
        table.filter(since=8)["rise"][0], rel=0.1
    )


def answers(rows):
    names = ("arm", "item_id", "inject_lang", "probe_lang", "t", "greedy_exact", "greedy_text")
    frame = pl.DataFrame(rows, schema=names, orient="row")
    fact = pl.col("item_id") + "/job"
    return frame.with_columns(
        run_id=pl.lit("r"), fact_id=fact, depth=pl.lit("memorization"),
        probe_id=pl.col("item_id") + pl.col("probe_lang"),
    )  # fmt: skip


def test_answers_that_name_one_thing():
    probes = pl.DataFrame(
        {"fact_id": [f"{i}/job" for i in "abc" for _ in "xy"], "lang": ["en", "de"] * 3,
         "target": ["baker", "Bäcker", "smith", "Schmied", "baker", "Bäcker"]}
    )  # fmt: skip
    log = answers(
        [
            ("once", "a", "en", "en", 10, True, "baker"),
            ("once", "a", "en", "de", 10, True, "Bäcker"),
            ("once", "b", "en", "en", 10, False, "baker"),  # wrong, and the same thing
            ("once", "b", "en", "de", 10, False, "Bäcker"),
            ("once", "c", "en", "en", 10, True, "baker"),
            ("once", "c", "en", "de", 10, False, "baker"),  # the other language's word
            ("never", "n", "none", "en", 10, False, "baker"),
            ("never", "n", "none", "de", 10, True, "Schmied"),
        ]
    )
    exposures = pl.DataFrame(
        {"run_id": "r", "item_id": ["a", "b", "c"], "exposure": [0, 0, 0], "step": [9, 9, 9]}
    )
    table = answer_transfer(log, exposures, probes, lags=(1,))
    found = {(r["probe_lang"], r["quantity"]): r for r in table.iter_rows(named=True)}
    assert found["en", "right"]["value"] == pytest.approx(2 / 3)
    assert found["de", "right"]["value"] == pytest.approx(1 / 3)
    assert found["de", "right"]["control"] == 1
    assert found["de", "same"]["value"] == pytest.approx(2 / 3)
    assert ("en", "same") not in found
    assert found["de", "same"]["reason"] == "few_items"
    assert answer_transfer(log.clear(), exposures, probes).height == 0
