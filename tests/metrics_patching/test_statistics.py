"""Draws, bands, onsets and tests (specification of `patch`, section 9, Statistics)."""

from collections.abc import Sequence

import numpy as np
import pytest

from polylore.metrics.patching import benjamini_hochberg, mcnemar
from polylore.metrics.patching.onsets import halves, summary
from polylore.metrics.patching.resample import ALL, Resample, band
from polylore.metrics.patching.values import Axes


def axes(
    sources: Sequence[str],
    targets: Sequence[str] | None = None,
    langs: tuple[tuple[str, str], ...] = (("en", "fr"),),
    onsets: tuple[int, ...] = (0,),
) -> Axes:
    n = len(sources)
    return Axes(
        langs_P=langs,
        pairs_I=tuple(f"p{i}" for i in range(n)),
        source_I=tuple(sources),
        target_I=tuple(targets or [f"t{i}" for i in range(n)]),
        ckpts_K=("c0",),
        onsets_J=onsets,
        n_blocks=onsets[-1] + 1,
    )


def test_mcnemar_golden_value() -> None:
    assert mcnemar(15, 5) == mcnemar(5, 15) == pytest.approx(0.04138946533203125, abs=1e-15)
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1.0
    assert mcnemar(0, 5) == 2 * 0.5**5


def test_benjamini_hochberg_skips_what_was_not_tested() -> None:
    assert benjamini_hochberg([0.01, None, 0.04, 0.03]) == [
        pytest.approx(0.03), None, pytest.approx(0.04), pytest.approx(0.04)
    ]  # fmt: skip
    assert benjamini_hochberg([None]) == [None]


def test_clustered_intervals_cover_and_row_wise_ones_do_not() -> None:
    """500 simulated sets with four correlated rows per concept; one column per set."""
    generator = np.random.default_rng(5)
    concepts, sets = 60, 500
    shared = generator.normal(size=(concepts, 1, sets))
    values = (shared + generator.normal(size=(concepts, 4, sets))).reshape(1, -1, sets)
    sample = Resample.of(axes([f"s{i}" for i in range(concepts) for _ in range(4)]), n=1000, seed=1)
    ((_, _, found),) = sample.estimates(values)
    covered = ((found.lo_G <= 0) & (found.hi_G >= 0)).mean()
    row_wise = (np.abs(found.mean_G) <= found.half_G).mean()
    assert 0.92 <= covered <= 0.98
    assert row_wise < covered - 0.08


def test_two_way_draws_cover_where_targets_are_used_again() -> None:
    generator = np.random.default_rng(6)
    n, sets = 30, 300
    sources = [f"s{i}" for i in range(n) for _ in range(4)]
    targets = [f"t{(i + 7 * j) % n}" for i in range(n) for j in range(4)]
    by_s, by_t = generator.normal(size=(2, n, sets))
    places = [int(t[1:]) for t in targets]
    noise = generator.normal(size=(4 * n, sets))
    values = (np.repeat(by_s, 4, axis=0) + by_t[places] + noise)[None]
    ((_, _, two),) = Resample.of(axes(sources, targets), n=600, seed=1).estimates(values)
    ((_, _, one),) = Resample.of(axes(sources), n=600, seed=1).estimates(values)
    covers = [((e.lo_G <= 0) & (e.hi_G >= 0)).mean() for e in (one, two)]
    assert covers[0] < 0.9 < 0.92 <= covers[1]


def test_pools_draw_language_pairs_too() -> None:
    generator = np.random.default_rng(7)
    langs = (("en", "de"), ("en", "fr"), ("es", "fr"), ("it", "fr"), ("de", "es"), ("fr", "it"))
    sources = [f"s{i}" for i in range(50)]
    by_pair = generator.normal(size=(len(langs), 1, 1))
    values = by_pair + generator.normal(size=(len(langs), 50, 1)) * 0.1
    sample = Resample.of(axes(sources, langs=langs), n=500, seed=2)
    found = {(a, b): e for a, b, e in sample.estimates(values)}
    assert set(found) == {*langs, (ALL, ALL), (ALL, "fr")}
    whole, into = found[ALL, ALL], found[ALL, "fr"]
    assert whole.mean_G[0] == pytest.approx(values.mean())
    assert into.mean_G[0] == pytest.approx(values[1:4].mean())
    assert whole.n_G[0] == 300
    # What differs between language pairs dominates, and only the pools know it.
    widths = {k: float(e.hi_G[0] - e.lo_G[0]) for k, e in found.items()}
    assert widths[ALL, ALL] > 5 * widths["en", "fr"]


