"""A series whose steps start anew with its second stage: order, events, lags, curves."""

import polars as pl
import pytest

from polylore import metrics
from polylore.tables import raw
from polylore.tables.course import course, further_branches, places

ORDER = ["a", "b", "c", "x", "y", "end"]


@pytest.fixture
def checkpoints(make):
    """Stage 1 at steps 100, 200, 300; stage 2 at its own steps 100 and 150; a final model."""
    return make.checkpoints(
        [100, 200, 300, 100, 150, None],
        ckpt_id=ORDER,
        stage=[1, 1, 1, 2, 2, None],
        total_step=[100, 200, 300, 400, 450, None],
        tokens=[1000, 2000, 3000, 4000, 4500, None],
    )


def grades(make, text, *, lang="en", fact="0"):
    return make.grades(
        [
            {"fact_id": fact, "lang": lang, "ckpt_id": c, "y": y == "1"}
            for c, y in zip(ORDER, text, strict=False)
        ]
    )


def test_the_order_is_that_of_the_table(checkpoints):
    times = metrics.timeline(checkpoints)
    assert times["ckpt_id"].to_list() == ["a", "b", "c", "x", "y"]
    assert times["step"].to_list() == [100, 200, 300, 400, 450]
    assert course(checkpoints)["ckpt_id"].to_list() == ORDER


def test_a_fact_learned_in_the_second_stage(make, checkpoints):
    found = metrics.acquisition(grades(make, "00001"), checkpoints, k=1)
    first = found.filter(event="first").row(0, named=True)
    assert (first["step_lo"], first["step_hi"]) == (400, 450)
    assert (first["tokens_lo"], first["tokens_hi"]) == (4000, 4500)
    assert first["flips"] == 1
    # Right at the end of stage 1 and wrong at the beginning of stage 2: one loss, not two gains.
    lost = metrics.acquisition(grades(make, "00100"), checkpoints, k=1)
    forget = lost.filter(event="forget").row(0, named=True)
    assert (forget["step_lo"], forget["step_hi"]) == (300, 400)


def test_lag_and_curve_go_on_over_the_stages(make, checkpoints):
    both = pl.concat([grades(make, "01111"), grades(make, "00001", lang="fr")])
    acquired = metrics.acquisition(both, checkpoints, k=1)
    lag = metrics.lag(acquired, pivot="en").row(0, named=True)
    assert (lag["lag_steps"], lag["lag_tokens"], lag["order"]) == (250, 2500, "pivot_first")
    curve = metrics.survival(acquired, checkpoints)
    french = curve.filter(lang="fr")
    assert french["step"].to_list() == [100, 200, 300, 400, 450]
    assert french["share_acquired"].to_list() == [0, 0, 0, 0, 1]


def test_recall_stands_at_the_steps_of_all_stages(make, checkpoints):
    facts = make.facts([{"fact_id": "0", "relation": "r", "lang": "en"}])
    table = metrics.recall(grades(make, "00001"), facts, checkpoints)
    steps = dict(table.filter(relation="all").select("ckpt_id", "step").iter_rows())
    assert steps == {"a": 100, "b": 200, "c": 300, "x": 400, "y": 450}


def test_exposure_counts_up_to_the_step_of_all_stages(make, checkpoints):
    facts = make.facts([{"fact_id": "0", "relation": "r", "lang": "en"}])
    rows = {
        "source": "ledger",
        "fact_id": "0",
        "lang": "en",
        "unit": "document",
        "exact": True,
        "exposure_kind": "exact",
        "lang_conditioned": True,
        "policy_id": "exact",
    }
    read = [{"step_lo": s, "step_hi": s, "count": 1} for s in (150, 350)]
    exposure = raw.EXPOSURE.build([rows | step for step in read])
    found = metrics.exposure_at(exposure, checkpoints, facts)
    assert dict(found.select("ckpt_id", "exposure").iter_rows()) == {
        "a": 0, "b": 1, "c": 1, "x": 2, "y": 2, "end": 2
    }  # fmt: skip


def test_branches_are_alternatives(make):
    table = make.checkpoints(
        [100, 50, 60, 50, None],
        ckpt_id=["a", "one", "more", "two", "end"],
        stage=[1, 2, 2, 2, None],
        ingredient=[None, 1, 1, 2, None],
        total_step=[100, 150, 160, 150, None],
    )
    assert course(table)["ckpt_id"].to_list() == ["a", "one", "more", "end"]
    assert further_branches(table) == ["two"]
    only = table.filter(pl.col("ingredient").is_null() | (pl.col("ingredient") == 2))
    assert course(only)["ckpt_id"].to_list() == ["a", "two", "end"]


def test_a_table_of_an_older_run(make):
    table = make.checkpoints([1, 2]).drop("total_step")
    assert places(table)["step"].to_list() == [1, 2]
