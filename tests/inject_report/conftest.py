"""One small simulated study, analysed once for all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import simulated_study

from polylore.studies.inject.analysis_config import InjectAnalyseConfig

QUICK = InjectAnalyseConfig(resamples=60, form_resamples=5, shuffles=50)


@pytest.fixture(scope="session")
def quick():
    return QUICK


@pytest.fixture(scope="session")
def made():
    """How studies are simulated."""
    return simulated_study


@pytest.fixture(scope="module")
def study(tmp_path_factory, made):
    """Raw tables of a study of two seeds, two languages and the published arms."""
    return made.write(tmp_path_factory.mktemp("study") / "run", made.small(stagger=True)).path
