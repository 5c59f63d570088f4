"""One thread, and a recipe of a few steps."""

import sys
from pathlib import Path

import pytest
import torch

from polylore.training.tiny.config import Recipe

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(hidden=32, batch_size=16, steps=40, warmup=5, learning_rate=5e-3)
