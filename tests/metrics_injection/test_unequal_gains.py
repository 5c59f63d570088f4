"""Gains that differ between exposures are no forgetting, and decide for no form of it."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from polylore.metrics.injection import analyse_injection
from polylore.metrics.injection.crossfit import Gains
from polylore.metrics.injection.forms import compare_forms
from polylore.metrics.injection.kernel import RATES, Mean, ramp, since_peak
from polylore.metrics.injection.kernel_by_exposure import fit_by_exposure, kernel_by_exposure
from polylore.metrics.injection.measured import NO_GAIN, NOT_IDENTIFIED, measure
from polylore.metrics.injection.measurements import item_draws
from polylore.metrics.injection.resample import ones
from polylore.metrics.injection.rows_default import kernel_rows
from polylore.metrics.injection.trajectories import read_cells

SIX = [8 + 40 * k for k in range(6)]
FALL = (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)
GEOMETRIC = tuple(3 * 0.7**k for k in range(6))


def cell_of(w):
    (cell,) = read_cells(w.log(), w.exposures())
    return cell


def noisy(world, seed, **options):
    """Step noise that all probes share, and noise of their own that lasts."""
    common = np.random.default_rng((9, seed)).normal(0, 0.2, 360)
    every = {"n": 16, "states": 360, "noise": 0.1, "rho": 0.6, "common": common, "seed": seed,
             "read": [*range(9), *range(10, 360, 2)]}  # fmt: skip
    return world({"duplication": SIX}, **every | options)


@pytest.mark.parametrize(("stagger", "n"), [(0, 4), (20, 4), (40, 20)])
def test_all_parameters_are_least_squares_together(world, stagger, n):
    w = world({"duplication": [8, 40, 72]}, n=n, noise=0.3, states=130, stagger=stagger, fall=FALL)
    cell = cell_of(w)
    mean = Mean(Gains.of(cell, 8), 8)
    weights = ones(cell)
    y = mean.curve(weights)
    shares = mean.shares(weights)[0]
    best = (np.inf, 0, 0.0, 0.0)
    for p in mean.rises:
        for r in RATES:
            shape, log_u = ramp(mean.lags_SNT, p, r), np.log10(since_peak(mean.lags_SNT, p))

            def error(a, shape=shape, log_u=log_u):
                x = np.tensordot(shares, shape * (1 - a * log_u), axes=1)
                return float(((y[0] - np.linalg.lstsq(x.T, y[0])[0] @ x) ** 2).sum())

            grid = np.linspace(-1, 2, 31)
            near = grid[np.argmin([error(a) for a in grid])]
            ends = (max(-1, near - 0.1), min(2, near + 0.1))
            found = minimize_scalar(error, bounds=ends, method="bounded", options={"xatol": 1e-9})
            if found.fun < best[0] * (1 - 1e-9):
                best = (found.fun, p, r, found.x)
    fits = fit_by_exposure(mean, weights, y)
    kernel = kernel_by_exposure(mean, weights, fits)
    assert (kernel.p, kernel.r) == best[1:3]
    assert kernel.a == pytest.approx(best[3], abs=1e-6)
    assert kernel.sse == pytest.approx(best[0], rel=1e-9)
    assert kernel.sse == pytest.approx(fits.sse_D[0], rel=1e-6)
    assert kernel.g == pytest.approx(fits.gains_DN[0].mean())


def test_one_exposure_has_one_kernel(world):
    cell = cell_of(world({"once": [8]}, states=120))
    found = measure(cell, 30, None, [0])
    assert found.by_exposure.kernel == found.common.kernel
    assert found.by_exposure.gains_RN[0] == pytest.approx([found.common.kernel.g])


@pytest.mark.parametrize(("fall", "wrong"), [((), 0.0), (FALL, 0.1), (GEOMETRIC, 0.15)])
def test_falling_gains_are_no_forgetting(world, fall, wrong):
    """The kernel with one gain is off by `wrong` at least where nothing is forgotten at all."""
    own, common, held = [], [], 0
    for seed in range(8):
        w = noisy(world, seed, a={("en", "en"): 0.0}, fall=fall)
        found = measure(cell_of(w), 40, item_draws(w.log(), 100, seed), [0])
        assert found.kernel_reason is None
        a_R = found.decay_R
        own.append(a_R[0])
        common.append(found.common.fits.a_D[0])
        lo, hi = np.quantile(a_R[1:], [0.025, 0.975])
        held += lo <= 0 <= hi
    assert abs(np.mean(own)) < 0.03
    assert held >= 6
    assert np.mean(common) >= wrong - 0.02


def test_gains_are_found(world):
    w = noisy(world, 3, fall=FALL, noise=0.03)
    out = analyse_injection(w.log(), w.exposures(), resamples=40, form_resamples=None, window=40)
    gains = out["inject_kernel_gains"].filter(gains="by_exposure")["gain"].to_numpy()
    assert gains / gains[1:].mean() == pytest.approx(FALL, abs=0.2)
    own, common = (out["inject_kernels"].filter(gains=g).row(0, named=True)
                   for g in ("by_exposure", "common"))  # fmt: skip
    assert own["a"] == pytest.approx(0.2, abs=0.02)
    assert own["above"] == pytest.approx(own["a"] - common["a"])
    assert own["above"] == pytest.approx(-common["above"])
    assert own["above_hi"] < 0
    assert abs(own["residual_ac1"]) < abs(common["residual_ac1"])


def test_nothing_learned_and_nothing_told(world):
    silent = noisy(world, 0, gain={("en", "en"): 0.0})
    found = measure(cell_of(silent), 40, item_draws(silent.log(), 60), [0])
    assert found.kernel_reason == NO_GAIN
    rows, _, _ = kernel_rows(found.cell, found, None, None)
    assert [(row["a"], row["half_life"], row["reason"]) for row in rows] == [
        (None, None, NO_GAIN)
    ] * 2
    # Readings that end with the last rise say nothing of what comes after it.
    short = noisy(world, 0, gain={("en", "en"): 1.0}, read=[*range(9), *range(10, 20, 2)],
                  noise=0.5)  # fmt: skip
    short.arms = {"duplication": [8, 9]}
    found = measure(cell_of(short), 40, item_draws(short.log(), 60), [0])
    assert found.kernel_reason == NOT_IDENTIFIED
    assert np.isnan(found.decay_R).all()
    out = analyse_injection(short.log(), short.exposures(), resamples=60, form_resamples=None)
    row = out["inject_kernels"].filter(gains="by_exposure").row(0, named=True)
    assert (row["a"], row["lo"], row["above"], row["reason"]) == (None, None, None, NOT_IDENTIFIED)
    assert out["inject_kernels"].filter(gains="common")["a"].null_count() == 0


FORMS = {
    "log_linear": (None, {"log_linear", "undetermined"}),
    "power": (lambda u: u**-0.25, {"power", "power_floor", "undetermined"}),
}


@pytest.mark.parametrize("fall", [FALL, GEOMETRIC])
@pytest.mark.parametrize("form", FORMS)
def test_falling_gains_speak_for_no_form(world, form, fall):
    function, fine = FORMS[form]
    w = noisy(world, 1, form=function, fall=fall, noise=0.03)
    cell = cell_of(w)
    mean = Mean(Gains.of(cell, 40), 40)
    kernel = kernel_by_exposure(
        mean, ones(cell), fit_by_exposure(mean, ones(cell), mean.curve(ones(cell)))
    )
    found = compare_forms(mean, kernel, item_draws(w.log(), 40).of_cell(cell))
    assert found.verdict in fine
    best = min(found.aicc, key=found.aicc.get)
    assert best in fine
    gains = np.array(found.fits[form].gains)
    assert gains / gains[-1] == pytest.approx(np.array(fall) / fall[-1], rel=0.2)


def test_items_that_saw_less_take_part(world):
    """An item with fewer exposures has no last one; the others' last gain is what is fitted."""
    w = world({"duplication": [8, 48, 88]}, n=12, states=200, fall=(2.0, 1.0, 1.0))
    seen = w.exposures().filter(~((pl.col("exposure") == 2) & pl.col("item_id").str.ends_with("1")))
    log = w.log()
    (cell,) = read_cells(log, seen)
    assert (cell.injected.times_JN[:, 2] < 0).sum() == 2
    assert measure(cell, 40, item_draws(log, 40), [0]).by_exposure.gains_RN.shape == (41, 3)
