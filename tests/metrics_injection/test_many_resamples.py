"""What is computed for all resamples together is what a loop over them gives."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import least_squares

from polylore.metrics.injection import crossfit, published
from polylore.metrics.injection.forms import FORMS, compare_forms
from polylore.metrics.injection.kernel import Mean, fit, fit_all, kernel_of, ramp, since_peak
from polylore.metrics.injection.kernel_by_exposure import fit_by_exposure
from polylore.metrics.injection.measured import measure
from polylore.metrics.injection.measurements import Measurements, item_draws
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.resample import Weights, ones, with_data
from polylore.metrics.injection.trajectories import read_cells


def cell_of(w):
    (cell,) = read_cells(w.log(), w.exposures())
    return cell


def one_by_one(weights):
    for row in range(weights.n):
        yield Weights(weights.injected_DJ[row : row + 1], weights.control_DK[row : row + 1])


@pytest.mark.parametrize("stagger", [0, 24])
def test_every_resample_alone_gives_the_same(world, stagger):
    w = world({"duplication": [8, 48, 88]}, n=11, states=160, stagger=stagger, noise=0.1)
    cell = cell_of(w)
    draws = item_draws(w.log(), 7)
    found = measure(cell, 40, draws, [0, 10, 30])
    for row, weights in enumerate(one_by_one(with_data(cell, draws))):
        effect = crossfit.effectivity(found.gains, weights)
        assert found.effect.value_D[row] == pytest.approx(effect.value_D[0], abs=1e-12)
        kept = crossfit.retention(found.gains, weights, found.lags_L)
        np.testing.assert_allclose(found.kept.share_DL[row], kept.share_DL[0], atol=1e-12)
        for fitted, of in ((found.common, fit_all), (found.by_exposure, fit_by_exposure)):
            fits = of(found.mean, weights, found.mean.curve(weights))
            assert fitted.fits.a_D[row] == pytest.approx(fits.a_D[0], abs=1e-6)
            assert (fitted.fits.p_D[row], fitted.fits.r_D[row]) == (fits.p_D[0], fits.r_D[0])


def test_cross_fitting_against_its_definition(world):
    w = world({"duplication": [8, 48]}, n=5, states=120, noise=0.2)
    gains = crossfit.Gains.of(cell_of(w), 30)
    d_JNH = gains.by_lag(gains.corrected(ones(gains.cell)))[0]
    values = []
    for j in range(5):
        for i in range(2):
            others = d_JNH[np.arange(5) != j][:, np.arange(2) != i].sum(axis=(0, 1))
            values.append(d_JNH[j, i, others.argmax()])
    effect = crossfit.effectivity(gains, ones(gains.cell))
    assert effect.value_D[0] == pytest.approx(np.mean(values))
    by_item = np.reshape(values, (5, 2)).mean(axis=1)
    np.testing.assert_allclose(crossfit.effects_by_item(gains, ones(gains.cell)), by_item)


def test_items_drawn_twice_count_twice(world):
    w = world({"once": [8]}, n=6, states=80, noise=0.0)
    cell = cell_of(w)
    gains = crossfit.Gains.of(cell, 30)
    single = crossfit.effects_by_item(gains, ones(cell))
    weights = Weights(np.array([[2.0, 1, 0, 0, 0, 0]]), np.ones((1, cell.control.n)))
    expected = (2 * single[0] + single[1]) / 3
    assert crossfit.effectivity(gains, weights).value_D[0] == pytest.approx(expected)


def test_a_reading_before_an_exposure_need_not_be_at_it(world):
    """Every third state: the latest reading counts, and no item is lost."""
    dense = world({"duplication": [9, 49, 89]}, n=12, noise=0.0, stagger=5)
    sparse = world({"duplication": [9, 49, 89]}, n=12, noise=0.0, stagger=5,
                   read=list(range(0, 400, 3)))  # fmt: skip
    found = [measure(cell_of(w), 30, None, [0, 20]) for w in (dense, sparse)]
    assert found[1].effect.n_values == 36
    assert found[1].effect.value_D[0] == pytest.approx(found[0].effect.value_D[0], rel=0.05)
    assert found[1].kept.weight_DL[0].min() >= 6
    assert set(found[1].lags_L) <= set(range(25))


def test_trimmed_means_of_resamples_against_repeating_values():
    rng = np.random.default_rng(1)
    values = np.append(rng.normal(size=30), [9.0, -7.0])
    weights = rng.integers(0, 4, size=(40, 32)).astype(float)
    found = published.drawn_means(values, weights, 1.5)
    for row, w in enumerate(weights):
        repeated = np.repeat(values, w.astype(int))
        assert found[row] == pytest.approx(published.trimmed_mean(repeated, 1.5)[0])


def test_the_grid_is_least_squares(world):
    w = world({"duplication": [8, 48, 88]}, n=4, noise=0.1, states=200, stagger=20)
    cell = cell_of(w)
    mean = Mean(crossfit.Gains.of(cell, 40), 40)
    kernel = fit(mean, ones(cell))
    y = mean.curve(ones(cell))[0]
    best = np.inf
    for p in mean.rises:
        for r in (0.3, 0.5, 0.7, 0.8, 0.9):
            shape = ramp(mean.lags_SNT, p, r)
            x = np.stack([shape, -shape * np.log10(since_peak(mean.lags_SNT, p))]).sum(axis=2)
            x = np.tensordot(mean.shares(ones(cell))[0], x, axes=(0, 1)).T
            _, residual, _, _ = np.linalg.lstsq(x, y, rcond=None)
            best = min(best, float(residual[0]))
    assert kernel.sse == pytest.approx(best, rel=1e-9)
    assert kernel_of(mean, ones(cell), fit_all(mean, ones(cell), mean.curve(ones(cell)))) == kernel


@pytest.mark.parametrize("form", ["power", "stretched", "two_exponentials"])
def test_forms_are_fitted_as_well_as_by_scipy(world, form):
    w = world({"duplication": [8, 108]}, n=8, noise=0.05, states=300)
    cell = cell_of(w)
    mean = Mean(crossfit.Gains.of(cell, 50), 50)
    kernel = fit(mean, ones(cell))
    found = compare_forms(mean, kernel, None).fits[form]
    assert len(found.gains) == 2
    u = since_peak(mean.lags_SNT[0], kernel.p)
    rise = ramp(mean.lags_SNT[0], kernel.p, kernel.r)
    y = mean.curve(ones(cell))[0]
    shape = FORMS[form]

    def residual(v):
        x = rise * shape.function(u, v)
        return y - np.linalg.lstsq(x.T, y)[0] @ x

    best = min(
        float(2 * least_squares(residual, start, bounds=(shape.lower, shape.upper)).cost)
        for start in np.clip(
            shape.starts, np.add(shape.lower, 1e-6), np.subtract(shape.upper, 1e-6)
        )
    )
    assert found.sse <= best * (1 + 1e-3)
    assert found.sse == pytest.approx(float((residual(np.array(found.params)) ** 2).sum()))


def number(rows, runs, items=20):
    return Number(np.array([float(np.mean(rows)), *rows]), np.array(runs), items)


def test_verdicts_need_the_interval_and_every_seed():
    above, below = np.linspace(0.1, 0.9, 50), np.linspace(-0.9, -0.1, 50)
    assert number(above, [1.0, 2.0]).verdict == SHOWN
    assert number(above, [1.0, -0.1]).verdict == UNDETERMINED
    assert number(above, [1.0, np.nan]).verdict == UNDETERMINED
    assert number(below, [-1.0]).verdict == CONTRADICTED
    assert number(above - 0.5, [1.0]).verdict == UNDETERMINED
    few = number(above, [1.0], items=9)
    assert (few.verdict, few.limits, few.reason) == (UNDETERMINED, (None, None), "few_items")
    assert (number(above, [1.0]) - number(above, [1.0])).value == pytest.approx(0)
    margin = number(np.full(50, 0.5), [1.0])
    assert number(above - 0.5, [0.0]).within(margin) == SHOWN
    assert number(above + 1, [1.0]).within(margin) == CONTRADICTED
    assert number(above, [1.0]).within(margin) == UNDETERMINED


def test_measurements_share_their_draws(world):
    worlds = [world({"once": [8]}, seed=seed, run=f"run{seed}", n=12, states=90) for seed in (1, 2)]
    log = pl.concat([w.log() for w in worlds])
    exposures = pl.concat([w.exposures() for w in worlds])
    draws = item_draws(log, 30)
    pooled = Measurements.of(log, exposures, window=30, draws=draws, pool=True)
    (measured,) = pooled.measured.values()
    alone = Measurements.of(log, exposures, window=30, draws=draws).measured.values()
    means = np.mean([m.effect.value_D[0] for m in alone])
    assert measured.effect.value_D[0] == pytest.approx(means, abs=0.02)
    assert measured.rows == 31
