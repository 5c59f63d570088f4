"""Tests of counting; its helpers can be imported by name."""

import importlib.util
import sys
from pathlib import Path


def _load(name: str) -> None:
    # Tests are no package; helpers are loaded by their path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for helper in ("naive_count", "exposure_worlds"):
    _load(helper)
