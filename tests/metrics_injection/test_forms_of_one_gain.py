"""Forms of forgetting where all exposures share one gain: the specification's own numbers (9.4)."""

import numpy as np
import polars as pl
import pytest

from polylore.metrics.injection import crossfit
from polylore.metrics.injection.forms import compare_forms
from polylore.metrics.injection.kernel import Mean, fit
from polylore.metrics.injection.measurements import item_draws
from polylore.metrics.injection.resample import ones
from polylore.metrics.injection.trajectories import read_cells

ARMS = {"paraphrase": (range(40), range(0, 1000, 100)), "once": (range(80, 120), [0])}


@pytest.fixture(scope="module")
def readings(published):
    with np.load(published / "fictional_knowledge" / "probe_log.npz") as file:
        return {name: -file[name] for name in file.files}


def compared(readings, arm, depth, n):
    """Forms of one arm and depth of the published synthetic log, on n resamples."""
    items, steps = ARMS[arm]
    y = readings[depth]
    parts = [
        pl.DataFrame({"t": np.arange(y.shape[2]), "mean_logprob": y[item, probe]}).with_columns(
            run_id=pl.lit("all"), item_id=pl.lit(f"{item:03d}"),
            probe_id=pl.lit(f"{item:03d}/{probe}"), arm=pl.lit("never" if item >= 120 else arm),
            inject_lang=pl.lit("none" if item >= 120 else "en"), probe_lang=pl.lit("en"),
            depth=pl.lit(depth),
        )
        for item in [*items, *range(120, 130)]
        for probe in range(y.shape[1])
    ]  # fmt: skip
    log = pl.concat(parts)
    exposures = pl.DataFrame(
        [{"run_id": "all", "item_id": f"{item:03d}", "exposure": k, "step": step}
         for item in items for k, step in enumerate(steps)]
    )  # fmt: skip
    (cell,) = read_cells(log, exposures, pool=True)
    mean = Mean(crossfit.Gains.of(cell, 50), 50)
    kernel = fit(mean, ones(cell))
    assert (kernel.p, kernel.r) == (8, 0.7)
    draws = item_draws(log, n).of_cell(cell)
    return compare_forms(mean, kernel, draws, common=True)


def margin(found):
    """By how much AICc favours the best form over the next one."""
    best, *others = sorted(found.aicc, key=found.aicc.__getitem__)
    return best, found.aicc[others[0]] - found.aicc[best]


@pytest.mark.parametrize("arm", ARMS)
def test_a_clear_case_is_log_linear_in_every_resample(readings, arm):
    found = compared(readings, arm, "mem", 20)
    best, by = margin(found)
    assert best == "log_linear"
    assert by > 150
    assert found.win_share["log_linear"] == 1
    assert found.verdict == "log_linear"
    assert {len(fit.gains) for fit in found.fits.values()} == {1}


def test_the_point_estimate_alone_gives_no_verdict(readings):
    found = compared(readings, "paraphrase", "gen_hard", 40)
    best, by = margin(found)
    assert best == "log_linear"
    assert by == pytest.approx(9, abs=1)
    assert found.verdict == "undetermined"
