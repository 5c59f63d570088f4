"""`unify sweep`: every condition with every seed, resumable run by run."""

import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, RunError
from polylore.files import read_json
from polylore.models.usable import usable
from polylore.runs import RunFolder, run_batches
from polylore.studies.unify.conditions import Condition, conditions
from polylore.studies.unify.config import ExecutionConfig, MeasureConfig, SweepConfig, run_hash
from polylore.studies.unify.tuning import FOLDER, KIND, MEASURE, best_rates, trials
from polylore.studies.unify.watching import watched
from polylore.studies.unify.worker import Batch, Task, failure_of, shape, unfinished, work

Progress = Callable[[int, int, str], None]


def run_sweep(
    config: SweepConfig, out: str | Path, *, name: str = "sweep", progress: Progress | None = None
) -> RunFolder:
    """Train and measure every run of a sweep.

    Args:
        config: conditions, seeds, and what is measured.
        out: run folder; an unfinished sweep of the same conditions is continued, and seeds that
            are new since then are added to it.
        name: of the sweep, for its tables.
        progress: called with (runs over, runs in all, what).

    Returns:
        The run folder; each run is a unit with the raw tables of `unify`.

    Raises:
        RunError: some runs failed; all others are done, and the same command repeats only those.
        PolyloreError: bad input, in one sentence, before anything starts.
    """
    if config.execution.executor == "local":
        usable(config.execution.device)
    chosen = conditions(config)
    tasks = [task for one in chosen for task in tasks_of(one, config)]
    for one in chosen:  # a world that leaks is better known before an hour of training
        tasks_of(one, config)[0].made_world()
    _refuse_twins(tasks)
    files = {one.config.world.facts: one.config.facts_digest() for one in chosen}
    inputs = {f"facts {path}": found for path, found in files.items() if path and found}
    run = RunFolder.open(out, "unify", config.question(), inputs)
    with run.lock():
        if config.lr_grid:
            chosen = _with_best_rates(run, chosen, config, inputs, progress)
            tasks = [task for one in chosen for task in tasks_of(one, config)]
            _refuse_twins(tasks)
        run.annotate("conditions", [_about(one) for one in chosen])
        run.annotate("seeds", config.all_seeds)
        _train_all(run, tasks, config.measure, config.execution, name, progress)
    return run


def _with_best_rates(
    run: RunFolder,
    chosen: list[Condition],
    config: SweepConfig,
    inputs: dict[str, str],
    progress: Progress | None,
) -> list[Condition]:
    """Try every rate with every condition, in a run folder within that of the sweep."""
    tasks = trials(chosen, config.lr_grid)
    _refuse_twins(tasks)
    trying = RunFolder.open(run.path / FOLDER, KIND, config.question(), inputs)
    what = "learning rates tried"
    with trying.lock():
        _train_all(trying, tasks, MEASURE, config.execution, FOLDER, progress, what)
    return best_rates(chosen, trying)


def _train_all(
    run: RunFolder,
    tasks: list[Task],
    measure: MeasureConfig,
    execution: ExecutionConfig,
    name: str,
    progress: Progress | None,
    what: str = "runs",
) -> None:
    """Train and measure all runs that are not done.

    Raises:
        RunError: some failed; all others are done.
    """
    pending = set(run.pending(task.unit for task in tasks))
    due = [task for task in tasks if task.unit in pending]
    for task in tasks:
        if task.unit not in pending:  # killed between its unit and its tidying up
            shutil.rmtree(unfinished(run.path, task.unit), ignore_errors=True)
    for task in due:
        failure_of(run.path, task.unit).unlink(missing_ok=True)
    batches = [
        Batch(str(run.path.resolve()), name, group, measure, execution.device)
        for group in _stacks(due, execution.stacked)
    ]
    with watched(run, due, progress):
        run_batches(
            batches,
            work,
            executor=execution.executor,
            jobs=execution.jobs,
            threads=1,
            cpus=execution.cpus_per_worker,
            gpus=execution.gpus(),
            retries=execution.retries,
            folder=run.path,
            units=len(due),
            progress=progress,
            what=what,
        )
    _refuse_failed(run, tasks)


def _refuse_twins(tasks: list[Task]) -> None:
    first: dict[str, Task] = {}
    for task in tasks:
        twin = first.setdefault(task.run_hash, task)
        if twin is not task:
            raise ConfigError(
                f"'{twin.unit}' and '{task.unit}' are the same run; change what differs between "
                "their conditions, or leave one out."
            )


def tasks_of(condition: Condition, config: SweepConfig) -> list[Task]:
    """A condition's runs, one per seed."""
    found = []
    for seed in config.all_seeds:
        own = condition.config.seeded(seed)
        found.append(
            Task(
                unit=f"{condition.name} seed {seed}",
                condition=condition.name,
                family=condition.family,
                seed=seed,
                run_hash=run_hash(own, config.measure),
                config=own,
            )
        )
    return found


def _about(condition: Condition) -> dict[str, Any]:
    return {
        "name": condition.name,
        "family": condition.family,
        "baseline": condition.baseline,
        "config": condition.config.plain(),
    }


def _stacks(tasks: list[Task], size: int) -> list[tuple[Task, ...]]:
    """Runs that are trained together: of one shape, at most so many."""
    if size == 1:
        return [(task,) for task in tasks]
    shapes = {task.unit: shape(task) for task in tasks}
    ordered = sorted(tasks, key=lambda task: repr(shapes[task.unit]))
    stacks = []
    for _, group in groupby(ordered, key=lambda task: shapes[task.unit]):
        alike = list(group)
        stacks += [tuple(alike[i : i + size]) for i in range(0, len(alike), size)]
    return stacks


def _refuse_failed(run: RunFolder, tasks: list[Task]) -> None:
    failed = [task for task in tasks if not run.is_done(task.unit)]
    if not failed:
        return
    note = failure_of(run.path, failed[0].unit)
    why = read_json(note)["why"] if note.is_file() else "it left no message"
    raise RunError(
        f"{len(failed)} of {len(tasks)} runs failed, the first is '{failed[0].unit}': {why} All "
        f"others are done; the same command repeats only those (traces: {run.path / 'failed'})."
    )


def missing(run: RunFolder) -> pl.DataFrame:
    """Runs of the sweep that are not done: condition and seed."""
    rows = [
        (one["name"], seed)
        for one in run.manifest["conditions"]
        for seed in run.manifest["seeds"]
        if not run.is_done(f"{one['name']} seed {seed}")
    ]
    return pl.DataFrame(rows, schema={"condition": pl.String, "seed": pl.Int64}, orient="row")
