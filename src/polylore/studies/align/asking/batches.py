"""Pending work, one batch per checkpoint, and the model that a worker keeps between batches.

A batch holds the pending units of one checkpoint, so its weights are loaded once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from polylore.models import LanguageModel, load_model, swap_weights
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import RunFolder
from polylore.studies.align.asking.config import AlignAskConfig
from polylore.studies.align.conducting.config import ConductAskConfig
from polylore.studies.work_config import WorkConfig

Ask = TypeVar("Ask", AlignAskConfig, ConductAskConfig)
Part = tuple[str, str]
"""Set and language, or source and target of a world."""


@dataclass(frozen=True)
class Batch(Generic[Ask]):
    """Units of one checkpoint that are still to be done."""

    run: str
    source: Source
    upcoming: Source | None
    """Checkpoint to fetch meanwhile, if it is not on this machine."""
    store: Store
    model: str
    """Name of the model in tables."""
    step: int | None
    parts: tuple[Part, ...]
    ask: Ask
    execution: WorkConfig

    def __str__(self) -> str:
        return f"checkpoint {self.source.ckpt_id}"


def unit_name(ckpt_id: str, part: Part) -> str:
    """Name of the unit of a checkpoint, set and language."""
    return f"{ckpt_id}/{part[0]}/{part[1]}"


def plan_batches(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    parts: Sequence[Part],
    ask: Ask,
    execution: WorkConfig,
    store: Store,
) -> list[Batch[Ask]]:
    """Pending work in order: one batch per checkpoint.

    With several workers the last checkpoints are shared out by set and language, so that none
    idles.
    """
    work: list[tuple[dict[str, Any], tuple[Part, ...]]] = []
    for row in checkpoints.iter_rows(named=True):
        left = pending(run, row["ckpt_id"], parts)
        if left:
            work.append((row, left))
    jobs = execution.jobs
    if jobs > 1:
        shared = [
            (row, left[k::jobs]) for row, left in work[-jobs:] for k in range(jobs) if left[k:]
        ]
        work[-jobs:] = shared
    folder = str(run.path.absolute())
    batches = []
    for number, (row, left) in enumerate(work):
        ahead = work[number + jobs][0] if number + jobs < len(work) else None
        batches.append(
            Batch(
                run=folder,
                source=Source.of(row),
                upcoming=None if ahead is None else Source.of(ahead),
                store=store,
                model=row["model"],
                step=row["step"],
                parts=left,
                ask=ask,
                execution=execution,
            )
        )
    return batches


def pending(run: RunFolder, ckpt_id: str, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts of a checkpoint that are still to be asked."""
    return tuple(part for part in parts if not run.is_done(unit_name(ckpt_id, part)))


class Kept:
    """The model of the last checkpoint; the next one of the same shape only swaps its weights."""

    def __init__(self) -> None:
        self._model: LanguageModel | None = None
        self._config = ""
        self._loaded: tuple[tuple[str, int], ...] = ()

    def model(self, path: str, dtype: str, execution: WorkConfig) -> LanguageModel:
        """The model with the weights of this checkpoint; models of one run may differ in shape."""
        import torch

        torch.set_num_threads(execution.threads)
        state = tuple((str(f), f.stat().st_mtime_ns) for f in weight_files(Path(path)))
        config = (Path(path) / "config.json").read_text(encoding="utf-8")
        if self._model is None or config != self._config:
            self._model = None  # before the next one is loaded
            self._model = load_model(path, dtype=dtype, device=execution.device)
        elif state != self._loaded:
            swap_weights(self._model, path)
        self._config, self._loaded = config, state
        return self._model
