"""Intervals and forms on the published synthetic log (specification of `inject`, 9.4)."""

import pytest

from polylore.metrics.injection.crossfit import Gains, effectivity
from polylore.metrics.injection.forms import compare_forms
from polylore.metrics.injection.kernel import Mean, fit
from polylore.metrics.injection.resample import ItemDraws, limits, ones
from polylore.studies.reproduce_inject import WINDOW, _cells, _read_npz

TRUE_GAIN = {
    "paraphrase/mem": 0.3904,
    "paraphrase/gen": 0.2750,
    "paraphrase/gen_hard": 0.0836,
    "duplication/mem": 0.3794,
    "duplication/gen": 0.2490,
    "duplication/gen_hard": 0.0878,
    "once/mem": 0.3667,
    "once/gen": 0.2704,
    "once/gen_hard": 0.0879,
}


@pytest.fixture(scope="module")
def cells(published):
    return dict(_cells(_read_npz(published / "fictional_knowledge" / "probe_log.npz")))


def draws(cell, n):
    return ItemDraws.of(cell.injected.names, cell.control.names, n)


@pytest.mark.parametrize("name", TRUE_GAIN)
def test_intervals_hold_the_true_gain(cells, name):
    cell = cells[name]
    gains = Gains.of(cell, WINDOW)
    samples = effectivity(gains, draws(cell, 200).of_cell(cell)).value_D
    lo, hi = limits(samples[:, None], 1)
    assert lo[0] < TRUE_GAIN[name] < hi[0]


@pytest.mark.parametrize(
    ("name", "verdict", "ahead"),
    [
        ("paraphrase/mem", "log_linear", 150),
        ("once/mem", "log_linear", 150),
        ("paraphrase/gen_hard", "undetermined", 3),
    ],
)
def test_forms(cells, name, verdict, ahead):
    cell = cells[name]
    mean = Mean(Gains.of(cell, WINDOW), WINDOW)
    # p = 8 and r = .7 with either kernel.
    found = compare_forms(mean, fit(mean, ones(cell)), draws(cell, 40).of_cell(cell))
    assert found.verdict == verdict
    others = [score for form, score in found.aicc.items() if form != "log_linear"]
    assert min(others) - found.aicc["log_linear"] > ahead
    assert sum(found.win_share.values()) == pytest.approx(1)
    if verdict == "log_linear":
        assert found.win_share["log_linear"] == 1
