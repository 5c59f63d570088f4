"""Who asks which unit: one unit of work is one checkpoint x world (source and target)."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylore.facts.fiction.world import World
from polylore.runs import Latest, RunFolder
from polylore.studies.align.asking.batches import Batch, Kept, Part, pending, unit_name
from polylore.studies.align.conducting.config import ConductAskConfig
from polylore.studies.align.conducting.sheet import ConductSheet

TABLES = ("fiction_facts", "fiction_rows", "fiction_tests")


def write_world_tables(run: RunFolder, worlds: Mapping[str, World]) -> None:
    """Store worlds of one source in a run folder, each table once."""
    parts = [(world.facts, world.rows, world.tests) for world in worlds.values()]
    for name, frames in zip(TABLES, zip(*parts, strict=True), strict=True):
        run.write_table(name, pl.concat(frames).unique(maintain_order=True))


def read_world(run: RunFolder, part: Part) -> World:
    """The world of a source and a target in a run folder."""
    source, target = part
    facts, rows, tests = (run.table(name) for name in TABLES)
    here = (pl.col("source") == source) & (pl.col("target") == target)
    own = facts.filter(pl.col("lang").is_in(part))
    return World(own, rows.filter(here), tests.filter(here))


def conduct_batch(batch: Batch[ConductAskConfig]) -> int:
    """Ask one checkpoint all that is not done; returns how many units of the batch now are."""
    desk = _desk(batch.run, batch.ask)
    ckpt_id = batch.source.ckpt_id
    parts = pending(desk.run, ckpt_id, batch.parts)
    if parts:
        with batch.store.open(batch.source, batch.upcoming) as folder:
            batch.store.note_weights(batch.source, folder)
            lm = desk.kept.model(str(folder), batch.ask.dtype, batch.execution)
            run = desk.columns(batch.model, batch.step)
            for part in parts:
                rows = desk.sheet(part).ask(lm, run, token_budget=batch.execution.token_budget)
                desk.run.write_unit(unit_name(ckpt_id, part), {"fiction_answers": rows})
    return len(batch.parts)


_DESKS: Latest["Desk"] = Latest()


def _desk(run: str, ask: ConductAskConfig) -> "Desk":
    return _DESKS.get((run, ask.digest()), lambda: Desk(RunFolder.load(run), ask))


class Desk:
    """What is kept from one checkpoint to the next: sheets, and a model object."""

    def __init__(self, run: RunFolder, ask: ConductAskConfig) -> None:
        self.run, self.ask = run, ask
        self.kept = Kept()
        self._sheets: dict[Part, ConductSheet] = {}

    def sheet(self, part: Part) -> ConductSheet:
        """The sheet of a source and target."""
        if part not in self._sheets:
            self._sheets[part] = ConductSheet(read_world(self.run, part), self.ask)
        return self._sheets[part]

    def columns(self, model: str, step: int | None) -> dict[str, Any]:
        """What tables call a checkpoint: a model stands for its run and its arm."""
        design = self.run.manifest["config"]["design"]
        named = {"run_id": model, "arm": model, "seed": 0}
        return named | {"step": step or 0, "design": design}
