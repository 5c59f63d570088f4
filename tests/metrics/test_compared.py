"""Models side by side: paired differences against a loop, pooling, and tokens."""

import numpy as np
import polars as pl
import pytest

from polylore import metrics
from polylore.errors import DataError


@pytest.fixture
def pair(make):
    """Facts, and grades of two models in two languages; the third fact has no French answer."""
    rows = {"a": {"en": "1101", "fr": "1001"}, "b": {"en": "0101", "fr": "0011"}}
    facts = pl.DataFrame(
        [
            {"fact_id": f"f{i}", "relation": "r" if i < 2 else "s", "lang": lang}
            for lang in ("en", "fr")
            for i in range(4)
        ]
    )
    grades = {
        model: pl.DataFrame(
            [
                {
                    "fact_id": f"f{i}",
                    "lang": lang,
                    "variant": 0,
                    "matcher": "default",
                    "y": None if (lang, i, model) == ("fr", 2, "b") else bits[i] == "1",
                }
                for lang, bits in by_lang.items()
                for i in range(4)
            ]
        )
        for model, by_lang in rows.items()
    }
    return facts, grades


def test_differences_are_paired(pair):
    facts, grades = pair
    draws = metrics.cluster_draws(facts, n=200, seed=3)
    table = metrics.model_differences("a", grades, facts, draws)
    assert set(table["model"]) == {"b"}
    en = table.filter(lang="en", relation="all").row(0, named=True)
    assert (en["n"], en["acc_reference"], en["acc"]) == (4, 0.75, 0.5)
    assert (en["difference"], en["only_reference"], en["only_model"]) == (0.25, 0.25, 0)
    order = draws.index.fact_ids
    gap = np.array([{"f0": 1, "f1": 0, "f2": 0, "f3": 0}[f] for f in order])
    naive = (draws.weights_DF * gap).sum(axis=1) / 4
    assert (en["lo"], en["hi"]) == pytest.approx(tuple(np.percentile(naive, (2.5, 97.5))))
    # Facts that only one of the two answered do not count.
    fr = table.filter(lang="fr", relation="all").row(0, named=True)
    assert (fr["n"], fr["acc_reference"], fr["acc"]) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    pooled = table.filter(lang="all", relation="all").row(0, named=True)
    assert pooled["n"] == 4
    # f0: both languages, f1: none, f2: English alone and equal, f3: none.
    assert pooled["difference"] == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert set(table["relation"]) == {"r", "s", "all"}


def test_equal_models_differ_by_nothing(pair):
    facts, grades = pair
    draws = metrics.cluster_draws(facts, n=50, seed=3)
    table = metrics.model_differences("a", {"a": grades["a"], "b": grades["a"]}, facts, draws)
    assert (table["difference"] == 0).all()
    assert (table.filter(relation="all")["hi"] == 0).all()


def test_no_draws_no_intervals(pair):
    facts, grades = pair
    table = metrics.model_differences("a", grades, facts)
    assert table["lo"].null_count() == table.height


def test_pooled_recall_is_the_mean_over_languages(pair):
    facts, grades = pair
    recalls = {
        name: pl.DataFrame(
            [
                {"ckpt_id": "c", "lang": lang, "relation": "all", "stratum": stratum,
                 "matcher": "default", "n": n, "acc": acc, "lo": None, "hi": None,
                 "baseline": baseline, "baseline_name": "majority", "acc_guess_corrected": None,
                 "gc_lo": None, "gc_hi": None}
                for lang, n, acc, baseline, stratum in (
                    ("en", 4, 0.75, 0.25, "all"), ("fr", 4, 0.5, 0.5, "all"),
                    ("fr", 4, 0.5, 0.5, "same_object"),
                )
            ],
            schema_overrides=dict.fromkeys(
                ("lo", "hi", "acc_guess_corrected", "gc_lo", "gc_hi"), pl.Float64
            ),
        )
        for name in grades
    }  # fmt: skip
    table = metrics.model_recall(recalls, grades, facts, metrics.cluster_draws(facts, n=50, seed=0))
    row = table.filter(model="a", lang="all").row(0, named=True)
    assert (row["n"], row["acc"], row["baseline"]) == (4, 0.625, 0.375)
    assert row["gc"] == pytest.approx((0.625 - 0.375) / (1 - 0.375))
    assert row["lo"] <= row["acc"] <= row["hi"]
    assert table.filter(model="a", lang="fr").height == 1


def test_facts_that_the_draws_do_not_hold(pair):
    facts, grades = pair
    other = metrics.cluster_draws(facts.with_columns(fact_id="x" + pl.col("fact_id")), n=5)
    with pytest.raises(DataError, match="bootstrap draws lack"):
        metrics.model_differences("a", grades, facts, other)


def test_tokens_count_each_candidate_once():
    facts = pl.DataFrame({"fact_id": ["f0", "f1"], "lang": ["en", "en"], "relation": ["r", "r"]})
    scores = pl.DataFrame(
        {
            "fact_id": ["f0", "f0", "f1", "f1"],
            "lang": ["en"] * 4,
            "candidate_id": ["x", "y", "x", "z"],
            "n_tokens": [1, 2, 1, 3],
            "n_bytes": [4, 6, 4, 8],
        }
    )
    table = metrics.model_tokens({"m": scores}, facts)
    row = table.filter(relation="r").row(0, named=True)
    assert (row["n"], row["tokens"], row["whole"]) == (3, 2.0, pytest.approx(1 / 3))
    assert row["bytes_per_token"] == 3.0
