"""Who does which unit: one unit of work is one checkpoint and language pair.

A batch holds units of one checkpoint. Workers read the plan from the run folder and write each
finished unit back into it; model and states stay with the worker as long as the checkpoint does.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch

from polylore.errors import ModelError
from polylore.models import LanguageModel, load_model, swap_weights
from polylore.models.hub import UnreachableError
from polylore.models.loading import DTYPES
from polylore.models.patching import Blocks, find_blocks
from polylore.models.skeleton import random_model
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import Latest, RunFolder
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.planning.settings import Pair
from polylore.studies.patch.running.config import PatchAskConfig
from polylore.studies.patch.running.questions import Marks, Sheet
from polylore.studies.patch.running.rows import Stamp
from polylore.studies.patch.running.unit import Tables, Unit, failed_unit
from polylore.studies.patch.running.vectors import Sources, States
from polylore.studies.work_config import WorkConfig

INIT = "init"
"""Identity of the randomly initialised weights."""
LOADS, STOPPED = "loads", "stopped"
"""Checks in which a unit that could not be asked is recorded."""
PLAN = "plan"
"""Folder of the plan within a run."""


@dataclass(frozen=True)
class Batch:
    """Units of one checkpoint that are still to be done."""

    run: str
    source: Source
    upcoming: Source | None
    """Checkpoint to fetch meanwhile, if it is not on this machine."""
    store: Store
    pairs: tuple[Pair, ...]
    ask: PatchAskConfig
    execution: WorkConfig

    def __str__(self) -> str:
        return f"checkpoint {self.source.ckpt_id}"


def unit_name(ckpt_id: str, pair: Pair) -> str:
    """Name of the unit of a checkpoint and a language pair."""
    return f"{ckpt_id}/{pair[0]}>{pair[1]}"


def pending_pairs(run: RunFolder, ckpt_id: str, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Units that are still to be made; a checkpoint that could not be read is tried again."""
    return tuple(
        pair
        for pair in pairs
        if not run.is_done(unit_name(ckpt_id, pair)) or LOADS in failed_checks(run, ckpt_id, [pair])
    )


def failed_checks(run: RunFolder, ckpt_id: str, pairs: Sequence[Pair]) -> list[str]:
    """Checks that finished units of a checkpoint failed."""
    units = [unit for unit in (unit_name(ckpt_id, pair) for pair in pairs) if run.has_unit(unit)]
    return run.read("patch_selfcheck", units).filter(~pl.col("passed"))["check"].to_list()


def plan_batches(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    pairs: Sequence[Pair],
    ask: PatchAskConfig,
    execution: WorkConfig,
    store: Store,
) -> list[Batch]:
    """Pending work in order.

    One worker on this machine gets unit after unit, and keeps what a checkpoint's units share.
    Several get whole checkpoints, the last ones shared out by language pair, so that none idles.
    """
    work: list[tuple[Source, tuple[Pair, ...]]] = []
    for row in checkpoints.iter_rows(named=True):
        left = pending_pairs(run, row["ckpt_id"], pairs)
        if left:
            work.append((Source.of(row), left))
    jobs = execution.jobs
    apart = work[-jobs:] if jobs > 1 else work
    shared = []
    for source, left in apart:
        piles = len(left) if jobs == 1 and source.local else jobs
        shared += [(source, left[k::piles]) for k in range(piles) if left[k:]]
    work[-len(apart) :] = shared
    folder = str(run.path.absolute())
    batches = []
    for number, (source, pending) in enumerate(work):
        later = (one for one, _ in work[number + jobs :] if one != source)
        batches.append(Batch(folder, source, next(later, None), store, pending, ask, execution))
    return batches


def ask_batch(batch: Batch) -> int:
    """Ask one checkpoint all that is not done; returns how many units of the batch now are."""
    desk = _desk(batch)
    ckpt_id = batch.source.ckpt_id
    pairs = pending_pairs(desk.run, ckpt_id, batch.pairs)
    if pairs and ckpt_id == INIT:
        desk.work(batch, pairs, str(batch.source.path))
    elif pairs:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(batch.store.open(batch.source, batch.upcoming))
                batch.store.note_weights(batch.source, folder)
            except UnreachableError:
                raise  # of the network, not of this checkpoint
            except ModelError as error:
                desk.record(ckpt_id, pairs, error)
            else:
                desk.work(batch, pairs, str(folder))
    return len(batch.pairs)


_DESKS: Latest["Desk"] = Latest()


def _desk(batch: Batch) -> "Desk":
    key = (batch.run, batch.ask.digest())
    return _DESKS.get(key, lambda: Desk(RunFolder.load(batch.run), batch.ask))


