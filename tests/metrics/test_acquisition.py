"""Events, lags and survival (T12)."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylore import metrics
from polylore.errors import DataError


def history(make, text, *, lang="en", fact="0", steps=None):
    """Grades of one fact; `-` is a null answer, a space no row at all."""
    steps = steps or range(1, len(text) + 1)
    return make.grades(
        [
            {"fact_id": fact, "lang": lang, "ckpt_id": f"c{s}", "y": {"1": True, "0": False}.get(c)}
            for s, c in zip(steps, text, strict=True)
            if c != " "
        ]
    )


def events(make, text, **options):
    checkpoints = make.checkpoints(list(range(1, len(text) + 1)))
    table = metrics.acquisition(history(make, text), checkpoints, **options)
    return {row["event"]: row for row in table.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("text", "first", "sustained", "final_run", "forget", "flips"),
    [
        ("01001111", 2, 5, 5, 3, 3),
        ("00110000", 3, None, None, 5, 2),
        ("00000011", 7, None, 7, None, 1),
        ("00000000", None, None, None, None, 0),
        ("0-1-1-10", 3, 3, None, 8, 2),
        ("01-0-111", 2, 6, 6, 4, 3),
    ],
)
def test_events(make, text, first, sustained, final_run, forget, flips):
    found = events(make, text)
    assert found["first"]["step_hi"] == first
    assert found["sustained"]["step_hi"] == sustained
    assert found["final_run"]["step_hi"] == final_run
    assert found["first"]["flips"] == flips
    assert ("forget" in found) == (first is not None)
    if first is not None:
        assert found["forget"]["step_hi"] == forget
    for row in found.values():
        assert row["censoring"] == ("right" if row["step_hi"] is None else "interval")


def test_always_right_is_left_censored(make):
    found = events(make, "11111111")
    for event in ("first", "sustained", "final_run"):
        row = found[event]
        assert (row["censoring"], row["step_lo"], row["step_hi"]) == ("left", None, 1)
    assert found["forget"]["censoring"] == "right"


def test_bounds_are_the_observations_around_the_event(make):
    found = events(make, "0-01-111")
    assert (found["first"]["step_lo"], found["first"]["step_hi"]) == (3, 4)
    assert (found["first"]["tokens_lo"], found["first"]["tokens_hi"]) == (3000, 4000)
    unfinished = events(make, "00000011")["sustained"]
    assert (unfinished["step_lo"], unfinished["censoring"]) == (6, "right")
    assert events(make, "00110000")["sustained"]["step_lo"] == 8


def test_suspect_and_final_checkpoints_are_left_out(make):
    checkpoints = make.checkpoints([1, 2, 3, None], suspect=[False, True, False, False])
    grades = pl.concat(
        [history(make, "010"), make.grades([{"fact_id": "0", "ckpt_id": "final", "y": True}])]
    )
    found = {r["event"]: r for r in metrics.acquisition(grades, checkpoints).iter_rows(named=True)}
    assert found["first"]["censoring"] == "right"
    assert found["first"]["step_lo"] == 3


def test_thin_series_give_empty_tables(make):
    one = make.checkpoints([1])
    acquired = metrics.acquisition(history(make, "1"), one)
    assert acquired.height == 0
    assert metrics.lag(acquired, pivot="en").height == 0
    assert metrics.survival(acquired, one).height == 0
    unanswered = metrics.acquisition(history(make, "--"), make.checkpoints([1, 2]))
    assert unanswered.height == 0


@given(st.lists(st.sampled_from("01-"), min_size=2, max_size=12))
def test_events_equal_a_plain_reading(make, text):
    seen = [(step, c == "1") for step, c in enumerate(text, start=1) if c != "-"]
    found = events(make, "".join(text))
    if not seen:
        assert not found
        return
    steps, right = [s for s, _ in seen], [y for _, y in seen]
    first = next((s for s, y in seen if y), None)
    runs = [i for i in range(len(right) - 2) if all(right[i : i + 3])]
    tail = len(right)
    while tail and right[tail - 1]:
        tail -= 1
    expected = {
        "first": first,
        "sustained": steps[runs[0]] if runs else None,
        "final_run": steps[tail] if tail < len(right) else None,
    }
    assert {e: found[e]["step_hi"] for e in expected} == expected
    assert found["first"]["flips"] == sum(a != b for a, b in pairwise(right))
    if first is not None:
        forget = next((s for s, y in seen if not y and s > first), None)
        assert found["forget"]["step_hi"] == forget


def lags(make, pivot, other):
    grades = pl.concat([history(make, pivot), history(make, other, lang="fr")])
    checkpoints = make.checkpoints(list(range(1, len(pivot) + 1)))
    return metrics.lag(metrics.acquisition(grades, checkpoints), pivot="en")


def test_lag_bounds_and_order(make):
    row = lags(make, "01111111", "00001111").row(0, named=True)
    assert (row["lag_steps"], row["lo_steps"], row["hi_steps"]) == (3, 2, 4)
    assert row["lag_tokens"] == 3000
    assert row["lag_log10"] == pytest.approx(np.log10(5 / 2))
    assert row["order"] == "pivot_first"
    assert lags(make, "00001111", "01111111").row(0, named=True)["order"] == "language_first"
    tie = lags(make, "0--11111", "00011111").row(0, named=True)
    assert (tie["order"], tie["lag_steps"]) == ("tie", 0)
    both_before = lags(make, "11111111", "11111111").row(0, named=True)
    assert (both_before["order"], both_before["lo_steps"]) == ("tie", None)
    assert lags(make, "11111111", "00000000").height == 0
    # Touching half-open intervals (1, 2] and (2, 3] do not overlap.
    assert lags(make, "01111111", "00111111").row(0, named=True)["order"] == "pivot_first"


def test_simulated_lag_without_differences_is_zero(make):
    checkpoints = make.checkpoints([1, 2, 3, 4])
    cells = [
        (f"c{s}", str(i), lang) for s in range(1, 5) for i in range(40) for lang in ("en", "fr")
    ]
    names = ["ckpt_id", "fact_id", "lang"]
    exposure = pl.DataFrame(cells, schema=names, orient="row").with_columns(
        relation=pl.lit("r"), exposure=pl.col("ckpt_id").str.slice(1).cast(pl.Float64())
    )
    curve = checkpoints.select("ckpt_id", intercept=pl.lit(-2.0), slope=pl.lit(4.0))
    row = metrics.simulated_lag(exposure, checkpoints, curve, pivot="en", k=2, n=200).row(
        0, named=True
    )
    assert row["lang"] == "fr"
    assert row["lo"] < 0 < row["hi"]
    assert row["lag_steps"] == pytest.approx(0, abs=0.05)
    with pytest.raises(DataError, match="c4"):
        metrics.simulated_lag(exposure, checkpoints, curve.head(3), pivot="en")
    assert metrics.simulated_lag(exposure, checkpoints, curve, pivot="de").height == 0


def test_survival_counts_the_censored(make):
    texts = ["01111", "00111", "00011", "00000"]
    grades = pl.concat([history(make, t, fact=str(i)) for i, t in enumerate(texts)])
    checkpoints = make.checkpoints([1, 2, 3, 4, 5])
    acquired = metrics.acquisition(grades, checkpoints)
    curve = metrics.survival(acquired, checkpoints)
    assert curve["events"].to_list() == [0, 1, 1, 0, 0]
    # The third fact has an unfinished run from step 4 on: known not to have begun by step 3.
    assert curve["at_risk"].to_list() == [4, 4, 3, 1, 1]
    assert curve["share_acquired"].to_list() == pytest.approx([0, 0.25, 0.5, 0.5, 0.5])
    draws = metrics.cluster_draws(grades, n=200, seed=1)
    banded = metrics.survival(acquired, checkpoints, draws=draws)
    middle = banded.filter(pl.col("step") == 3).row(0, named=True)
    assert middle["lo"] < 0.5 < middle["hi"]
    first = metrics.survival(acquired, checkpoints, event="first")
    assert first["share_acquired"].to_list() == pytest.approx([0, 0.25, 0.5, 0.75, 0.75])
