"""From answers to the transfer family, causal checks and conditions (2.5, 2.8, 2.10)."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.unification import (
    Cells,
    RunDraws,
    Said,
    acc_draws,
    answer_rows,
    baselines,
    causal,
    conditions,
    course,
    effects,
    mean_over_seeds,
    over_runs,
    transfer,
    u_draws,
    value_rows,
)
from polylore.tables.unify import EDITS, PATCHES, SIMS

# Tokens of value v of relation r in language k: 100 r + 10 k + v; value 0 is shared.
TOKENS = np.array(
    [[[[100 * r + (10 * k + v if v else 0)] for v in range(4)] for k in range(2)] for r in range(1)]
)

# Mass of the language's own half of the values: 0, .1, ..., .9 over the cells.
MASS = np.linspace(0, 0.9, 10)
A_HALF = np.where(np.arange(10) % 2 == 0, MASS, 1 - MASS)
PROBS = np.stack([A_HALF, 0 * MASS, 1 - A_HALF, 0 * MASS], axis=1)


def world():
    """Facts f0..f3: f0 parallel, f1 and f2 seen in a, f3 in b; f9 never seen."""
    rows = [
        ("f0", 0, "parallel", 1), ("f0", 1, "parallel", 1),
        ("f1", 0, "mono_seen", 2), ("f1", 1, "mono_unseen", 2),
        ("f2", 0, "mono_seen", 0), ("f2", 1, "mono_unseen", 0),
        ("f3", 0, "mono_unseen", 3), ("f3", 1, "mono_seen", 3),
        ("f9", 0, "never_seen", 1), ("f9", 1, "never_seen", 1),
    ]  # fmt: skip
    cells = Cells(
        [r[0] for r in rows],
        [r[2] for r in rows],
        np.zeros(10, int),
        np.array([r[1] for r in rows]),
        np.array([r[3] for r in rows]),
        ["a", "b"],
        ["r0"],
        TOKENS,
        np.array([0, 0, 1, 1]),
    )
    facts = pl.DataFrame(
        {
            "fact_id": ["f0", "f1", "f2", "f3", "f9"],
            "value_index": [1, 2, 0, 3, 1],
            "entity": [10, 2, 2, 1, 9],
        }
    )
    return cells, facts


def said():
    """f0 right; f1 right in a, says a's token in b; f2 right in both; f3 wrong in both."""
    pred = [1, 11, 2, 2, 0, 0, 2, 11, 50, 1]
    return Said(
        cell_M=np.arange(10),
        template_M=np.zeros(10, int),
        cue_M=np.zeros(10, int),
        pred_tokens_MK=np.array(pred)[:, None],
        logp_gold_M=-np.arange(1.0, 11),
        rank_M=np.ones(10),
        restricted_M=np.array([1, 1, 2, 2, 0, 0, 2, 1, 0, 3]),
        probs_MV=PROBS,
    )


def answered(run="r", step=7):
    cells, facts = world()
    return answer_rows(said(), cells, run_hash=run, step=step, tokens=70), facts


def test_answers_say_what_was_right_and_where() -> None:
    table, _ = answered()
    rows = {(r["fact_id"], r["lang"]): r for r in table.iter_rows(named=True)}
    right = {key for key, row in rows.items() if row["correct"]}
    assert right == {("f0", "a"), ("f0", "b"), ("f1", "a"), ("f2", "a"), ("f2", "b")}
    assert rows["f1", "b"]["right_value_other_language"] is True
    assert rows["f3", "b"]["right_value_other_language"] is False
    # Value 0 has one token for both languages.
    assert rows["f2", "b"]["right_value_other_language"] is None
    # Values 0, 1 are owned by a, 2, 3 by b.
    assert rows["f3", "a"]["in_pref_block"] is False
    assert rows["f1", "b"]["in_pref_block"] is True
    assert rows["f1", "b"]["pred_token"] == [2]
    # Mass of values 2 and 3 in b, of 0 and 1 in a.
    assert rows["f1", "b"]["pref_mass"] == pytest.approx(0.3)
    assert rows["f3", "a"]["pref_mass"] == pytest.approx(0.6)


