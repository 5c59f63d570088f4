"""Putting every probe before every checkpoint; the only part of the study that needs a model.

One unit of work is one checkpoint in one language, or its similarities in all languages. A batch
holds the pending units of one checkpoint, so its weights are loaded once. Workers read what they
need from the run folder and write each finished unit back into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from polylore.facts import FactSet
from polylore.models import Generation, LanguageModel, load_model, swap_weights
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import Latest, RunFolder
from polylore.studies.trace.apart import write_apart
from polylore.studies.trace.config import AskConfig, ExecutionConfig
from polylore.studies.trace.sheet import Sheets
from polylore.studies.trace.similarity import PART, Measure, Sentences, measure_similarity


@dataclass(frozen=True)
class Batch:
    """The pending units of one checkpoint."""

    run: str
    """Run folder."""
    ckpt_id: str
    source: Source
    """Where its weights come from."""
    upcoming: Source | None
    """Checkpoint to fetch meanwhile, if it is not on this machine."""
    store: Store
    parts: tuple[str, ...]
    """Languages to ask in, and `similarity`."""
    ask: AskConfig
    measure: Measure | None
    """How similarity is measured, if it is."""
    execution: ExecutionConfig

    def __str__(self) -> str:
        return f"checkpoint {self.ckpt_id}"


def unit_name(ckpt_id: str, part: str) -> str:
    """Name of the unit of work of one checkpoint and language, or of its similarities."""
    return f"{ckpt_id}/{part}"


def ask_batch(batch: Batch) -> int:
    """Ask one checkpoint all that is not done; returns how many units of the batch now are."""
    desk = _desk(batch.run, batch.ask)
    # A batch whose worker was lost comes again, with some of its units written.
    parts = pending_parts(desk.run, batch.ckpt_id, batch.parts)
    if not parts:
        return len(batch.parts)
    with batch.store.open(batch.source, batch.upcoming) as folder:
        batch.store.note_weights(batch.source, folder)
        model = desk.model(str(folder), batch.execution)
        langs = [part for part in parts if part != PART]
        if langs:
            desk.put(model, batch.ckpt_id, langs, batch.execution, str(folder))
        if PART in parts and batch.measure is not None:
            desk.compare(model, batch.ckpt_id, batch.measure, batch.execution)
    return len(batch.parts)


_DESKS: Latest["Desk"] = Latest()


def _desk(run: str, ask: AskConfig) -> "Desk":
    return _DESKS.get((run, ask.digest()), lambda: Desk(RunFolder.load(run), ask))


class Desk:
    """What is kept from one checkpoint to the next: a sheet per language, and a model object.

    Every unit of work is written here, whether its model came from a folder or is in training.
    """

    def __init__(self, run: RunFolder, ask: AskConfig) -> None:
        self.run, self.ask = run, ask
        self._model: LanguageModel | None = None
        self._loaded: tuple[tuple[str, int], ...] = ()
        self._sentences: Sentences | None = None

    @cached_property
    def factset(self) -> FactSet:
        """The facts of this run."""
        return FactSet("run", self.run.table("facts"), self.run.table("templates"))

    @cached_property
    def sheets(self) -> Sheets:
        """The sheets of this run."""
        run = self.run
        asked = run.table("asked") if run.has_table("asked") else None
        return Sheets(self.factset, run.table("prompts"), asked, self.ask)

    def model(self, path: str, execution: ExecutionConfig) -> LanguageModel:
        """The model with the weights of this checkpoint."""
        import torch

        torch.set_num_threads(execution.threads)
        if self._model is None:
            self._model = load_model(path, dtype=self.ask.dtype, device=execution.device)
        elif _state(path) != self._loaded:
            swap_weights(self._model, path)
        self._loaded = _state(path)
        return self._model

    def put(
        self,
        lm: LanguageModel,
        ckpt_id: str,
        langs: Sequence[str],
        execution: ExecutionConfig,
        folder: str = "",
    ) -> None:
        """Put every probe of some languages before a model, and write each unit as it comes."""
        sheets = {lang: self.sheets.sheet(lang, ckpt_id) for lang in langs}
        written: dict[str, list[Generation]] = {}
        if self.ask.generate and self.ask.backend == "vllm":
            tokens = {lang: sheet.tokenised(lm) for lang, sheet in sheets.items()}
            written = write_apart(lm, folder, tokens, self.ask, execution)
        for lang, sheet in sheets.items():
            tables = sheet.ask(lm, ckpt_id, execution, written.get(lang))
            self.run.write_unit(unit_name(ckpt_id, lang), tables)

    def compare(
        self, lm: LanguageModel, ckpt_id: str, measure: Measure, execution: ExecutionConfig
    ) -> None:
        """Compare a model's representations of all facts with those in the pivot."""
        if self._sentences is None or self._sentences.measure != measure:
            self._sentences = Sentences(self.factset, measure)
        tables = measure_similarity(lm, ckpt_id, self._sentences, execution)
        self.run.write_unit(unit_name(ckpt_id, PART), tables)


def _state(path: str) -> tuple[tuple[str, int], ...]:
    # With the times: a folder may be written anew between two runs of one process.
    return tuple((str(file), file.stat().st_mtime_ns) for file in weight_files(Path(path)))


def plan_batches(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    langs: Sequence[str],
    ask: AskConfig,
    execution: ExecutionConfig,
    store: Store,
    measure: Measure | None = None,
) -> list[Batch]:
    """Pending work: one batch per checkpoint that has unfinished units.

    The last checkpoints, one per worker, are shared out by language, so that no worker idles while
    another finishes. On this machine that is language by language; what must be fetched for each
    batch, or started for it as vLLM is, is asked as much as possible at once.
    """
    work = []
    for row in checkpoints.iter_rows(named=True):
        left = pending_parts(run, row["ckpt_id"], parts_of(row, langs, measure))
        if left:
            work.append((Source.of(row), left))
    jobs = execution.jobs
    shared = []
    for source, left in work[-jobs:]:
        together = not source.local or (ask.generate and ask.backend == "vllm")
        piles = jobs if together else len(left)
        shared += [(source, left[k::piles]) for k in range(piles) if left[k:]]
    work[-jobs:] = shared
    batches = []
    folder = str(run.path.absolute())
    for number, (source, pending) in enumerate(work):
        # The next `jobs - 1` batches are in other workers' hands when this one starts.
        ahead = number + execution.jobs
        upcoming = work[ahead][0] if ahead < len(work) else None
        batches.append(
            Batch(folder, source.ckpt_id, source, upcoming, store, pending, ask, measure, execution)
        )
    return batches


def parts_of(
    checkpoint: Mapping[str, Any], langs: Sequence[str], measure: Measure | None
) -> tuple[str, ...]:
    """The units of a checkpoint; weights that belong to another one are not compared again."""
    if measure is None or checkpoint["suspect"]:
        return tuple(langs)
    return (*langs, PART)


def pending_parts(run: RunFolder, ckpt_id: str, parts: Sequence[str]) -> tuple[str, ...]:
    """Units of a checkpoint that are still to be made."""
    return tuple(part for part in parts if not run.is_done(unit_name(ckpt_id, part)))
