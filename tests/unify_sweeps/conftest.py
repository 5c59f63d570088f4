"""A sweep small enough for tests: four runs of four steps, each of which is measured."""

from pathlib import Path

import pytest

from polylore.runs import RunFolder
from polylore.studies.unify.config import SweepConfig
from polylore.studies.unify.study import run_sweep

TINY = {
    "base": {
        "preset": "smoke",
        "world.entities": 24,
        "world.relations": 2,
        "world.never_seen": 4,
        "recipe.steps": 4,
        "recipe.batch_size": 32,
    },
    "arms": [
        {"name": "apart", "set": {"world.p": 0}},
        {"name": "parallel", "set": {"world.p": 0.5}, "baseline": "apart"},
    ],
    "seeds": 2,
    "measure": {"items": 32, "fresh": 1, "edits": 4, "patches": 4, "states": 4},
}


@pytest.fixture(scope="session")
def tiny() -> SweepConfig:
    """Two conditions, two seeds."""
    return SweepConfig.parse(TINY)


@pytest.fixture(scope="session")
def finished(tiny: SweepConfig, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The sweep, run to its end."""
    out: Path = tmp_path_factory.mktemp("unify") / "run"
    return run_sweep(tiny, out)