def test_answers_must_fit() -> None:
    cells, _ = world()
    short = Said(np.arange(3), np.zeros(3), np.zeros(3), np.zeros((3, 2), int))
    with pytest.raises(DataError, match="do not fit"):
        answer_rows(short, cells, run_hash="r", step=0, tokens=None)
    bare = Said(np.arange(3), np.zeros(3, int), np.zeros(3, int), np.zeros((3, 1), int))
    table = answer_rows(bare, cells, run_hash="r", step=0, tokens=None)
    free = answer_rows(said(), replace(cells, owner_V=None), run_hash="r", step=0, tokens=None)
    assert free["in_pref_block"].null_count() == free["pref_mass"].null_count() == 10
    for name in ("rank", "logp_gold", "restricted_pred", "in_pref_block", "pref_mass"):
        assert table[name].null_count() == 3


def test_transfer_by_population_and_direction() -> None:
    table, facts = answered()
    found = transfer(table, facts, draws=200)
    rows = {(r["population"], r["direction"]): r for r in found.iter_rows(named=True)}
    x = rows["mono_unseen", "all"]
    assert (x["n"], x["n_known"]) == (3, 2)
    assert x["acc"] == pytest.approx(1 / 3)
    assert x["acc_known"] == pytest.approx(1 / 2)
    assert x["acc_restricted"] == pytest.approx(2 / 3)
    assert x["wrong_language"] == pytest.approx(1 / 2)
    assert x["loss"] == pytest.approx((4 + 6 + 7) / 3)
    assert x["lo"] <= x["acc"] <= x["hi"]
    assert rows["mono_unseen", "a->b"]["acc"] == 0.5
    back = rows["mono_unseen", "b->a"]
    assert (back["n_known"], back["acc_known"]) == (0, None)
    assert "no fact is right" in back["reason"]
    assert rows["mono_seen", "all"]["acc"] == pytest.approx(2 / 3)
    assert rows["mono_seen", "a"]["acc"] == 1
    assert rows["never_seen", "all"]["acc"] == 0
    assert rows["parallel", "all"]["n_known"] is None


def test_course_of_a_run() -> None:
    table, facts = answered()
    probs = np.array([[0.4, 0.3, 0.2, 0.1]] * 10)
    probs[9] = probs[9][::-1]
    values = value_rows(probs, np.arange(10), world()[0], run_hash="r", step=7)
    row = course(
        table, facts, baselines(4, 2), values=values, languages=["a", "b"]
    ).row(0, named=True)  # fmt: skip
    assert row["acc_train"] == pytest.approx(4 / 5)
    assert row["acc_src"] == pytest.approx(2 / 3)
    assert row["acc_x"] == pytest.approx(1 / 3)
    assert row["gap"] == pytest.approx(1 / 3)
    assert row["acc_x_known"] == pytest.approx(1 / 2)
    # f1 and f2 agree with their source; f3 says 2 in a and 1 in b.
    assert row["agreement"] == pytest.approx(2 / 3)
    # Among the relation's values only f3 in a is wrong, with a value of b's block.
    assert row["pref_error_share"] == 0
    assert row["pref_mass"] == pytest.approx((0.3 + 0.5 + 0.6) / 3)
    assert row["label"] == "separated"
    assert row["used_info"] > 0
    assert row["used_info_x"] == 0
    none = course(table.filter(pl.col("population") == "parallel"), facts, baselines(4, 2))
    assert none["acc_x"][0] is None
    assert none["label"][0] is None
    assert none["reason"][0] == "there are no held-out cells"
    with pytest.raises(DataError, match="pass `languages`"):
        course(table, facts, baselines(4, 2), values=values)


