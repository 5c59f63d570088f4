"""One unit of work: a model trained on a world and measured on the way, or several of one shape.

Every evaluation is written when it is made, then the state to resume from. So a killed run goes on
at its newest complete evaluation; when it ends, its parts become one unit of the run folder.
"""

import shutil
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from polylore.config import digest
from polylore.facts.worlds import World, make_world, save_world, write_tokenizer
from polylore.facts.worlds.folder import MANIFEST
from polylore.files import atomic_path, read_parquet, write_json, write_parquet
from polylore.runs import RunFolder
from polylore.studies.unify.causal import edit_rows, patch_rows
from polylore.studies.unify.config import MeasureConfig, RunConfig
from polylore.studies.unify.meter import Frames, Meter
from polylore.studies.unify.pulled import alignment_of
from polylore.studies.unify.rows import run_row
from polylore.studies.unify.summary import summaries
from polylore.tables import unify as tables
from polylore.training.checkpoint import step_name
from polylore.training.tiny.config import evaluation_steps
from polylore.training.tiny.loop import Ending, Evaluation, Job, train
from polylore.training.tiny.stack import TinyModel


@dataclass(frozen=True)
class Task:
    """One run."""

    unit: str
    """Its unit in the run folder."""
    condition: str
    family: str
    seed: int
    run_hash: str
    config: RunConfig

    def made_world(self) -> World:
        """Its world, checked for leaks."""
        return make_world(self.config.world)


@dataclass(frozen=True)
class Batch:
    """Runs that a process trains as one computation."""

    run: str
    """Run folder."""
    sweep: str
    tasks: tuple[Task, ...]
    measure: MeasureConfig
    device: str

    def __str__(self) -> str:
        return ", ".join(task.unit for task in self.tasks)


def failure_of(run: Path, unit: str) -> Path:
    """Where it is noted why a run failed."""
    return run / "failed" / f"{digest(unit)[:16]}.json"


def unfinished(run: Path, unit: str) -> Path:
    """Where the parts of a run lie until it ends."""
    return run / "unfinished" / digest(unit)[:16]


def work(batch: Batch) -> int:
    """Train and measure what is not done yet; returns how many runs are over.

    A run that fails is noted in the folder `failed`, so that the others go on; when it was trained
    together with others, each of them is tried once more by itself.
    """
    folder = RunFolder.load(batch.run)
    due = [task for task in batch.tasks if not folder.is_done(task.unit)]
    try:
        if due:
            _Runs(folder, batch, due).go()
    except Exception as error:  # whatever it is, it must not end a sweep of thousands of runs
        if len(due) > 1:
            for task in due:
                work(replace(batch, tasks=(task,)))
        else:
            about = {
                "unit": due[0].unit,
                "why": str(error) or type(error).__name__,
                "trace": traceback.format_exc(),
                "sweep": batch.sweep,
                "device": batch.device,
            }
            write_json(about, failure_of(folder.path, due[0].unit))
    return len(batch.tasks)


