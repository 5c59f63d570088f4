"""Tests of plans; the toys can be imported by name."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polylore.facts.lexicon import Lexicon
from polylore.studies.patch.config import PatchConfig

# Tests are no package; helpers are loaded by their path.
_SPEC = importlib.util.spec_from_file_location(
    "toy_lexicons", Path(__file__).with_name("toy_lexicons.py")
)
assert _SPEC
assert _SPEC.loader
toys = importlib.util.module_from_spec(_SPEC)
sys.modules["toy_lexicons"] = toys
_SPEC.loader.exec_module(toys)


@pytest.fixture(scope="session")
def toy() -> Lexicon:
    numbers = range(toys.WORDS)
    return toys.lexicon_of(
        {(f"c{n:02d}", lang): [toys.word(n, lang)] for lang in toys.LANGS for n in numbers}
    )


@pytest.fixture(scope="session")
def tokenizer(toy: Lexicon) -> Any:
    return toys.tokenizer_of(toy)


@pytest.fixture(scope="session")
def config() -> Callable[..., PatchConfig]:
    def make(preset: str = "default", **plan: Any) -> PatchConfig:
        values = {
            "pairs": ["fr-en", "de-fr"],
            "seen": list(toys.LANGS),
            "n_pairs": 30,
            "n_shots": 3,
            "allow_small_k": True,
            **plan,
        }
        return PatchConfig.parse({"model": "toy", "preset": preset, "plan": values})

    return make
