"""The benchmark compares like with like."""

import pytest

from polylore.studies import bench_score
from polylore.studies.bench_score import make_workload


def test_the_workload_is_what_it_says() -> None:
    for question in make_workload(16, seed=1):
        assert 68 <= len(question.prompt.split()) <= 80
        assert len(set(question.candidates)) == 10
        assert all(1 <= len(c.split()) <= 4 for c in question.candidates)


def test_all_ways_agree_and_ratios_are_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_score.SIZES, "tiny", (64, 2))
    found = bench_score.bench_score("tiny", questions=3, rounds=2)
    assert found["ways"][0]["ratio"] == 1
    assert all(way["largest_difference"] <= 1e-5 for way in found["ways"])
    assert all(way["ratio_lowest"] <= way["ratio"] <= way["ratio_highest"] for way in found["ways"])
