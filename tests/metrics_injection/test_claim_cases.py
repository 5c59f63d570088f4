"""Claims say no more than their numbers do."""

import pytest

from polylore.metrics.injection import claim_cases as cases
from polylore.metrics.injection.controls import control_rows
from polylore.metrics.injection.evidence import Evidence
from polylore.metrics.injection.number import SHOWN, UNDETERMINED
from polylore.metrics.injection.readout import Readout
from polylore.studies.inject.analyse import _false, _single

SIX = [8 + 40 * k for k in range(6)]


def sparse(states):
    return [*range(9), *range(10, states, 2)]


@pytest.mark.parametrize("seed", [1, 3])
def test_controls_at_the_times_of_one_exposure_are_halved(world, seed):
    """E_cf of all of them is below zero by itself, and would contradict the claim."""
    w = world({"duplication": SIX, "once": [8]}, n=16, states=360, noise=0.1, rho=0.6,
              read=sparse(360), seed=seed)  # fmt: skip
    readout = Readout.of(w.log(), w.exposures(), window=40, resamples=200, kernels=False)
    assert _single(readout) == {"once"}
    false = _false(control_rows(readout.pooled), {"once"})
    rows = list(cases.false_gains(Evidence(readout, false=false)))
    many, one = sorted(rows, key=lambda row: "once" in row["case"])
    assert (many["verdict"], many["reason"]) == (SHOWN, None)
    assert one["case"].endswith("at the times of once, one half against the other")
    assert one["verdict"] == UNDETERMINED
    assert one["reason"] == "interval_crosses_the_margin"
    assert _false(control_rows(readout.pooled), set()).keys() != false.keys()
