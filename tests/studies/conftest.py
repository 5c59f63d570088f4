"""A tiny series on real facts: composed, trained for seconds, and left for all tests to ask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from polylore.corpus import compose
from polylore.corpus.config import ComposeConfig
from polylore.facts import FactSet, load_facts
from polylore.studies.trace.config import AskConfig, FactsConfig, TraceConfig
from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig
from polylore.training.loop import train

# Latin, right-to-left, and a script without spaces.
LANGUAGES = ["en", "ar", "zh"]
FACTS = FactsConfig(source="cldr", languages=LANGUAGES, limit=14)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def factset() -> FactSet:
    return load_facts("cldr", languages=LANGUAGES).common().sample(14, 0)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, factset: FactSet) -> Path:
    """A training folder with four checkpoints of a model that is too small to learn much."""
    folder = tmp_path_factory.mktemp("trained")
    compose(
        factset,
        ComposeConfig(min_dose=2, max_dose=20, held_out=0.2, mentions=0.2, min_mentions=1),
        folder / "corpus",
    )
    config = TrainConfig(
        context=128,
        batch_size=8,
        threads=1,
        precision="float32",
        attention="eager",
        compile="never",
        model=ModelConfig(hidden_size=32, layers=2, heads=2, intermediate_size=64),
        tokenizer=TokenizerConfig(vocab_size=600),
        checkpoints=ScheduleConfig(per_decade=1),
    )
    train(folder / "corpus", folder / "model", config)
    return folder / "model"


@pytest.fixture(scope="session")
def make(trained: Path) -> Callable[..., TraceConfig]:
    """A function that makes the configuration of a small trace, with changes."""

    def build(**changes: Any) -> TraceConfig:
        values: dict[str, Any] = {
            "model": str(trained / "checkpoints"),
            "exposure": str(trained),
            "facts": FACTS,
            "ask": AskConfig(variants=[0, 2], n_shot=1),
            "analyse": {"draws": 50, "sustained": 2},
        }
        return TraceConfig.parse(values | changes)

    return build
