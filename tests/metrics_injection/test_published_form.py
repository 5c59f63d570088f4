"""The published form against a plain loop, and its known misreadings."""

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.injection import published
from polylore.metrics.injection.analysis import analyse_injection
from polylore.metrics.injection.trajectories import read_cells


def plain(y_QT, times, window, factor):
    """The formulas of section 2.2, one probe at a time."""

    def trimmed(values):
        q1, q3 = np.percentile(values, [25, 75])
        keep = [v for v in values if q1 - factor * (q3 - q1) <= v <= q3 + factor * (q3 - q1)]
        return sum(keep) / len(keep)

    gains, curves = [], []
    last = y_QT.shape[1] - 1 - (times[-1] + window)
    for y in y_QT:
        for t in times:
            top = max(range(t + 1, t + window + 1), key=lambda s: (y[s], -s))
            gains.append(y[top] - y[t])
        whole = y[top] - y[times[0]]
        curves.append([(y[top + k] - y[times[0]]) / whole for k in range(last + 1)])
    mean = np.array([trimmed([c[k] for c in curves]) for k in range(last + 1)])
    slope, intercept = np.polyfit(np.log10(np.arange(1, last + 1)), mean[1:], 1)
    return trimmed(gains), mean, -slope, -intercept / slope


def test_against_a_plain_loop(world):
    times = [0, 60, 120]
    w = world({"duplication": times}, n=5, states=260, noise=0.1)
    (cell,) = read_cells(w.log(), w.exposures())
    peaks = published.find_peaks(cell, cell.injected, 50)
    kept = published.retained(cell, cell.injected, peaks, published.horizon(cell, 50))
    for factor in (1.5, 2.0):
        e, curve, a, x = plain(cell.injected.y_QT, times, 50, factor)
        found = published.mean_curve(kept.share_QL, factor)
        line = published.semilog(found)
        assert published.trimmed_mean(peaks.gain_QN.ravel(), factor)[0] == pytest.approx(e)
        np.testing.assert_allclose(found, curve, rtol=1e-12)
        assert (line.a, line.x_intercept_log10) == pytest.approx((a, x))


def test_a_line_that_does_not_fall_has_no_zero(world):
    rising = published.semilog(1 + 0.1 * np.log10(np.maximum(np.arange(100), 1)))
    assert rising.a == pytest.approx(-0.1)
    assert np.isnan(rising.x_intercept_log10)
    assert np.isnan(published.semilog(np.ones(100)).x_intercept_log10)
    # What is gained keeps growing, so nothing says when it is gone.
    w = world({"once": [5]}, n=10, states=200, a={("en", "en"): -0.2})
    decay = analyse_injection(
        w.log(), w.exposures(), resamples=0, presets=("paper",), tokens_per_step=2048
    )["inject_decay"].row(0, named=True)
    assert decay["a"] < -0.05
    (cell,) = read_cells(w.log(), w.exposures())
    peaks = published.find_peaks(cell, cell.injected, 50)
    kept = published.retained(cell, cell.injected, peaks, published.horizon(cell, 50))
    line = published.semilog(published.mean_curve(kept.share_QL, 1.5))
    assert (decay["a"], decay["intercept"]) == pytest.approx((line.a, line.intercept))
    assert decay["x_intercept_log10"] is None
    assert decay["x_intercept_tokens_log10"] is None
    assert (decay["half_life"], decay["censored"]) == (None, True)


@pytest.mark.parametrize(
    ("curve", "a", "intercept", "r2"),
    [
        (lambda t: np.exp(-t / 1000), 0.434288, 3.981391, 0.852085),
        (lambda t: np.maximum(t, 1) ** -0.15, 0.161582, 5.159098, 0.979283),
        (lambda t: 1 - 0.2 * np.log10(np.maximum(t, 1)), 0.2, 5.0, 1.0),
    ],
)
def test_the_line_on_exact_curves(curve, a, intercept, r2):
    line = published.semilog(curve(np.arange(1231)))
    assert line.a == pytest.approx(a, abs=1e-6)
    assert line.x_intercept_log10 == pytest.approx(intercept, abs=1e-6)
    assert line.r2 == pytest.approx(r2, abs=1e-6)


def test_ties_bounds_and_zero_denominators(world):
    assert published.kept(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 8.0]), 2.0).all()
    assert published.trimmed_mean(np.array([0.0, 1, 2, 3, 4, 100]), 1.5) == (2.0, 1)
    curve = published.mean_curve(np.array([[np.nan, np.nan], [1.0, 0.5], [1.0, -0.5]]), 2.0)
    np.testing.assert_allclose(curve, [1.0, 0.0])
    assert published.window_of(0.9) == 50
    assert published.window_of(0.0) == 1
    w = world({"once": [0]}, n=1, states=80, noise=0.0, gain={("en", "en"): 0.0})
    (cell,) = read_cells(w.log(), w.exposures())
    assert published.find_peaks(cell, cell.injected, 50).at_QN.tolist() == [[1]] * 3


def test_noise_alone_looks_like_learning(world):
    w = world({"once": [5]}, n=40, states=120, noise=0.1, gain={("en", "en"): 0.0})
    out = analyse_injection(w.log(), w.exposures(), resamples=0, presets=("paper", "default"))
    rows = (
        out["inject_effectivity"]
        .filter(pl.col("exposure").is_null())
        .rows_by_key("preset", named=True, unique=True)
    )
    assert rows["paper"]["estimate"] == pytest.approx(2.2491 * 0.1, rel=0.15)
    assert abs(rows["default"]["estimate"]) < 0.03
    assert rows["paper"]["control_estimate"] == pytest.approx(rows["paper"]["estimate"], rel=0.2)


def test_gaps_are_refused_or_read_over(world):
    even = list(range(0, 260, 2))
    w = world({"duplication": [0, 60, 120]}, states=260, read=even)
    log, exposures = w.log(), w.exposures()
    (cell,) = read_cells(log, exposures)
    with pytest.raises(DataError, match=r"lacks 129 of them \(1, 3, 5"):
        published.check_complete(cell)
    out = analyse_injection(log, exposures, resamples=0)
    table = out["inject_effectivity"]
    assert table.filter(preset="paper")["reason"].to_list() == ["missing_states"]
    assert table.filter(pl.col("exposure").is_null(), preset="default")["estimate"][0] > 0.3
    out = analyse_injection(log, exposures, resamples=0, paper_on_gaps=True)
    paper = out["inject_effectivity"].filter(preset="paper")
    assert paper["estimate"].min() > 0.3
    assert paper["reason"].unique().to_list() == ["maximum_over_read_states"]
    decay = out["inject_decay"]
    assert decay["reason"].unique().to_list() == ["missing_states"]
    assert decay["n_missing"].unique().to_list() == [129]
    assert decay["missing"][0].to_list() == list(range(1, 20, 2))
    # Asked for the published form alone, there is nothing to give but the list.
    with pytest.raises(DataError, match=r"lacks 129 of them \(1, 3, 5"):
        analyse_injection(log, exposures, resamples=0, presets=("paper",))


def test_a_complete_log_has_no_remark(world):
    w = world({"duplication": [0, 60]}, n=10, states=200)
    out = analyse_injection(w.log(), w.exposures(), resamples=0, paper_on_gaps=True)
    assert out["inject_effectivity"].filter(preset="paper")["reason"].null_count() == 3
    row = out["inject_decay"].row(0, named=True)
    assert (row["n_missing"], row["missing"], row["reason"]) == (0, [], None)