def test_missing_items_leave_numerator_and_denominator() -> None:
    values = np.array([[[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]]])
    ((_, _, found),) = Resample.of(axes(["a", "b", "c"]), n=200, seed=0).estimates(values)
    assert found.mean_G[0] == 2.0
    assert found.n_G.tolist() == [2, 0]
    assert np.isnan(found.mean_G[1])
    assert 1.0 <= found.lo_G[0] <= found.hi_G[0] <= 3.0


def test_equal_seeds_give_equal_bytes() -> None:
    own = axes([f"s{i}" for i in range(9)])
    values = np.random.default_rng(0).normal(size=(1, 9, 4))
    runs = [next(iter(Resample.of(own, n=100, seed=3).estimates(values)))[2] for _ in range(2)]
    assert runs[0].draws_DG.tobytes() == runs[1].draws_DG.tobytes()
    other = next(iter(Resample.of(own, n=100, seed=4).estimates(values)))[2]
    assert other.draws_DG.tobytes() != runs[0].draws_DG.tobytes()


def test_simultaneous_bands_contain_pointwise_intervals_and_cover_the_grid() -> None:
    generator = np.random.default_rng(8)
    grids, columns, n = 150, 24, 60
    sample = Resample.of(axes([f"s{i}" for i in range(n)]), n=500, seed=1)
    inside = pointwise = 0
    for _ in range(grids):
        ((_, _, e),) = sample.estimates(generator.normal(size=(1, n, columns)))
        lo, hi = band(e, slice(0, columns))
        assert (lo <= e.lo_G).all()
        assert (hi >= e.hi_G).all()
        inside += bool(((lo <= 0) & (hi >= 0)).all())
        pointwise += bool(((e.lo_G <= 0) & (e.hi_G >= 0)).all())
    assert inside / grids >= 0.88
    assert pointwise / grids < 0.6


def test_a_band_of_constant_columns_is_a_line() -> None:
    values = np.full((1, 5, 3), 0.25)
    ((_, _, e),) = Resample.of(axes(list("abcde")), n=50, seed=0).estimates(values)
    lo, hi = band(e, slice(0, 3))
    assert lo.tolist() == hi.tolist() == pytest.approx([0.25] * 3)


def test_best_onset_in_sample_is_optimistic_and_cross_fitted_is_not() -> None:
    generator = np.random.default_rng(9)
    onsets = tuple(range(24))
    own = axes([f"s{i}" for i in range(40)], onsets=onsets)
    half = halves(own, 0)
    assert half.sum() == 20
    best: dict[str, list[float]] = {"best_insample": [], "best_crossfit": []}
    for _ in range(300):
        noise = generator.normal(size=(1, 40, 1, 24))
        for how, means in best.items():
            means.append(float(np.nanmean(summary(noise, own, half, how))))
    assert min(best["best_insample"]) > 0
    cross = np.array(best["best_crossfit"])
    assert abs(cross.mean()) < 3 * cross.std() / np.sqrt(len(cross))


def test_cross_fitting_finds_a_real_best_onset_for_every_item() -> None:
    own = axes([f"s{i}" for i in range(10)], onsets=(-1, 0, 1, 2, 3))
    values = np.zeros((1, 10, 1, 5))
    values[..., 2] = 1.0
    values[..., 4] = np.nan
    half = halves(own, 0)
    assert summary(values, own, half, "best_crossfit").tolist() == np.ones((1, 10, 1)).tolist()
    # L = 4: the first half are the onsets 0 and 1; -1 is none of them.
    assert summary(values, own, half, "mean_first_half").tolist() == [[[0.5]] * 10]


def test_items_of_one_concept_are_in_one_half() -> None:
    own = axes([f"s{i % 7}" for i in range(28)])
    half = halves(own, 3)
    for concept in set(own.source_I):
        assert len({bool(h) for h, s in zip(half, own.source_I, strict=True) if s == concept}) == 1
