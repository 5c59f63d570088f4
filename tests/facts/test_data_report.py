"""The data report against its definitions, on small sets (golden values: test_golden.py)."""

from itertools import combinations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylore.facts import FactSet
from polylore.metrics.data_report import data_report
from polylore.text.prefixes import in_prefix_conflict


def row(factset: FactSet, lang: str, relation: str = "all", pivot: str = "en") -> dict[str, object]:
    report = data_report(factset.facts, pivot)
    return report.filter((pl.col("lang") == lang) & (pl.col("relation") == relation)).row(
        0, named=True
    )


def test_by_hand(make) -> None:
    rows = [
        ("a", "r", "en", "Mexico City", "Mexico"),
        ("b", "r", "en", "Lagos", "Nigeria"),
        ("c", "r", "en", "Lagos", "Niger"),
        ("d", "r", "en", "Oslo", "Norway"),
        ("d2", "r", "en", "Oslo", "Norway"),
        ("e", "q", "en", "Monaco", "monaco"),
        ("a", "r", "fr", "mexico city", "mexico"),
        ("b", "r", "fr", "Lagos", "Nigeria"),
        ("d", "r", "fr", "Oslo", "Norve\u0300ge et plus encore"),
    ]
    factset = make(rows)
    english, french = row(factset, "en"), row(factset, "fr")
    assert english["n"] == 6
    assert english["duplicate_triples"] == 1
    assert english["multi_gold"] == 2
    assert english["answer_in_subject"] == 2
    assert english["subject_equals_object"] == 1
    assert english["prefix_conflicts"] == 2
    assert english["distinct_objects"] == 5
    assert english["majority_share"] == pytest.approx((2 + 1) / 6)
    assert english["one_char_baseline"] == pytest.approx((4 + 1) / 6)
    assert english["copy_demo"] == pytest.approx(2 * (1 / 4) / 5)
    assert english["chance"] is None
    assert english["gold_last_share"] is None
    assert english["missing_languages"] == ["fr"]
    assert row(factset, "fr")["missing_languages"] == []
    assert (french["same_object"], french["same_object_cf"]) == (1, 2)
    assert (french["same_pair"], french["same_pair_cf"]) == (1, 2)
    assert french["object_bytes_over_20"] == 1
    assert french["non_nfc"] == 1


def test_without_the_pivot_comparisons_are_null(make) -> None:
    report = row(make([("a", "r", "fr", "x", "y")]), "fr")
    assert report["same_object"] is report["same_pair_cf"] is None
    assert row(make([("a", "r", "fr", "x", "y")]), "fr", pivot="fr")["same_pair"] == 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_demo_baselines_by_enumeration(make, objects: list[int]) -> None:
    factset = make([(str(i), "r", "en", f"s{i}", f"o{o}") for i, o in enumerate(objects)])
    report = row(factset, "en")
    if len(objects) == 1:
        assert report["copy_demo"] is report["demo_leak_probability"] is None
        return
    copied, leaked = [], []
    for i, gold in enumerate(objects):
        others = objects[:i] + objects[i + 1 :]
        draws = list(combinations(others, min(3, len(others))))
        copied.append(sum(o == gold for o in others) / len(others))
        leaked.append(sum(gold in draw for draw in draws) / len(draws))
    assert report["copy_demo"] == pytest.approx(sum(copied) / len(objects))
    assert report["demo_leak_probability"] == pytest.approx(sum(leaked) / len(objects))


@given(st.lists(st.text("ab", max_size=5), max_size=12))
def test_prefix_conflicts_by_comparison(texts: list[str]) -> None:
    expected = {
        one
        for one in texts
        for other in texts
        if one != other and one and other and (one.startswith(other) or other.startswith(one))
    }
    assert in_prefix_conflict(texts) == expected


def test_shares_over_relations_are_means_over_facts(klar_with_candidates: FactSet) -> None:
    report = data_report(klar_with_candidates.facts).filter(pl.col("lang") == "ru")
    parts = report.filter(pl.col("relation") != "all")
    whole = report.filter(pl.col("relation") == "all")
    for name in (
        "majority_share",
        "copy_demo",
        "demo_leak_probability",
        "chance",
        "one_char_baseline",
    ):
        mean = (parts[name] * parts["n"]).sum() / parts["n"].sum()
        assert whole[name][0] == pytest.approx(mean)
