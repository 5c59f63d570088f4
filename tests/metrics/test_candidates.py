"""Ranking of candidates, and RankC (T10)."""

import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylore import metrics
from polylore.errors import ConfigError
from polylore.tables import raw


def places(order: str) -> np.ndarray:
    return np.array([order.index(c) + 1 for c in "abcd"])


def test_weights_and_chance():
    assert metrics.rankc_weights(4) == pytest.approx(
        [0.643914, 0.236883, 0.087144, 0.032059], abs=1e-6
    )
    chance = {n: metrics.rankc_chance(n) for n in (6, 8, 10)}
    assert chance == pytest.approx({6: 0.261178, 8: 0.197412, 10: 0.158152}, abs=1e-6)
    mix = (789 * chance[10] + 150 * chance[8] + 258 * chance[6]) / 1197
    assert mix == pytest.approx(0.185278, abs=1e-6)
    with pytest.raises(ConfigError, match="norm3"):
        metrics.rankc_weights(4, "norm3")


@pytest.mark.parametrize(
    ("a", "b", "kind", "value"),
    [
        ("abcd", "bacd", "softmax", 0.356086),
        ("abcd", "bacd", "norm1", 0.6),
        ("abcd", "bacd", "norm2", 0.466667),
        ("abcd", "dcba", "softmax", 0.090155),
        ("abcd", "abdc", "softmax", 0.970952),
        ("abcd", "abcd", "softmax", 1.0),
    ],
)
def test_rankc(a, b, kind, value):
    assert float(metrics.rankc(places(a), places(b), kind)) == pytest.approx(value, abs=1e-6)


@given(st.permutations(range(1, 7)), st.permutations(range(1, 7)))
def test_rankc_is_its_definition(a, b):
    weights = metrics.rankc_weights(6)
    naive = sum(
        weights[j - 1]
        * len({c for c in range(6) if a[c] <= j} & {c for c in range(6) if b[c] <= j})
        / j
        for j in range(1, 7)
    )
    assert float(metrics.rankc(np.array(a), np.array(b))) == pytest.approx(naive)


def test_chance_is_the_mean_over_random_rankings(rng):
    a = np.tile(np.arange(1, 6), (20000, 1))
    b = rng.permuted(a, axis=1)
    assert metrics.rankc(a, b).mean() == pytest.approx(metrics.rankc_chance(5), abs=0.01)


def scored(rows):
    """Table CANDIDATE_SCORES from (fact, language, candidate, logprob, tokens, bytes, free)."""
    names = ("fact_id", "lang", "candidate_id", "logprob_sum", "n_tokens", "n_bytes")
    return raw.CANDIDATE_SCORES.build(
        [
            dict(zip((*names, "content_free_logprob"), row, strict=False))
            | {"ckpt_id": "c1", "variant": 0}
            for row in rows
        ]
    )


@pytest.fixture(scope="module")
def facts(make):
    return make.facts(
        [
            {
                "fact_id": "0",
                "relation": "r",
                "lang": lang,
                "candidate_ids": ["a", "b", "c"],
                "candidates": ["A", "B", "C"],
                "gold_pos": 2,
            }
            for lang in ("en", "fr")
        ]
    )


@pytest.mark.parametrize(
    ("matcher", "answer", "rank"),
    [
        ("candidates", "a", 2.5),
        ("candidates_per_token", "c", 1),
        ("candidates_per_byte", "b", 2),
        ("candidates_pmi", "c", 1),
        ("candidates_content_free", "a", 3),
    ],
)
def test_scores(facts, matcher, answer, rank):
    scores = scored(
        [
            ("0", "en", "a", -2.0, 1, 1, -1.0),
            ("0", "en", "b", -3.0, 2, 9, -2.0),
            ("0", "en", "c", -3.0, 3, 4, -5.0),
        ]
    )
    row = metrics.grade_candidates(scores, facts, matcher=matcher).row(0, named=True)
    assert (row["answer_id"], row["gold_rank"], row["y"]) == (answer, rank, answer == "c")
    assert row["matcher"] == matcher


def test_ties_ignore_the_order_of_the_list(facts):
    rows = [("0", "en", c, -1.0, 1, 1, None) for c in "abc"]
    best = min("abc", key=lambda c: hashlib.sha256(c.encode()).hexdigest())
    for order in (rows, rows[::-1]):
        row = metrics.grade_candidates(scored(order), facts).row(0, named=True)
        assert (row["gold_rank"], row["answer_id"]) == (2.0, best)


def test_undefined_scores_are_null(facts):
    rows = [("0", "en", c, -1.0, 1, 1, None) for c in "abc"]
    pmi = metrics.grade_candidates(scored(rows), facts, matcher="candidates_pmi")
    assert pmi.select("y", "answer_id", "gold_rank").row(0) == (None, None, None)
    without_gold = metrics.grade_candidates(scored(rows[:2]), facts)
    assert without_gold["y"].to_list() == [None]
    nan = [*rows[:2], ("0", "en", "c", float("nan"), 1, 1, None)]
    assert metrics.grade_candidates(scored(nan), facts)["y"].to_list() == [None]
    nothing = scored(rows).clear()
    assert metrics.grade_candidates(nothing, facts).height == 0
    with pytest.raises(ConfigError, match="candidates_per_word"):
        metrics.grade_candidates(nothing, facts, matcher="candidates_per_word")


def test_rankc_table_uses_common_candidates():
    order = {"en": "abcdx", "fr": "bacd", "de": "dcba"}
    rows = [
        ("0", lang, c, -float(i), 1, 1, None)
        for lang, ranked in order.items()
        for i, c in enumerate(ranked)
    ]
    rows += [("1", "en", "a", -1.0, 1, 1, None), ("1", "fr", "a", -1.0, 1, 1, None)]
    rows += [("2", "en", "a", -1.0, 1, 1, None), ("2", "en", "b", -2.0, 1, 1, None)]
    table = metrics.rankc_table(scored(rows), [("en", "fr"), ("en", "de"), ("en", "zh")])
    found = {row["lang_b"]: row for row in table.iter_rows(named=True)}
    assert set(table["fact_id"]) == {"0"}
    assert found["fr"]["n_candidates"] == 4
    assert found["fr"]["rankc"] == pytest.approx(0.356086, abs=1e-6)
    assert found["de"]["rankc"] == pytest.approx(0.090155, abs=1e-6)
    assert found["de"]["rankc_chance"] == pytest.approx(metrics.rankc_chance(4))


def test_consistency_carries_rankc_and_agreement(make, facts):
    rows = [
        ("0", lang, c, -float(i), 1, 1, None)
        for lang, ranked in {"en": "abc", "fr": "acb"}.items()
        for i, c in enumerate(ranked)
    ]
    scores = scored(rows)
    grades = metrics.grade_candidates(scores, facts)
    checkpoints = make.checkpoints([1])
    table = metrics.consistency(grades, facts, checkpoints, pivot="en", scores=scores)
    row = table.filter(pl.col("relation") == "all").row(0, named=True)
    assert (row["agree_all"], row["jaccard"]) == (1.0, 0.0)
    assert row["j0"] is None
    expected = float(metrics.rankc(np.array([1, 2, 3]), np.array([1, 3, 2])))
    chance = metrics.rankc_chance(3)
    assert row["rankc"] == pytest.approx(expected)
    assert row["rankc_norm"] == pytest.approx((expected - chance) / (1 - chance))
