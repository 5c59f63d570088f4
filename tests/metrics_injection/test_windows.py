"""The window of an exposure ends at the next one of its item, and that cuts no other window."""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection import crossfit, published
from polylore.metrics.injection.analysis import analyse_injection
from polylore.metrics.injection.resample import ones
from polylore.metrics.injection.trajectories import read_cells

EVEN = [8, 48, 88, 128, 168, 208]
SHORT = [8, 48, 88, 89, 129, 169]
GAIN = 0.4 * (1 - 0.7**8)


def cells(w):
    return list(read_cells(w.log(), w.exposures()))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([[5], [9]], [[50], [50]]),
        ([[0, 100, 200]], [[50, 50, 50]]),
        # Where all gaps are equal the last exposure is searched as far as the others.
        ([[0, 40, 80], [3, 43, 83]], [[40, 40, 40]] * 2),
        ([[0, 1, 41], [3, 43, 83]], [[1, 40, 40], [40, 40, 40]]),
        ([[0, 100], [3, 23]], [[50, 50], [20, 50]]),
        ([[0, -1], [3, 43]], [[40, 40], [40, 40]]),
    ],
)
def test_each_exposure_has_a_window_of_its_own(times, expected):
    assert published.windows(np.array(times), 50).tolist() == expected


def test_a_short_gap_of_one_item_leaves_the_others_as_they_are(world):
    """Twelve items; without the one whose third gap is 1 all gaps are equal."""
    (cell,) = cells(world({"x": EVEN}, own={0: SHORT}, states=350, noise=0.05))
    whole = published.find_peaks(cell, cell.injected, 50)
    others = cell.injected.some(np.arange(cell.injected.n) > 0)
    alone = published.find_peaks(cell, others, 50)
    odd_Q = cell.injected.item_Q == 0
    np.testing.assert_array_equal(whole.at_QN[~odd_Q], alone.at_QN)
    np.testing.assert_array_equal(whole.gain_QN[~odd_Q], alone.gain_QN)
    assert set(whole.at_QN[odd_Q, 2]) == {89}
    assert (whole.at_QN[odd_Q, 3] > 90).all()


def test_published_maxima_against_a_plain_loop(world):
    own = {0: [8, 11, 60, 64, 150, 157], 1: SHORT}
    (cell,) = cells(world({"x": EVEN}, own=own, states=350, noise=0.2, n=5))
    found = published.find_peaks(cell, cell.injected, 50)
    for q, y in enumerate(cell.injected.y_QT):
        times = cell.injected.times_JN[cell.injected.item_Q[q]].tolist()
        for i, t in enumerate(times):
            # Of all gaps of the cell the longest is beyond 50.
            end = times[i + 1] if i + 1 < len(times) else t + 50
            states = range(t + 1, min(t + 50, end) + 1)
            assert found.at_QN[q, i] == max(states, key=lambda s: (y[s], -s))


def test_a_cut_exposure_counts_with_the_last_lag_of_its_window(world):
    (cell,) = cells(world({"x": EVEN}, own={0: [8, 11, 60, 100, 150, 200]}, states=350))
    gains = crossfit.Gains.of(cell, 50)
    corrected = gains.corrected(ones(cell))
    first = gains.by_lag(corrected)[0, 0, 0]
    rises = corrected[0, 0, [9, 10, 11]] - corrected[0, 0, 8]
    np.testing.assert_allclose(first[:3], rises)
    np.testing.assert_allclose(first[3:], rises[2])
    # The others' best lag lies behind that window, and is that of the rise all the same.
    best = crossfit.best_lags(gains.by_lag(corrected), np.ones((1, cell.injected.n)))[0]
    assert gains.lags_H[best[1:]].min() >= 7
    assert crossfit.effectivity(gains, ones(cell)).lag_D[0] > 7


def estimates(w):
    out = analyse_injection(
        w.log(), w.exposures(), resamples=0, form_resamples=None, presets=("default", "paper")
    )
    effects = out["inject_effectivity"].filter(pl.col("exposure").is_null())
    kernels = out["inject_kernels"].rows_by_key("gains", named=True, unique=True)
    return dict(effects.select("preset", "estimate").iter_rows()), kernels


def test_gain_and_kernel_are_found_in_spite_of_one_short_gap(world):
    """With a window of one step for all the gain was .09, the rise one step."""
    common = {"states": 350, "noise": 0.03, "spread": 0.0}
    plain, _ = estimates(world({"x": EVEN}, **common))
    effects, kernels = estimates(world({"x": EVEN}, own={0: SHORT}, **common))
    assert effects["default"] == pytest.approx(plain["default"], abs=0.012)
    assert effects["paper"] == pytest.approx(plain["paper"], abs=0.012)
    for kernel in kernels.values():
        assert (kernel["p"], kernel["r"]) == (8, 0.7)
        assert kernel["gain_at_peak"] == pytest.approx(GAIN, abs=0.01)
        assert kernel["a"] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("timing", ["random", "poisson", "expanding"])
def test_kernel_where_gaps_are_drawn_or_grow(world, timing):
    """The rise of 8 steps outlasts the shortest gaps: exposures add up."""
    rng = np.random.default_rng(5)
    own = {}
    for item in range(12):
        if timing == "random":
            gaps = np.diff([0, *np.sort(rng.choice(np.arange(1, 160), 5, replace=False))])
        elif timing == "poisson":
            gaps = np.maximum(1, np.round(rng.exponential(32, 5)))
        else:
            gaps = np.array([2, 6, 18, 54, 70])
        own[item] = [int(8 + t) for t in np.concatenate([[0], np.cumsum(gaps)])]
    shortest = min(int(np.diff(times).min()) for times in own.values())
    assert shortest <= 2
    w = world({"x": EVEN}, own=own, states=460, noise=0.03, spread=0.0)
    effects, kernels = estimates(w)
    for kernel in kernels.values():
        assert (kernel["p"], kernel["r"]) == (8, 0.7)
        assert kernel["gain_at_peak"] == pytest.approx(GAIN, abs=0.015)
        assert kernel["a"] == pytest.approx(0.2, abs=0.015)
    # Exposures that the next one follows within the rise are read too low, no others.
    assert 0.6 * GAIN < effects["default"] < GAIN


def test_all_arms_of_a_plan_share_one_horizon(world):
    """Gaps of 40, of 20 and none: the decay line ends at the same lag."""
    w = world({"duplication": [8, 48, 88], "once": [8], "x": [48, 68, 88]}, states=200, n=4)
    lasts = {cell.key["arm"]: (published.horizon(cell, 50), max(cell.tails)) for cell in cells(w)}
    assert lasts == dict.fromkeys(("duplication", "once", "x"), (199 - 88 - 50, 199 - 88))
    decay = analyse_injection(
        w.log(), w.exposures(), resamples=0, form_resamples=None, presets=("paper",)
    )["inject_decay"]
    assert decay["horizon"].to_list() == [61] * 3
    assert decay["a"].null_count() == 0
