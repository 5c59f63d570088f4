"""Agreement of two sources of counts (specification of trace, section 3.2)."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from polylore import metrics
from polylore.errors import DataError
from polylore.metrics.freq_agreement import paired, weighted_spearman
from polylore.tables import raw

A = {("1", "en"): 0, ("2", "en"): 10, ("3", "en"): 1000, ("1", "fr"): 5, ("2", "fr"): None}
B = {("1", "en"): 3, ("2", "en"): 10, ("3", "en"): 1900, ("1", "fr"): 0, ("2", "fr"): 7}


def exposure(counts: dict, source: str, unit: str = "document") -> pl.DataFrame:
    return raw.EXPOSURE.build(
        [
            {
                "source": source, "fact_id": fact_id, "lang": lang, "count": count, "unit": unit,
                "exposure_kind": "total", "lang_conditioned": False, "policy_id": "p",
            }
            for (fact_id, lang), count in counts.items()
        ]
    )  # fmt: skip


def facts() -> pl.DataFrame:
    return raw.FACTS.build(
        [
            {
                "fact_id": fact_id, "relation": "r" if fact_id != "3" else "s", "lang": lang,
                "subject": f"s{fact_id}", "object": "o", "aliases": [], "candidate_ids": [],
                "candidates": [], "source": "t", "flags": [],
            }
            for fact_id, lang in A
        ]
    )  # fmt: skip


def pairs() -> pl.DataFrame:
    return paired(exposure(A, "a"), exposure(B, "b", "window:1000"), facts())


def test_hand_made() -> None:
    found = metrics.freq_agreement(pairs(), corpus_documents=1500)
    rows = {(r["lang"], r["relation"]): r for r in found.iter_rows(named=True)}
    assert list(rows) == [
        ("all", "all"), ("en", "all"), ("fr", "all"), ("en", "r"), ("en", "s"), ("fr", "r")
    ]  # fmt: skip
    one = rows["all", "all"]
    assert (one["unit_a"], one["unit_b"], one["n"]) == ("document", "window:1000", 4)
    # 10/10 and 1900/1000.
    assert one["ratio"] == pytest.approx(1.9**0.5)
    assert one["exactly_equal"] == 1
    assert one["within_2x_both_positive"] == 2
    assert (one["a0_b_positive"], one["b0_a_positive"]) == (1, 1)
    assert one["above_corpus_docs"] == 1
    x, y = [0, 10, 1000, 5], [3, 10, 1900, 0]
    assert one["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    assert one["pearson_raw"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert rows["fr", "all"]["spearman"] is None


def test_worst_first() -> None:
    worst = metrics.disagreements(pairs(), worst=2)
    assert worst.select("fact_id", "lang", "count_a", "count_b").rows() == [
        ("1", "fr", 5, 0), ("1", "en", 0, 3)
    ]  # fmt: skip
    assert worst["log10_ratio"].to_list() == pytest.approx([-np.log10(6), np.log10(4)])
    assert metrics.disagreements(pairs(), worst=9).height == 3


def test_interval_repeats_facts() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 40).astype(float)
    y = (x + rng.integers(0, 4, 40)).astype(float)
    weights = rng.integers(0, 3, (40, 70))
    found = weighted_spearman(x, y, weights)
    for column, rho in zip(weights.T, found, strict=True):
        assert rho == pytest.approx(spearmanr(np.repeat(x, column), np.repeat(y, column)).statistic)
    assert np.isnan(weighted_spearman(x, np.ones(40), weights)).all()


def test_sources_must_not_be_mixed() -> None:
    two = pl.concat([exposure(A, "a"), exposure(B, "b")])
    with pytest.raises(DataError, match="must hold one source, not 2"):
        paired(two, exposure(B, "b"), facts())
    other = facts().with_columns(fact_id=pl.lit("x") + pl.col("fact_id"))
    with pytest.raises(DataError, match="no fact and language in common"):
        paired(exposure(A, "a"), exposure(B, "b"), other)


def test_published_counts_agree_with_themselves(published) -> None:
    from polylore.corpus.frequencies import read_frequencies
    from polylore.facts import load

    factset = load(published / "klar")
    counts = read_frequencies(published / "klar" / "wimbd_frequencies.json", factset)
    both = paired(counts, counts.with_columns(source=pl.lit("again")), factset.facts)
    draws = metrics.cluster_draws(factset.facts, n=20)
    found = metrics.freq_agreement(both, draws=draws, corpus_documents=3_403_336_408)
    assert found["exactly_equal"].equals(found["n"])
    assert found.row(0, named=True)["n"] == 14_364
    assert found.filter(relation="all")["lo"].to_list() == pytest.approx([1.0] * 13)
    assert found["above_corpus_docs"].sum() == 0
    assert metrics.disagreements(both).is_empty()
