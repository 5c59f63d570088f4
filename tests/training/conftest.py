"""A small real corpus and a tiny model, trained once for all tests that only look."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from polylore.corpus import ComposeConfig, Composed, compose
from polylore.facts import FactSet, load
from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig
from polylore.training.loop import train


@pytest.fixture(scope="session")
def factset() -> FactSet:
    return load("cldr", languages=["en", "ar", "hi", "ja", "ko", "zh"]).common().sample(24, seed=1)


@pytest.fixture(scope="session")
def corpus(factset: FactSet, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    plan = ComposeConfig(min_dose=2, max_dose=8, held_out=0.2, mentions=0.2, min_mentions=1)
    return compose(factset, plan, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    return TrainConfig(
        context=80,
        batch_size=4,
        precision="bfloat16",
        attention="eager",
        compile="never",
        threads=1,
        log_every=3,
        state_every=11,
        tokenizer=TokenizerConfig(vocab_size=900),
        model=ModelConfig(
            hidden_size=32, layers=2, heads=2, intermediate_size=48, max_positions=96
        ),
        checkpoints=ScheduleConfig(per_decade=2, every=20),
    )


@pytest.fixture(scope="session")
def trained(
    corpus: Composed, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished training run that was never interrupted."""
    return train(corpus.folder, tmp_path_factory.mktemp("run") / "whole", config)
