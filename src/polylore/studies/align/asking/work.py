"""Who does which unit: one unit of work is one checkpoint x set x language.

A batch holds the pending units of one checkpoint, so its weights are loaded once. Workers read what
is asked from the run folder and write each finished unit back into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.models import LanguageModel, load_model, swap_weights
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import RunFolder
from polylore.studies.align.asking.config import AlignAskConfig
from polylore.studies.align.asking.sheet import Sheet, sheet_of
from polylore.studies.trace.config import ExecutionConfig

Part = tuple[str, str]
"""Set and language."""


@dataclass(frozen=True)
class Batch:
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
    ask: AlignAskConfig
    execution: ExecutionConfig

    def __str__(self) -> str:
        return f"checkpoint {self.source.ckpt_id}"


def unit_name(ckpt_id: str, part: Part) -> str:
    """Name of the unit of a checkpoint, set and language."""
    return f"{ckpt_id}/{part[0]}/{part[1]}"


def plan_batches(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    parts: Sequence[Part],
    ask: AlignAskConfig,
    execution: ExecutionConfig,
    store: Store,
) -> list[Batch]:
    """Pending work in order: one batch per checkpoint.

    With several workers the last checkpoints are shared out by set and language, so that none
    idles.
    """
    work: list[tuple[dict[str, Any], tuple[Part, ...]]] = []
    for row in checkpoints.iter_rows(named=True):
        left = _pending(run, row["ckpt_id"], parts)
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


def _pending(run: RunFolder, ckpt_id: str, parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(part for part in parts if not run.is_done(unit_name(ckpt_id, part)))


def ask_batch(batch: Batch) -> int:
    """Ask one checkpoint all that is not done; returns how many units of the batch now are."""
    desk = _desk(batch.run, batch.ask)
    # A batch whose worker was lost comes again, with some of its units written.
    parts = _pending(desk.run, batch.source.ckpt_id, batch.parts)
    if parts:
        with batch.store.open(batch.source, batch.upcoming) as folder:
            batch.store.note_weights(batch.source, folder)
            lm = desk.model(str(folder), batch.execution)
            system = {"model": batch.model, "step": batch.step}
            for part in parts:
                rows = desk.sheet(part).ask(lm, system, batch.execution)
                desk.run.write_unit(unit_name(batch.source.ckpt_id, part), rows)
    return len(batch.parts)


_DESKS: dict[tuple[str, str], "Desk"] = {}


def _desk(run: str, ask: AlignAskConfig) -> "Desk":
    key = (run, ask.digest())
    if key not in _DESKS:
        _DESKS.clear()  # one run at a time: the model of the last one is not kept
        _DESKS[key] = Desk(RunFolder.load(run), ask)
    return _DESKS[key]


class Desk:
    """What is kept from one checkpoint to the next: sheets, and a model object."""

    def __init__(self, run: RunFolder, ask: AlignAskConfig) -> None:
        self.run, self.ask = run, ask
        self._questions = run.table("align_questions")
        self._prompts = run.table("align_prompts")
        self._sheets: dict[Part, Sheet] = {}
        self._model: LanguageModel | None = None
        self._config = ""
        self._loaded: tuple[tuple[str, int], ...] = ()

    def sheet(self, part: Part) -> Sheet:
        """The sheet of a set and language."""
        if part not in self._sheets:
            self._sheets[part] = sheet_of(self._questions, self._prompts, *part, self.ask)
        return self._sheets[part]

    def model(self, path: str, execution: ExecutionConfig) -> LanguageModel:
        """The model with the weights of this checkpoint; models of one run may differ in shape."""
        import torch

        torch.set_num_threads(execution.threads)
        state = tuple((str(f), f.stat().st_mtime_ns) for f in weight_files(Path(path)))
        config = (Path(path) / "config.json").read_text(encoding="utf-8")
        if self._model is None or config != self._config:
            self._model = None  # before the next one is loaded
            self._model = load_model(path, dtype=self.ask.dtype, device=execution.device)
        elif state != self._loaded:
            swap_weights(self._model, path)
        self._config, self._loaded = config, state
        return self._model