def test_prompts_of_a_cell_count_once() -> None:
    table, facts = answered()
    again = table.filter((pl.col("fact_id") == "f1") & (pl.col("lang") == "b")).with_columns(
        cue_draw=pl.lit(1, pl.Int32), correct=pl.lit(True)
    )
    found = transfer(pl.concat([table, again]), facts, draws=0)
    x = found.filter(population="mono_unseen", direction="all").row(0, named=True)
    assert (x["n"], x["acc"]) == (3, pytest.approx(0.5))
    assert x["lo"] is None


def test_interval_of_an_accuracy_draws_entities() -> None:
    table, facts = answered()
    value, drawn = acc_draws(table, facts, seed=1, draws=4000)
    assert value == pytest.approx(1 / 3)
    # Entities 2 (two cells, one right) and 1 (one cell, wrong): both, 2 twice or 1 twice.
    assert set(np.round(drawn, 4)) == {0.0, 0.3333, 0.5}
    assert (drawn == 0.5).mean() == pytest.approx(0.25, abs=0.03)
    assert np.isnan(acc_draws(table, facts, seed=1, population="x")[0])


def patch(item, arm, hit, entity=None):
    return {"run_hash": "r", "step": 1, "layer": 2, "position": "name", "item": item, "lang": "b",
            "source_lang": "a", "entity": entity or item, "arm": arm, "base_fact": "g",
            "hit": hit, "hit_src": False}  # fmt: skip


def test_patching() -> None:
    hits = {"cross": [1, 1, 1, 0], "rand": [0, 0, 0, 0], "same": [1, 1, 1, 1]}
    rows = [patch(f"f{i}", arm, bool(h)) for arm, own in hits.items() for i, h in enumerate(own)]
    # A fact without the arm `same` takes no part.
    rows.append(patch("f8", "cross", False))
    row = causal(PATCHES.build(rows), EDITS.empty(), draws=200).row(0, named=True)
    assert (row["n"], row["cu"]) == (4, 0.75)
    assert row["lo"] < 0.75 < row["hi"]
    weak = [r | {"hit": False} if r["arm"] == "same" and r["item"] != "f0" else r for r in rows]
    row = causal(PATCHES.build(weak), EDITS.empty()).row(0, named=True)
    assert row["cu"] is None
    assert row["reason"].startswith("uninformative")
    none = causal(PATCHES.build([r for r in rows if r["arm"] != "same"]), EDITS.empty())
    assert none["cu"][0] is None
    assert "no fact has" in none["reason"][0]


def test_edit_transfer() -> None:
    def edit(fact, which, source, target, old):
        return {"run_hash": "r", "step": 1, "set": which, "fact_id": fact, "entity": fact,
                "source_lang": "a", "lang": "b", "new_value": 3, "source_new": source,
                "target_new": target, "old_before": True, "old_after": old}  # fmt: skip

    rows = [edit(f"f{i}", "x", i < 4, i < 3, i >= 3) for i in range(5)]
    rows += [edit("p0", "parallel", False, False, True)]
    kept = [edit(f"k{i}", "retention", None, None, i < 9) | {"new_value": None} for i in range(10)]
    table = causal(PATCHES.empty(), EDITS.build(rows + kept), draws=200)
    x, parallel = table.iter_rows(named=True)
    assert (x["et"], x["source_new"], x["old_kept"]) == pytest.approx((0.75, 0.8, 0.4))
    assert x["retention"] == pytest.approx(0.9)
    assert x["lo"] < 0.75 < x["hi"]
    assert parallel["et"] is None
    assert parallel["reason"] == "no edit took in its own language"


