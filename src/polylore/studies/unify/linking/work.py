"""One unit of work is one checkpoint: states of all facts in all languages, scalars only kept."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from polylore.errors import ModelError
from polylore.facts import FactSet
from polylore.files import write_json
from polylore.metrics.unification import FRESH, link_items
from polylore.models import LanguageModel, layers_of, load_model, read_vectors, swap_weights
from polylore.models.hub import UnreachableError
from polylore.models.skeleton import random_model
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import Latest, RunFolder
from polylore.studies.trace.config import ExecutionConfig
from polylore.studies.unify.linking.config import StatesConfig
from polylore.studies.unify.linking.prompts import LinkPrompts
from polylore.studies.unify.worker import failure_of


@dataclass(frozen=True)
class Batch:
    """One checkpoint, or one freshly initialised copy of the architecture."""

    run: str
    """Run folder."""
    model: str
    """Name of the series."""
    ckpt_id: str
    """Identity of the checkpoint, or fresh:<k>."""
    step: int | None
    tokens: int | None
    source: Source
    """Its weights; of a fresh copy the folder of the architecture."""
    upcoming: Source | None
    """Checkpoint to fetch meanwhile, if it is not on this machine."""
    store: Store
    states: StatesConfig
    variant: int
    bos: bool
    execution: ExecutionConfig

    def __str__(self) -> str:
        return f"checkpoint {self.ckpt_id}"

    @property
    def unit(self) -> str:
        """Its unit in the run folder."""
        return unit_name(self.ckpt_id)


def unit_name(ckpt_id: str) -> str:
    """Name of the unit of a checkpoint."""
    return f"{ckpt_id}/states"


def read_batch(batch: Batch) -> int:
    """Read one checkpoint; one that cannot be read is noted, so that the others go on."""
    desk = _desk(batch)
    if desk.run.is_done(batch.unit):
        return 1
    try:
        with _opened(batch) as folder:
            tables = measured(desk.model(batch, folder), desk.prompts, batch)
            desk.run.write_unit(batch.unit, tables)
    except UnreachableError:
        raise  # of the network, not of this checkpoint
    except ModelError as error:
        desk.forget()
        about = {"unit": batch.unit, "why": str(error), "trace": traceback.format_exc()}
        write_json(about, failure_of(desk.run.path, batch.unit))
    return 1


@contextmanager
def _opened(batch: Batch) -> Iterator[str]:
    if batch.ckpt_id.startswith(FRESH):
        yield str(batch.source.path)
        return
    with batch.store.open(batch.source, batch.upcoming) as folder:
        batch.store.note_weights(batch.source, folder)
        yield str(folder)


_DESKS: Latest["_Desk"] = Latest()


def _desk(batch: Batch) -> "_Desk":
    return _DESKS.get((batch.run, batch.states.digest()), lambda: _Desk.of(batch))


class _Desk:
    """What is kept from one checkpoint to the next."""

    def __init__(self, run: RunFolder, prompts: LinkPrompts) -> None:
        self.run, self.prompts = run, prompts
        self._lm: LanguageModel | None = None
        self._loaded: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, batch: Batch) -> "_Desk":
        """A desk for the run of a batch."""
        run = RunFolder.load(batch.run)
        factset = FactSet("run", run.table("facts"), run.table("templates"))
        prompts = LinkPrompts(factset, batch.states, variant=batch.variant, bos=batch.bos)
        return cls(run, prompts)

    def forget(self) -> None:
        """Drop a model that may have been changed by halves."""
        self._lm, self._loaded = None, ()

    def model(self, batch: Batch, folder: str) -> LanguageModel:
        """The model with the weights of this checkpoint."""
        torch.set_num_threads(batch.execution.threads)
        dtype, device = batch.states.dtype, batch.execution.device
        if batch.ckpt_id.startswith(FRESH):
            self.forget()
            number = int(batch.ckpt_id.removeprefix(FRESH))
            return random_model(folder, dtype, device, batch.states.seed + number)
        state = _state(folder)
        if self._lm is None:
            self._lm = load_model(folder, dtype=dtype, device=device)
        elif state != self._loaded:
            swap_weights(self._lm, folder)
        self._loaded = state
        return self._lm


def _state(path: str) -> tuple[tuple[str, int], ...]:
    # With the times: a folder may be written anew between two runs of one process.
    return tuple((str(file), file.stat().st_mtime_ns) for file in weight_files(Path(path)))


def measured(lm: LanguageModel, prompts: LinkPrompts, batch: Batch) -> dict[str, pl.DataFrame]:
    """Tables LINK_ITEMS and LINK_PROMPTS of one checkpoint.

    Vectors of as many layers as fit into `vectors_gb` are in memory together; the questions are
    read once for each block of layers.
    """
    layers, facts = layers_of(lm), prompts.facts(lm)
    positions = batch.states.positions
    budget = batch.execution.scoring_budget()
    frames = []
    for block in layers.blocks(prompts.vectors, int(batch.execution.vectors_gb * 1e9)):
        shape = (len(prompts.fact_ids), len(prompts.languages), 1, len(positions))
        states = [np.full((*shape, layers.widths[k]), np.nan, dtype=np.float32) for k in block]
        for number, lang in enumerate(prompts.languages):
            placed = prompts.placed(lm, lang)
            found = read_vectors(lm, placed, layers, block, token_budget=budget)
            for whole, part in zip(states, found, strict=True):
                whole[prompts.rows[lang], number, 0] = part.transpose(0, 1).cpu().numpy()
        for layer, of_layer in zip(block, states, strict=True):
            for center in batch.states.centers:
                frames.append(
                    link_items(
                        of_layer,
                        facts,
                        model=batch.model,
                        ckpt_id=batch.ckpt_id,
                        step=batch.step,
                        tokens=batch.tokens,
                        languages=prompts.languages,
                        layers=[layer],
                        positions=positions,
                        center=center,
                        seed=batch.states.seed,
                    )
                )
    found_tables = {"unify_link_items": pl.concat(frames)}
    if not batch.ckpt_id.startswith(FRESH):
        found_tables["unify_link_prompts"] = prompts.table(lm, batch.ckpt_id)
    return found_tables