class Desk:
    """What is kept from one unit to the next: the plan, a model object, a checkpoint's states."""

    def __init__(self, run: RunFolder, ask: PatchAskConfig) -> None:
        self.run, self.ask = run, ask
        self._lm: LanguageModel | None = None
        self._loaded: tuple[Any, ...] = ()
        self._blocks: Blocks | None = None
        self._states: States | None = None
        self._sheets: dict[tuple[str, Pair], Sheet] = {}
        self._marks: dict[str, Marks] = {}

    @cached_property
    def plan(self) -> PatchPlan:
        """The plan of this run."""
        return PatchPlan.load(self.run.path / PLAN)

    @cached_property
    def sources(self) -> Sources:
        """Its source prompts."""
        return Sources(self.plan)

    def work(self, batch: Batch, pairs: Sequence[Pair], folder: str) -> None:
        """Write units one after the other; what cannot be asked is recorded and passed over."""
        ckpt_id, everyone = batch.source.ckpt_id, self.plan.settings.target_pairs
        for pair in pairs:
            failed = [c for c in failed_checks(self.run, ckpt_id, everyone) if c != LOADS]
            if failed:
                note = f"the self-check of another language pair failed ({failed[0]})"
                tables = failed_unit(ckpt_id, *pair, STOPPED, note)
            else:
                tables = self._tables(batch, pair, folder)
            self.run.write_unit(unit_name(ckpt_id, pair), tables)

    def record(self, ckpt_id: str, pairs: Sequence[Pair], error: ModelError) -> None:
        """Write down that a checkpoint cannot be read."""
        for pair in pairs:
            tables = failed_unit(ckpt_id, *pair, LOADS, str(error))
            self.run.write_unit(unit_name(ckpt_id, pair), tables)

    def _tables(self, batch: Batch, pair: Pair, folder: str) -> Tables:
        ckpt_id = batch.source.ckpt_id
        try:
            lm, blocks = self._model(batch, folder)
        except ModelError as error:
            self._lm, self._loaded = None, ()
            return failed_unit(ckpt_id, *pair, LOADS, str(error))
        if self._states is None:
            room = batch.execution.vectors_gb * 1e9
            budget = batch.execution.scoring_budget()
            self._states = States(lm, blocks, self.sources, budget, room)
        unit = Unit(
            lm,
            blocks,
            self._sheet(lm, pair),
            self._marks[lm.tokenizer_hash],
            self.ask,
            Stamp(ckpt_id, lm.dtype, self.plan.hash),
            token_budget=batch.execution.scoring_budget(),
            seed=self.plan.settings.seed,
        )
        return unit.tables(self._states)

    def _sheet(self, lm: LanguageModel, pair: Pair) -> Sheet:
        key = (lm.tokenizer_hash, pair)
        if lm.tokenizer_hash not in self._marks:
            self._marks[lm.tokenizer_hash] = Marks.of(lm.tokenizer)
        if key not in self._sheets:
            marks = self._marks[lm.tokenizer_hash]
            self._sheets[key] = Sheet(self.plan, lm.tokenizer, marks, *pair)
        return self._sheets[key]

    def _model(self, batch: Batch, folder: str) -> tuple[LanguageModel, Blocks]:
        """The model with the weights of this checkpoint.

        Raises:
            ModelError: it cannot be read, or does not belong to the plan.
        """
        torch.set_num_threads(batch.execution.threads)
        init = batch.source.ckpt_id == INIT
        state = (INIT,) if init else _state(folder)
        if self._lm is None or self._blocks is None or state != self._loaded:
            self._states = None
            self._lm = self._read(folder, batch.execution.device, init)
            self.plan.check_tokenizer(self._lm.tokenizer_hash)
            self._blocks = find_blocks(self._lm.model, self.ask.blocks)
            rows = self._lm.model.get_input_embeddings().weight.shape[0]
            self.plan.check_model(self._lm.context, rows)
            self._loaded = state
        return self._lm, self._blocks

    def _read(self, folder: str, device: str, init: bool) -> LanguageModel:
        dtype = own_dtype(folder) if self.ask.dtype == "checkpoint" else self.ask.dtype
        if init:
            return random_model(folder, dtype, device, self.ask.seed)
        if self._lm is not None and self._loaded != (INIT,) and self._lm.dtype == dtype:
            swap_weights(self._lm, folder)
            return self._lm
        self._lm = None
        return load_model(folder, dtype=dtype, device=device)


def own_dtype(folder: str) -> str:
    """Number format that a checkpoint's configuration names; float32 if none that is known."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "float32"  # loading it says what is wrong
    text = config.get("text_config") or {}
    named = [one.get(key) for one in (config, text) for key in ("dtype", "torch_dtype")]
    return next((str(name) for name in named if name in DTYPES), "float32")


def _state(path: str) -> tuple[Any, ...]:
    # With the times: a folder may be written anew between two runs of one process.
    return tuple((str(file), file.stat().st_mtime_ns) for file in weight_files(Path(path)))
