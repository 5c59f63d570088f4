"""Draws and intervals."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylore import metrics
from polylore.errors import DataError
from polylore.metrics.bootstrap import index_of


@pytest.fixture(scope="module")
def facts():
    ids = [f"a{i}" for i in range(6)] + [f"b{i}" for i in range(10)]
    return pl.DataFrame({"fact_id": ids, "relation": [i[0] for i in ids]})


def test_draws_are_stratified_and_reproducible(facts):
    draws = metrics.cluster_draws(facts, n=50, seed=3)
    sizes = {name: draws.weights_DF[:, rows].sum(axis=1) for name, rows in draws.index.slices()}
    assert set(sizes["a"]) == {6}
    assert set(sizes["b"]) == {10}
    again = metrics.cluster_draws(facts.sample(fraction=1, shuffle=True, seed=1), n=50, seed=3)
    assert (again.weights_DF == draws.weights_DF).all()
    assert (metrics.cluster_draws(facts, n=50, seed=4).weights_DF != draws.weights_DF).any()


def test_integer_identities_sort_as_numbers():
    facts = pl.DataFrame({"fact_id": ["10", "9", "100"], "relation": ["r"] * 3})
    assert metrics.FactIndex.of(facts).fact_ids == ("9", "10", "100")


def test_ambiguous_and_foreign_facts_are_refused(facts):
    twice = pl.concat([facts, pl.DataFrame({"fact_id": ["a0"], "relation": ["b"]})])
    with pytest.raises(DataError, match="a0"):
        metrics.FactIndex.of(twice)
    with pytest.raises(DataError, match="lack"):
        index_of(pl.DataFrame({"fact_id": ["z"], "relation": ["a"]}), metrics.cluster_draws(facts))


def test_interval_equals_numpy_percentiles(rng):
    values = rng.normal(size=(101, 4))
    values[:30, 1] = np.nan
    values[:, 2] = np.nan
    lo, hi = metrics.interval(values)
    assert lo[0] == pytest.approx(np.percentile(values[:, 0], 2.5))
    assert hi[0] == pytest.approx(np.percentile(values[:, 0], 97.5))
    assert lo[1] == pytest.approx(np.percentile(values[30:, 1], 2.5))
    assert hi[1] == pytest.approx(np.percentile(values[30:, 1], 97.5))
    assert np.isnan(lo[2])
    assert hi[3] > lo[3]


def test_means_and_differences_equal_a_loop(facts, rng):
    draws = metrics.cluster_draws(facts, n=80, seed=5)
    first = rng.integers(0, 2, size=(16, 3)).astype(float)
    second = rng.integers(0, 2, size=(16, 3)).astype(float)
    first[2, 0] = second[5, 1] = np.nan
    naive = np.array(
        [
            [_mean(w, first[:, c]) - _mean(w, second[:, c]) for c in range(3)]
            for w in draws.weights_DF
        ]
    )
    estimate, lo, hi = metrics.difference_interval(draws, first, second)
    assert estimate == pytest.approx(np.nanmean(first, axis=0) - np.nanmean(second, axis=0))
    assert lo == pytest.approx(np.percentile(naive, 2.5, axis=0), abs=1e-6)
    assert hi == pytest.approx(np.percentile(naive, 97.5, axis=0), abs=1e-6)
    lo, _ = metrics.mean_interval(draws, first)
    means = np.array([[_mean(w, first[:, c]) for c in range(3)] for w in draws.weights_DF])
    assert lo == pytest.approx(np.percentile(means, 2.5, axis=0), abs=1e-6)


def _mean(weights, values):
    picked = np.repeat(values, weights.astype(int))
    return np.nanmean(picked)


@given(st.integers(0, 10_000))
def test_a_constant_has_no_spread(facts, seed):
    draws = metrics.cluster_draws(facts, n=20, seed=seed)
    lo, hi = metrics.mean_interval(draws, np.full((16, 1), 0.25))
    assert (lo[0], hi[0]) == (0.25, 0.25)


def test_intervals_cover_the_truth_about_as_often_as_promised(rng):
    facts = pl.DataFrame({"fact_id": [str(i) for i in range(60)], "relation": ["r"] * 60})
    draws = metrics.cluster_draws(facts, n=400, seed=0)
    lo, hi = metrics.mean_interval(draws, (rng.random((60, 400)) < 0.4).astype(float))
    covered = ((lo <= 0.4) & (hi >= 0.4)).mean()
    assert 0.90 < covered < 0.98
