"""What all probes have in common changes no default number and no end of an interval.

Rounding must not choose between lags whose sums are equal (specification of `inject`, 2.4 rule 2
and 9.4).
"""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection import analyse_injection
from polylore.metrics.injection.crossfit import Gains, best_lags
from polylore.metrics.injection.kernel import Mean, fit_all
from polylore.metrics.injection.measured import measure
from polylore.metrics.injection.resample import ItemDraws, ones
from polylore.metrics.injection.trajectories import read_cells

STATES = 260
DENSE = [*range(14), *range(14, STATES, 4)]
COMMON = {
    "constant": np.full(STATES, 5.0),
    "large constant": np.full(STATES, -1234.567),
    "series": np.random.default_rng(3).normal(0, 0.7, STATES),
}
CASES = {
    "once": {"arms": {"once": [8]}},
    "thrice": {"arms": {"duplication": [8, 58, 108]}},
    "staggered": {"arms": {"duplication": [8, 58, 108]}, "stagger": 40, "read": DENSE},
    "staggered once": {"arms": {"once": [8]}, "stagger": 40, "read": DENSE},
    # Resamples that draw one item alone, so that no other one chooses its lag.
    "two items": {"arms": {"duplication": [8, 58, 108]}, "n": 2},
    "two items once": {"arms": {"once": [8]}, "n": 2},
    "no noise": {"arms": {"duplication": [8, 58, 108]}, "noise": 0.0, "spread": 0.0},
}


def shifted(log, common):
    series = pl.DataFrame({"t": np.arange(STATES), "_common": common})
    moved = pl.col("mean_logprob") + pl.col("_common")
    return log.join(series, on="t", how="left").with_columns(mean_logprob=moved).drop("_common")


def several_runs(world, arms, **options):
    """Two runs of the same items, read at the same states."""
    worlds = [world(arms, states=STATES, seed=s, run=f"run{s}", **options) for s in (1, 2)]
    return pl.concat([w.log() for w in worlds]), pl.concat([w.exposures() for w in worlds])


def rows(log, exposures, pool=False):
    (cell,) = read_cells(log, exposures, pool=pool)
    draws = ItemDraws.of(cell.injected.names, cell.control.names, 150)
    found = measure(cell, 30, draws, [0, 1, 10, 60])
    return {
        "effectivity": found.effect.value_D,
        "by exposure": found.effect.by_exposure_DN,
        "lag": found.effect.lag_D,
        "left": found.kept.top_DL,
        "at the peak": found.kept.bottom_DL,
        "one interval on": found.left.top_DL,
        "p": found.common.fits.p_D,
        "r": found.common.fits.r_D,
        "a": found.common.fits.a_D,
        "a by exposure": found.by_exposure.fits.a_D,
    }


def same(one, two):
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_every_resample_stays_as_it_is(world, case):
    w = world(**{"states": STATES, "n": 11, "controls": 12, "seed": 4} | CASES[case])
    log, exposures = w.log(), w.exposures()
    plain = rows(log, exposures)
    for common in COMMON.values():
        same(plain, rows(shifted(log, common), exposures))


@pytest.mark.parametrize("arms", [{"once": [8]}, {"duplication": [8, 58, 108]}])
def test_items_of_several_runs(world, arms):
    log, exposures = several_runs(world, arms, n=3, controls=4)
    plain = rows(log, exposures, pool=True)
    for common in COMMON.values():
        same(plain, rows(shifted(log, common), exposures, pool=True))


@pytest.mark.parametrize("case", ["once", "staggered"])
def test_intervals_in_the_tables(world, case):
    w = world(**{"states": STATES, "n": 11, "controls": 12, "seed": 4} | CASES[case])
    log, exposures = w.log(), w.exposures()
    options = {"resamples": 60, "form_resamples": 2, "window": 30}
    one, two = (
        analyse_injection(found, exposures, **options)
        for found in (log, shifted(log, COMMON["series"]))
    )
    for table, columns in (
        ("inject_effectivity", ("estimate", "lo", "hi")),
        ("inject_retention", ("estimate", "lo", "hi")),
        ("inject_kernels", ("p", "r", "gain_at_peak", "a", "lo", "hi")),
    ):
        pair = [found[table] for found in (one, two)]
        if "preset" in pair[0].columns:
            pair = [found.filter(preset="default") for found in pair]
        assert pair[0].height
        for column in columns:
            values = [found[column].cast(pl.Float64).to_numpy() for found in pair]
            assert np.isfinite(values[0]).any(), (table, column)
            np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-9, err_msg=f"{table} {column}")


def test_the_first_of_equal_lags_is_taken():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (40, 5, 3, 6))
    # Nobody but the first item is drawn: all sums over the others are sums of nothing.
    weights = np.zeros((40, 5))
    weights[:, 0] = 5
    assert not best_lags(values, weights)[:, 0].any()
    # The others know one reading for lags 2 and 4, their best ones.
    values[:, 1:, :, 2] = values[:, 1:, :, 4] = 4 + rng.random((40, 4, 3))
    for exposures in (1, 3):
        best = best_lags(values[:, :, :exposures], np.ones((40, 5)))
        assert (best[:, 0] == 2).all()
    # A sum that is larger by more than rounding wins.
    values[:, 1:, :, 4] += 1e-7
    assert (best_lags(values, np.ones((40, 5)))[:, 0] == 4).all()


def test_the_lowest_of_equal_rates_is_taken(world):
    """With a window of one step the rate only scales the gain."""
    (cell,) = read_cells(
        (w := world({"once": [8]}, states=60, n=11, controls=12)).log(), w.exposures()
    )
    mean = Mean(Gains.of(cell, 1), 1)
    weights = ItemDraws.of(cell.injected.names, cell.control.names, 40).of_cell(cell)
    for own in (ones(cell), weights):
        assert set(fit_all(mean, own, mean.curve(own)).r_D) == {0.3}
