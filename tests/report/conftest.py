"""Shared fixtures: a made-up run and its report."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from polylore.report import Report, render
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.pages import build_report


def _load(name: str) -> ModuleType:
    # Tests are no package; the generator is loaded by its path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The generator of made-up runs."""
    return _load("synthetic")


@pytest.fixture(scope="session")
def small(synthetic: ModuleType) -> Callable[..., object]:
    """A small run's specification; keyword arguments change it."""

    def make(**changes: object) -> object:
        values = {
            "languages": ("en", "fr", "ar", "zh"),
            "facts": 12,
            "relations": ("capital_of", "currency"),
            "steps": (0, 10, 100, 1000),
        }
        return synthetic.Spec(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def evil_run(synthetic: ModuleType, small, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose facts try to break out of the page."""
    return synthetic.write_run(tmp_path_factory.mktemp("run") / "evil", small(evil=True))


@pytest.fixture(scope="session")
def evil_report(evil_run: RunFolder) -> Report:
    """Its report."""
    return build_report(evil_run, AnalyseConfig(seen_variants=[0, 1]))


@pytest.fixture(scope="session")
def evil_page(evil_report: Report) -> str:
    """Its page."""
    return render(evil_report)
