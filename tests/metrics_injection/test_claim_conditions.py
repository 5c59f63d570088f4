"""Claims that hold conditions against each other: rates, depths of batches, thresholds."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection import claim_conditions as conditions
from polylore.metrics.injection.analysis import analyse_injection
from polylore.metrics.injection.batches import BatchRuns, batch_contrast
from polylore.metrics.injection.claims import claims
from polylore.metrics.injection.evidence import Evidence, Series
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.reach import LONGEST
from polylore.metrics.injection.readout import Readout, decay
from polylore.metrics.injection.stages import StageRuns
from polylore.metrics.injection.sweep import x_intercept
from polylore.studies.inject.analyse import _at_one_rate

SPREAD = np.append(0, np.linspace(-1.96, 1.96, 401))


def number(value, sd=0.001, runs=None, items=20):
    """A number whose resamples spread by sd."""
    return Number(value + sd * SPREAD, np.array([value] * 2 if runs is None else runs), items)


class Stub:
    """Runs of a condition that have a decay constant at each depth, under duplication."""

    def __init__(self, a, sd=0.001, **depths):
        self.found = {"memorization": number(a, sd)}
        self.found |= {depth: number(value, sd) for depth, value in depths.items()}
        self.pooled = SimpleNamespace(measured={("all", "duplication"): None})

    def number(self, reading, arm, depth, direction="own"):
        wanted = reading is decay and arm == "duplication" and direction == "own"
        return self.found.get(depth) if wanted else None


def series(*values, name="main"):
    return Series(name, tuple((1000 * k, Stub(a)) for k, a in enumerate(values)))


def verdicts(rows):
    return [(row["case"], row["verdict"], row["reason"]) for row in rows]


def test_a_difference_between_checkpoints_disappears_at_one_rate():
    apart, level = series(0.3, 0.1), series(0.2, 0.199, name="constant")
    case = "step 0 minus step 1000"
    found = Evidence(None, stages=[apart], level=[level])
    assert verdicts(conditions.stage_decay([apart])) == [(case, SHOWN, None)]
    assert verdicts(conditions.decay_levels(found)) == [
        (case, SHOWN, None), (f"{case}, by rate", SHOWN, None),
    ]  # fmt: skip
    stays = Evidence(None, stages=[apart], level=[series(0.3, 0.1, name="constant")])
    assert verdicts(conditions.decay_levels(stays)) == [
        (case, CONTRADICTED, None), (f"{case}, by rate", UNDETERMINED, "interval_holds_zero"),
    ]  # fmt: skip
    unsure = Evidence(None, level=[Series("c", ((0, Stub(0.01, 0.1)), (1000, Stub(0.01))))])
    assert verdicts(conditions.decay_levels(unsure)) == [
        (case, UNDETERMINED, "denominator_not_positive")
    ]
    two = conditions.stage_decay([apart, series(0.3, 0.1, name="other")])
    assert [row["case"] for row in two] == [f"main, {case}", f"other, {case}"]


def test_early_and_middle_checkpoints_forget_alike_and_the_last_one_more_slowly():
    three = [series(0.3, 0.301, 0.1)]
    assert verdicts(conditions.early_alike(three)) == [("step 0 minus step 1000", SHOWN, None)]
    assert [row["verdict"] for row in conditions.stage_decay(three)] == [SHOWN, SHOWN]
    assert list(conditions.early_alike([series(0.3, 0.1)])) == []


@pytest.mark.parametrize(
    ("schedules", "rates", "level"),
    [
        (("constant", "constant"), (5e-4, 5e-4), True),
        (("constant", "constant"), (5e-4, 2e-4), False),
        (("resume_formula", "resume_formula"), (5e-4, 5e-4), False),
        (("constant", "constant"), (None, None), False),
    ],
)
def test_one_rate_is_known_equal_and_constant(schedules, rates, level):
    runs = [StageRuns(name, step, lr, "fresh", None)
            for step, (name, lr) in enumerate(zip("ab", rates, strict=True))]  # fmt: skip
    about = {name: {"lr_schedule": said} for name, said in zip("ab", schedules, strict=True)}
    assert _at_one_rate(runs, about) is level


def test_claims_say_what_they_lack(world):
    w = world({"duplication": [8, 28]}, n=10, states=80)
    main = Readout.of(w.log(), w.exposures(), window=10, resamples=0, kernels=False)
    bare = dict(claims(Evidence(main)).select("claim_id", "reason").iter_rows())
    assert bare["4c"] == "no two stages of pretraining went on at one constant learning rate"
    assert bare["7c"] == bare["4c"]
    assert bare["7d"] == bare["7b"] == bare["4a"] == "one stage of pretraining only"
    assert bare["8d"] == "one batch size only"
    assert bare["10c"] == bare["10b"]
    level = claims(Evidence(main, level=[series(0.2, 0.2)]))
    why = dict(level.select("claim_id", "reason").iter_rows())
    assert why["4a"] == "the stages of pretraining went on at one constant learning rate only"
    assert level.filter(claim_id="7c")["verdict"].to_list() == [SHOWN]


def groups(**small):
    """Large and small batch: of the large one a is 0.2 at all depths."""
    deeper = {"semantic": 0.2, "compositional": 0.2}
    return [
        BatchRuns("none", "equal", "restored", 64, 32, 0.01, Stub(0.2, **deeper)),
        BatchRuns("none", "equal", "restored", 16, 32, 0.04, Stub(**small)),
    ]


def test_the_zero_in_tokens_shrinks_most_for_compositional_probes():
    def found(runs):
        batch = batch_contrast(runs)
        return verdicts(conditions.batches_by_depth(Evidence(None, batch=batch, batches=runs)))

    where = "match none, LR equal, restored: 16 against 64 rows"
    names = [f"duplication, compositional against {depth}, {where}"
             for depth in ("memorization", "semantic")]  # fmt: skip
    most = found(groups(a=0.21, semantic=0.22, compositional=0.4))
    assert most == [(name, SHOWN, None) for name in names]
    least = found(groups(a=0.4, semantic=0.4, compositional=0.21))
    assert least == [(name, CONTRADICTED, None) for name in names]
    assert found(groups(a=0.4)) == []


def test_batches_are_compared_at_every_depth():
    runs = groups(a=0.4, semantic=0.3, compositional=0.1)
    rows = conditions.batches(Evidence(None, batch=batch_contrast(runs)), "a_kernel", 1)
    by = {row["case"].split(", ")[1]: row["verdict"] for row in rows}
    assert by == {"memorization": SHOWN, "semantic": SHOWN, "compositional": CONTRADICTED}


def test_resamples_in_which_nothing_is_lost_are_not_left_out():
    runs = groups(a=0.2)
    runs[1].readout.found["memorization"] = number(0.2, 0.15)
    row = batch_contrast(runs).filter(quantity="zero_tokens_log10").row(0, named=True)
    assert row["hi"] > LONGEST - 10


def proxied(monkeypatch, x, low, high, *, monotone=True):
    monkeypatch.setattr(conditions, "x_intercept", lambda *_: x)
    brackets = pl.DataFrame(
        {"run_id": "sweep", "depth": "memorization", "inject_lang": "en", "probe_lang": "en",
         "bracket_lo": low, "bracket_hi": high, "monotone": monotone},
        schema_overrides={"bracket_lo": pl.Int64, "bracket_hi": pl.Int64},
    )  # fmt: skip
    (row,) = conditions.proxy(Evidence(None, brackets=brackets, sweeps={"sweep": object()}))
    return row


@pytest.mark.parametrize(
    ("x", "low", "high", "verdict", "reason"),
    [
        (number(3.0, 0.1), 16, 64, SHOWN, None),
        (number(0.5, 0.1), 16, 64, SHOWN, None),
        # Beyond the bracket, and not surely so.
        (number(2.0, 0.5), 16, 64, UNDETERMINED, "interval_holds_zero"),
        (number(3.0, 0.1, runs=[3.0, 1.7]), 16, 64, UNDETERMINED, "signs_differ_between_seeds"),
        (number(3.0, 0.1, runs=[3.0, np.nan]), 16, 64, UNDETERMINED, "no_number_in_a_seed"),
        (number(3.0, 0.1, items=9), 16, 64, UNDETERMINED, "few_items"),
        (number(1.5, 0.05), 16, 64, CONTRADICTED, None),
        (number(1.5, 0.5), 16, 64, UNDETERMINED, "interval_holds_zero"),
        # An open bracket has one side.
        (number(0.5, 0.1), 16, None, SHOWN, None),
        (number(3.0, 0.1), 16, None, UNDETERMINED, "open_bracket"),
        (number(3.0, 0.1), None, 64, SHOWN, None),
        (number(3.0, 0.1), None, None, UNDETERMINED, "no_bracket"),
        (Number(np.array([np.nan]), np.array([np.nan]), 20, "missing_states"), 16, 64,
         UNDETERMINED, "missing_states"),
    ],
)  # fmt: skip
def test_a_proxy_is_surely_off_or_undetermined(monkeypatch, x, low, high, verdict, reason):
    row = proxied(monkeypatch, x, low, high)
    assert (row["verdict"], row["reason"]) == (verdict, reason)
    if verdict == SHOWN:
        assert row["lo"] > 0
        assert row["signs_by_seed"] == [1, 1]


def test_a_proxy_is_held_against_no_bracket_of_an_uneven_sweep(monkeypatch):
    row = proxied(monkeypatch, number(3.0, 0.1), 16, 64, monotone=False)
    assert (row["verdict"], row["reason"]) == (UNDETERMINED, "not_monotone")


def test_the_x_intercept_is_resampled_and_read_run_by_run(world):
    runs = [world({f"interval_{d}": [40 - d, 40] for d in (8, 16)}, n=10, states=120, seed=k,
                  run=f"s{k}", a={("en", "en"): 0.5}) for k in range(2)]  # fmt: skip
    log, exposures = (pl.concat(parts) for parts in
                      ([w.log() for w in runs], [w.exposures() for w in runs]))  # fmt: skip
    readout = Readout.of(log, exposures, window=10, resamples=60, kernels=False)
    x = x_intercept(readout, "memorization", ("en", "en"))
    assert x.items == 10
    lo, hi = x.limits
    assert lo < x.value < hi < LONGEST
    options = {"resamples": 0, "form_resamples": None, "presets": ("paper",), "window": 10}
    for name, found in (("all", [x.value]), ("s0", x.runs_S[:1]), ("s1", x.runs_S[1:])):
        decay_rows = analyse_injection(log, exposures, pool=name == "all", **options)
        row = decay_rows["inject_decay"].filter(run_id=name, arm="interval_16").row(0, named=True)
        assert found[0] == pytest.approx(row["x_intercept_log10"])
    assert x_intercept(readout, "semantic", ("en", "en")) is None
