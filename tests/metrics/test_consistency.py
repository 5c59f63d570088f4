"""Jaccard, its bounds and its intervals."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylore import metrics
from polylore.errors import DataError
from polylore.metrics.jaccard import (
    independent_jaccard,
    jaccard,
    largest_jaccard,
    normalised_jaccard,
)

BITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def sums(pairs):
    a, b = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    return np.array((a * b).sum()), np.array(a.sum()), np.array(b.sum()), len(pairs)


@given(BITS)
def test_bounds(pairs):
    both, a, b, n = sums(pairs)
    j = jaccard(both, a, b)
    assert 0 <= j <= 1
    j0, jmax = independent_jaccard(a / n, b / n), largest_jaccard(a / n, b / n)
    if a + b == 0:
        assert j == 0
        assert np.isnan(j0)
        assert np.isnan(jmax)
        return
    assert j0 <= jmax + 1e-12
    assert j <= jmax + 1e-12
    norm = normalised_jaccard(j, j0, jmax)
    assert np.isnan(norm) or norm <= 1 + 1e-9
    swapped = jaccard(both, b, a)
    assert swapped == j


def test_independent_languages_have_jaccard_j0(rng):
    a, b = (rng.random(200_000) < p for p in (0.6, 0.3))
    j = jaccard(np.array((a & b).sum()), np.array(a.sum()), np.array(b.sum()))
    assert j == pytest.approx(float(independent_jaccard(np.array(0.6), np.array(0.3))), abs=0.005)


def table_of(make, answers, relation="r"):
    """Facts and grades from {language: text of 1, 0 and -}."""
    rows = [
        {"fact_id": str(i), "lang": lang, "relation": relation, "y": {"1": True, "0": False}.get(c)}
        for lang, text in answers.items()
        for i, c in enumerate(text)
    ]
    facts = make.facts([{k: r[k] for k in ("fact_id", "lang", "relation")} for r in rows])
    return make.grades(rows), facts


def test_only_facts_answered_in_both_count(make):
    grades, facts = table_of(make, {"en": "1110-1", "fr": "10-111"})
    table = metrics.consistency(grades, facts, make.checkpoints([1]), pivot="en")
    row = table.filter(pl.col("relation") == "all").row(0, named=True)
    assert (row["n"], row["jaccard"]) == (4, 0.5)
    assert (row["p_b_given_a"], row["p_a_given_b"]) == pytest.approx((2 / 3, 2 / 3))
    assert row["agree_all"] is None


def test_nobody_right(make):
    grades, facts = table_of(make, {"en": "000", "fr": "000"})
    table = metrics.consistency(grades, facts, make.checkpoints([1]), pivot="en")
    row = table.row(0, named=True)
    assert (row["jaccard"], row["j0"], row["jmax"], row["j_norm"]) == (0, None, None, None)


def test_no_common_fact_gives_no_row(make):
    grades, facts = table_of(make, {"en": "1-", "fr": "-1"})
    assert metrics.consistency(grades, facts, make.checkpoints([1]), pivot="en").height == 0


def test_pivot_must_be_there(make):
    grades, facts = table_of(make, {"en": "10", "fr": "11"})
    checkpoints = make.checkpoints([1])
    with pytest.raises(DataError, match="'de'"):
        metrics.consistency(grades, facts, checkpoints, pivot="de")
    every = metrics.consistency(grades, facts, checkpoints, pivot=None, pairs="all")
    assert set(every["lang_b"]) == {"fr"}
    summary = metrics.consistency_summary(grades, facts, checkpoints, pivot=None)
    assert summary["form"].to_list() == ["all_pairs"]
    alone = grades.filter(pl.col("lang") == "en")
    assert metrics.consistency_summary(alone, facts, checkpoints, pivot="en").height == 0


def test_more_pairs_of_languages_than_facts(make):
    answers = {"en": "10", "fr": "11", "de": "01", "es": "11", "it": "10"}
    grades, facts = table_of(make, answers)
    draws = metrics.cluster_draws(facts, n=20, seed=1)
    checkpoints = make.checkpoints([1])
    summary = metrics.consistency_summary(grades, facts, checkpoints, pivot="en", draws=draws)
    row = summary.filter(form="all_pairs").row(0, named=True)
    langs = list(answers)
    naive = []
    for weights in draws.weights_DF.astype(int):
        right = {x: np.repeat([c == "1" for c in answers[x]], weights) for x in langs}
        pairs = [(right[a], right[b]) for i, a in enumerate(langs) for b in langs[i + 1 :]]
        naive.append(np.mean([(a & b).sum() / max(1, (a | b).sum()) for a, b in pairs]))
    assert (row["lo"], row["hi"]) == pytest.approx(tuple(np.percentile(naive, (2.5, 97.5))))


def test_wordings(make):
    grades, facts = table_of(make, {"en": "110", "fr": "011"})
    other = grades.with_columns(
        variant=pl.lit(1, dtype=pl.Int32()),
        y=pl.Series([True, False, True, True, True, True]),
    )
    table = metrics.consistency(
        pl.concat([grades, other]), facts, make.checkpoints([1]), pivot="en"
    )
    row = table.filter(pl.col("relation") == "all").row(0, named=True)
    assert row["jaccard"] == 1.0
    assert row["coverlap"] == pytest.approx((1 + 2) / (3 + 3))


@given(BITS, st.integers(0, 5))
def test_intervals_equal_a_loop(make, pairs, seed):
    text = ["".join("01"[y] for y in side) for side in zip(*pairs, strict=True)]
    grades, facts = table_of(make, {"en": text[0], "fr": text[1]})
    draws = metrics.cluster_draws(facts, n=25, seed=seed)
    checkpoints = make.checkpoints([1])
    table = metrics.consistency(grades, facts, checkpoints, pivot="en", draws=draws)
    row = table.filter(pl.col("relation") == "all").row(0, named=True)
    naive = []
    for weights in draws.weights_DF:
        drawn = [p for p, w in zip(pairs, weights, strict=True) for _ in range(int(w))]
        both, a, b, _ = sums(drawn)
        naive.append(float(jaccard(both, a, b)))
    if len(pairs) == 1:
        assert row["lo"] is None
        return
    assert (row["lo"], row["hi"]) == pytest.approx(tuple(np.percentile(naive, (2.5, 97.5))))
    summary = metrics.consistency_summary(grades, facts, checkpoints, pivot="en", draws=draws)
    forms = {r["form"]: r for r in summary.iter_rows(named=True)}
    assert forms["paper"]["value"] == pytest.approx((1 + row["jaccard"]) / 2)
    assert forms["paper"]["lo"] == pytest.approx((1 + row["lo"]) / 2)
    assert forms["all_pairs"]["hi"] == pytest.approx(row["hi"])
