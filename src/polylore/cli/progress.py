"""Progress on standard error: a bar with an estimate, or plain lines where there is no terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from polylore.runs.executor import Progress


@contextmanager
def progress_display(quiet: bool = False) -> Iterator[Progress]:
    """Yield a function (done, total, what) that shows progress until the block ends."""
    if quiet:
        yield lambda done, total, what: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines().show


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def show(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


class _Lines:
    """One line at the start, every ten seconds, and at the end of each kind of work."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}

    def show(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        work = self._works.get(what)
        if work is None or done < work.done:
            work = self._works[what] = _Work(now, first=done)
        ended = work.done < done >= total
        work.done = done
        if work.shown is not None and not ended and now - work.shown < 10:
            return
        work.shown = now
        elapsed = now - work.start
        left = ""
        if done > work.first and done < total:
            left = f", about {elapsed / (done - work.first) * (total - done):.0f} s left"
        print(f"{what}: {done}/{total}, {elapsed:.0f} s{left}", file=sys.stderr, flush=True)


@dataclass
class _Work:
    start: float
    first: int
    done: int = -1
    shown: float | None = None
