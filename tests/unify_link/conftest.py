"""A world's tiny model with all its checkpoints, its facts exported, and a trace of it."""

import json
from pathlib import Path

import polars as pl
import pytest
import torch

from polylore.facts import FactSet
from polylore.facts.worlds import load_world, to_factset
from polylore.runs import RunFolder
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace
from polylore.studies.unify.config import SweepConfig
from polylore.studies.unify.study import run_sweep

CONFIG = {
    "base": {
        "preset": "smoke",
        "world.entities": 40,
        "world.relations": 3,
        "world.never_seen": 4,
        "world.p": 0.25,
        "recipe.steps": 5,
        "recipe.batch_size": 32,
    },
    "seeds": 1,
    "measure": {
        "items": 256, "fresh": 1, "edits": 2, "patches": 2, "states": 2, "codelength": False,
        "checkpoints": "all",
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of `unify train` with all its checkpoints."""
    return run_sweep(SweepConfig.parse(CONFIG), tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="session")
def series(trained: RunFolder) -> Path:
    """Its checkpoints."""
    (folder,) = (trained.path / "checkpoints").iterdir()
    return folder


@pytest.fixture(scope="session")
def world_folder(trained: RunFolder) -> Path:
    (folder,) = (trained.path / "worlds").iterdir()
    return folder


@pytest.fixture(scope="session")
def factset(world_folder: Path) -> FactSet:
    return to_factset(load_world(world_folder))


@pytest.fixture(scope="session")
def held_out(factset: FactSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export of the facts that are held out in one language."""
    ids = factset.facts.filter(pl.col("flags").list.contains("mono_unseen"))["fact_id"]
    folder = tmp_path_factory.mktemp("facts") / "held_out"
    factset.filter(fact_ids=ids.unique().to_list()).export(folder)
    return folder


@pytest.fixture(scope="session")
def answers(series: Path, factset: FactSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up table of answers: four of five right in the first language, half in the others."""
    rows = []
    for ckpt in sorted(p.name for p in series.iterdir()):
        for n, row in enumerate(factset.facts.iter_rows(named=True)):
            first = row["lang"] == factset.languages[0]
            right = n % 5 != 0 if first else (n * 7 + len(ckpt)) % 2 == 0
            said = row["object"] if right else "nothing"
            rows.append(
                {"ckpt_id": ckpt, "fact_id": row["fact_id"], "lang": row["lang"],
                 "raw_text": said, "judge": right}
            )  # fmt: skip
    path = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def traced(series: Path, factset: FactSet, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A trace of two checkpoints."""
    folder = tmp_path_factory.mktemp("traced")
    factset.export(folder / "facts")
    first, last = (sorted(p.name for p in series.iterdir())[n] for n in (0, -1))
    config = TraceConfig.parse(
        {
            "model": str(series),
            "series": {"schedule": [first, last]},
            "facts": {"source": str(folder / "facts")},
            "ask": {"n_shot": 0, "content_free": False},
            "analyse": {"draws": 0, "pivot": factset.languages[0]},
        }
    )
    return trace(config, folder / "run", report=False)
