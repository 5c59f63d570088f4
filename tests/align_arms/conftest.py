"""A run so small that it takes seconds: a toy world, tiny models, a few updates."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from polylore.facts.fiction.tokens import write_part_tokenizer
from polylore.runs import RunFolder
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.material import Material, gather
from polylore.studies.align.arms.recipe import Kitchen
from polylore.studies.align.arms.study import run_arms
from polylore.studies.align.arms.tree import Node, grow

SMALL: dict[str, Any] = {
    "pivot": "qaa",
    "start": {
        "fresh": {"hidden_size": 16, "layers": 1, "heads": 2, "intermediate_size": 24,
                  "max_positions": 64},
        "updates": 4,
        "ratio": {"qaa": 0.5, "qab": 0.2, "qac": 0.2, "mul": 0.1},
    },
    "data": {
        "primer": {"subjects": 8, "relations": 1, "objects": 5, "translated": 4},
        "world": {"source": "qaa", "targets": [{"lang": "qab"}, {"lang": "qac", "overlap": 0.5}],
                  "answers": 3, "subjects": 4, "parts": 8, "train_wordings": 2, "exposures": 2},
    },
    "train": {"global_batch": 8, "packing": "single", "context": 64, "precision": "float32",
              "seeds": [0, 1]},
    "budget": {"updates": 4, "max_updates_until_gate": 20},
    "eval": {"at": ["end"], "conduct": {"form": {"between": " ", "end": ""}, "max_new_tokens": 4}},
    "score": {"draws": 50},
    "arms": [
        {"name": "cpt_B", "kind": "cpt", "lang": "qab"},
        {"name": "mix", "kind": "mix", "ratio": {"qaa": 1, "qab": 1}},
        {"name": "it_B", "kind": "itune", "lang": "qab"},
        {"name": "inj", "kind": "inject", "targets": "qab", "replay": 0.5, "updates": 4},
        {"name": "cpt_inj", "kind": "seq", "stages": ["cpt_B", "inj"]},
    ],
}  # fmt: skip


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


@dataclass
class Workshop:
    """A configuration with everything that rows are made of."""

    config: ArmsConfig
    material: Material
    kitchen: Kitchen
    nodes: dict[str, Node]


@pytest.fixture(scope="session")
def small() -> Callable[..., ArmsConfig]:
    """The small configuration, with changes."""
    return lambda **changes: ArmsConfig.parse(merged(SMALL, changes))


@pytest.fixture(scope="session")
def workshop(
    small: Callable[..., ArmsConfig], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Workshop]:
    """The same with its texts and tokenizer."""
    from polylore.training.tokenizer import open_tokenizer

    def make(**changes: Any) -> Workshop:
        config = small(**changes)
        material = gather(config)
        assert material.primer is not None
        folder = tmp_path_factory.mktemp("tokenizer")
        write_part_tokenizer(material.primer.vocabulary(), folder)
        kitchen = Kitchen(config, material, open_tokenizer(folder))
        nodes = grow(config, material.source, list(material.worlds))
        return Workshop(config, material, kitchen, {node.name: node for node in nodes})

    return make


@pytest.fixture(scope="session")
def finished(
    small: Callable[..., ArmsConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, ArmsConfig, Path]:
    """A finished run, which no test may change."""
    out = tmp_path_factory.mktemp("arms") / "run"
    config = small()
    return run_arms(config, out, report=False), config, out
