"""Tiny decoders of every architecture, in which a patch changes much."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from decoders import Tiny, make_tiny


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Tiny]:
    """A tiny decoder, made once for each architecture and its settings."""
    made: dict[Any, Tiny] = {}

    def make(kind: str, **changes: Any) -> Tiny:
        key = (kind, *sorted(changes.items()))
        if key not in made:
            made[key] = make_tiny(kind, **changes)
        return made[key]

    return make