def test_seeds_are_drawn_first_then_entities() -> None:
    generator = np.random.default_rng(0)
    pools = [m + 0.1 * generator.normal(size=4000) for m in (0.2, 0.8)]
    both = over_runs([0.2, 0.8, float("nan")], [*pools, pools[0]])
    assert both.value == pytest.approx(0.5)
    assert (both.least, both.most) == (0.2, 0.8)
    # One draw in four holds only the lower run, twice, with other entities each time.
    assert both.lo == pytest.approx(0.2 - 1.28 * 0.1 / np.sqrt(2), abs=0.02)
    one = over_runs([0.2], pools[:1])
    assert (one.lo, one.hi) == pytest.approx(tuple(np.quantile(pools[0], [0.025, 0.975])), abs=1e-9)
    assert np.isnan(over_runs([], []).value)
    assert np.isnan(mean_over_seeds([0.4]).lo)
    table = conditions(
        [RunDraws("c", "acc_x", 0.2, pools[0]), RunDraws("c", "acc_x", 0.8, pools[1]),
         RunDraws("d", "acc_x", float("nan"), np.full(4000, np.nan))]
    )  # fmt: skip
    assert table["value"].to_list() == [pytest.approx(0.5), None]
    assert table["reason"].to_list() == [None, "no run has it"]


def test_runs_that_learned_nothing_are_left_out_or_counted() -> None:
    pool = np.linspace(0.1, 0.3, 1000)
    fit, unfit = (
        RunDraws(name, "acc_x", value, pool, fit=learned)
        for name, value, learned in (("c", 0.2, True), ("c", 0.0, False))
    )
    alone = RunDraws("d", "acc_x", 0.0, pool, fit=False)
    table = conditions([fit, unfit, alone])
    counts = ["n_seeds", "n_unfit", "n_left_out"]
    assert table.select("value", *counts).rows() == [(0.2, 1, 0, 1), (0.0, 1, 1, 0)]
    rows = [(c, s, "acc_x", 0.1 * s, fit) for c, s, fit in
            (("arm", 0, True), ("arm", 1, False), ("base", 0, True), ("base", 1, True),
             ("low", 0, False), ("low", 1, False))]  # fmt: skip
    schema = ["condition", "seed", "outcome", "value", "fit"]
    outcomes = pl.DataFrame(rows, schema=schema, orient="row")
    pairs = pl.DataFrame({"family": ["f"] * 2, "arm": ["arm", "low"], "baseline": ["base"] * 2})
    assert effects(outcomes, pairs).select(counts).rows() == [(1, 0, 1), (2, 2, 0)]


def test_draws_of_a_score_average_pairs_of_languages() -> None:
    generator = np.random.default_rng(0)
    rows = [
        {"run_hash": "r", "init": 0, "step": 1, "item_kind": "fact", "items": "mono", "lang_a": a,
         "lang_b": b, "layer": 1, "position": 2, "item": f"f{i}", "entity": f"e{i // 2}",
         "center": "none", "standardize": False, "distractors": "all",
         "par_i": 0.5 + 0.1 * generator.random(), "within_i_a": 0.2, "within_i_b": 0.1,
         "trivial": False}
        for a, b in (("a", "b"), ("a", "c"))
        for i in range(10)
    ]  # fmt: skip
    sims = SIMS.build(rows)
    value, drawn = u_draws(sims, seed=3, draws=500)["u_norm"]
    par = sims["par_i"].mean()
    assert value == pytest.approx((par - 0.15) / 0.85)
    assert drawn.mean() == pytest.approx(value, abs=0.005)
    nothing = u_draws(sims.with_columns(trivial=pl.lit(True)), seed=3)
    assert np.isnan(nothing["u_diff"][0])


def test_effects_are_paired_over_seeds() -> None:
    rows = [
        (condition, seed, "acc_x", 0.1 * seed + (0.5 if condition == "arm" else 0.0))
        for condition in ("arm", "base")
        for seed in range(4)
        if (condition, seed) != ("base", 3)
    ]
    outcomes = pl.DataFrame(rows, schema=["condition", "seed", "outcome", "value"], orient="row")
    pairs = pl.DataFrame({"family": ["f", "f"], "arm": ["arm", "arm"], "baseline": ["base", "no"]})
    first, second = effects(outcomes, pairs).iter_rows(named=True)
    assert first["n_seeds"] == 3
    assert (first["effect"], first["lo"], first["hi"]) == pytest.approx((0.5, 0.5, 0.5))
    assert second["effect"] is None
    assert second["reason"] == "no seed has the outcome in both arms"
