"""How far runs are while they train: read from the evaluations that they have written.

Workers may be other processes or other machines; what they share is the run folder.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from polylore.runs import RunFolder
from polylore.studies.unify.worker import Task, unfinished

Progress = Callable[[int, int, str], None]
EVERY = 2.0
"""Seconds between looks."""


@contextmanager
def watched(run: RunFolder, tasks: Sequence[Task], progress: Progress | None) -> Iterator[None]:
    """Report training steps, so that an estimate is there before the first of many runs ends."""
    if progress is None or not tasks:
        yield
        return
    total = sum(task.config.recipe.steps for task in tasks)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            progress(steps_done(run, tasks), total, "training steps")

    progress(steps_done(run, tasks), total, "training steps")
    thread = threading.Thread(target=watch, daemon=True, name="training steps")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    progress(steps_done(run, tasks), total, "training steps")


def steps_done(run: RunFolder, tasks: Sequence[Task]) -> int:
    """Steps of the runs up to their newest evaluations; all of them once a run is over."""
    return sum(_steps(run, task) for task in tasks)


def _steps(run: RunFolder, task: Task) -> int:
    if run.has_unit(task.unit):
        return task.config.recipe.steps
    folder = unfinished(run.path, task.unit) / "evaluations"
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:  # not begun, or just tidied up
        return 0
    steps = [name.removeprefix("step-") for name in names if name.startswith("step-")]
    return max((int(step) for step in steps if step.isdigit()), default=0)