class _Runs:
    """Runs of one batch on their way."""

    def __init__(self, folder: RunFolder, batch: Batch, tasks: list[Task]) -> None:
        self.folder, self.batch, self.tasks = folder, batch, tasks
        self.began = time.monotonic()
        self.worlds = [task.made_world() for task in tasks]
        self.meters = [
            Meter(world, task.run_hash, batch.measure)
            for task, world in zip(tasks, self.worlds, strict=True)
        ]
        self.recipe = tasks[0].config.recipe
        self.last = evaluation_steps(self.recipe)[-1]
        self.models: dict[int, TinyModel] = {}

    def go(self) -> None:
        """Train all of them and write their units."""
        jobs = [
            Job(
                stream=world.stream(self.recipe.batch_size),
                seed=world.config.seed_of("init"),
                resume=self._unfinished(task) / "state",
                alignment=alignment_of(task.config, world),
            )
            for task, world in zip(self.tasks, self.worlds, strict=True)
        ]
        endings = train(
            self.recipe,
            jobs,
            vocabulary=len(self.worlds[0].words),
            value_len=self.worlds[0].value_len,
            on_evaluation=self._evaluate,
            device=self.batch.device,
        )
        for number, ending in enumerate(endings):
            self._finish(number, ending)

    def _unfinished(self, task: Task) -> Path:
        return unfinished(self.folder.path, task.unit)

    def _evaluate(self, now: Evaluation) -> None:
        task, meter = self.tasks[now.job], self.meters[now.job]
        first, last = now.step == 0, now.step == self.last
        found = meter(now.model, now.step, now.tokens, first=first, last=last)
        if first:
            found = _stacked([found, *self._fresh(now, meter)])
        if last:
            found |= self._causal(now, task)
        _write(found, self._unfinished(task) / "evaluations" / step_name(now.step))
        keep = self.batch.measure.checkpoints
        if keep == "all" or (keep == "last" and last):
            self._save(now, task)

    def _fresh(self, now: Evaluation, meter: Meter) -> list[Frames]:
        """Scores of other initialisations, beside that of step 0."""
        seeds = [self.worlds[now.job].config.seed_of("init") + k for k in self._fresh_numbers]
        models = [TinyModel.fresh(now.model.sizes, s, self.batch.device) for s in seeds]
        return [
            meter.scores(model, 0, meter.samples[:2], last=False, init=number)
            for number, model in zip(self._fresh_numbers, models, strict=True)
        ]

    @property
    def _fresh_numbers(self) -> range:
        return range(1, self.batch.measure.fresh + 1)

    def _causal(self, now: Evaluation, task: Task) -> Frames:
        world, wanted = self.worlds[now.job], self.batch.measure
        found: Frames = {}
        if wanted.edits:
            found["unify_edits"] = edit_rows(
                now.model, world, task.run_hash, now.step, wanted.edits
            )
        if wanted.patches:
            found["unify_patches"] = patch_rows(
                now.model, world, task.run_hash, now.step, wanted.patches
            )
        return found

    def _save(self, now: Evaluation, task: Task) -> None:
        """An ordinary checkpoint folder, tokenizer included."""
        world = self.worlds[now.job]
        target = self.folder.path / "checkpoints" / task.run_hash[:16] / step_name(now.step)
        with atomic_path(target) as temporary:
            now.model.transformers().save_pretrained(temporary)
            write_tokenizer(world.words, temporary)
            about = {
                "run_hash": task.run_hash,
                "world_hash": world.world_hash,
                "step": now.step,
                "tokens": now.tokens,
            }
            write_json(about, temporary / "polylore.json")

    def _finish(self, number: int, ending: Ending) -> None:
        task, world = self.tasks[number], self.worlds[number]
        raw = _gathered(self._unfinished(task) / "evaluations")
        parts = raw | summaries(world, raw)
        course = parts["unify_course"]
        last = int(course["step"].max())  # type: ignore[arg-type]
        stream = world.stream(self.recipe.batch_size)
        made = stream.exposure([last]).with_columns(run_hash=pl.lit(task.run_hash))
        parts["unify_exposure"] = tables.EXPOSURE.validate(made)
        status, error = _ended(ending, course["acc_train"].tail(1).item())
        parts["unify_runs"] = run_row(
            task.config,
            world,
            run_hash=task.run_hash,
            sweep=self.batch.sweep,
            family=task.family,
            condition=task.condition,
            seed=task.seed,
            device=_device(self.batch.device),
            wall_s=(time.monotonic() - self.began) / len(self.tasks),
            status=status,
            error=error,
        )
        for name in ("unify_sims", "unify_grid"):
            parts[name] = parts[name].filter(pl.col("step") == last)
        if self.batch.measure.answers == "last":
            parts["unify_answers"] = parts["unify_answers"].filter(pl.col("step") == last)
        # The world first: a finished unit must never lack it.
        world_folder = self.folder.path / "worlds" / world.world_hash[:16]
        if not (world_folder / MANIFEST).is_file():
            save_world(world, world_folder)
        self.folder.write_unit(task.unit, parts)
        failure_of(self.folder.path, task.unit).unlink(missing_ok=True)
        shutil.rmtree(unfinished(self.folder.path, task.unit), ignore_errors=True)


UNDERFIT = 0.95
"""Runs whose recall of training cells ends below this say nothing about transfer."""


def _ended(ending: Ending, recall: float | None) -> tuple[str, str | None]:
    """Status of a run and, unless it is done, why it is not."""
    if ending.status == "done" and (recall or 0) < UNDERFIT:
        return "underfit", f"It recalls {recall or 0:.3f} of its training cells, under {UNDERFIT}."
    return ending.status, ending.reason


def _device(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _write(found: Frames, folder: Path) -> None:
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, frame in found.items():
            write_parquet(frame, temporary / f"{name}.parquet")


def _gathered(folder: Path) -> Frames:
    """All evaluations of a run, in the order of steps."""
    found: dict[str, list[pl.DataFrame]] = {}
    for step in sorted(folder.glob("step-*"), key=lambda p: int(p.name.removeprefix("step-"))):
        for path in sorted(step.glob("*.parquet")):
            found.setdefault(path.stem, []).append(read_parquet(path))
    return {name: pl.concat(frames) for name, frames in found.items()}


def _stacked(found: list[Frames]) -> Frames:
    """Frames of the same name one behind the other."""
    names = dict.fromkeys(name for frames in found for name in frames)
    return {name: pl.concat([frames[name] for frames in found if name in frames]) for name in names}


def shape(task: Task) -> tuple[Any, ...]:
    """Runs of equal shape may be stacked into one computation."""
    world = task.made_world()
    recipe = task.config.recipe
    return (digest(recipe.plain()), len(world.words), world.sequence_len, world.value_len)
