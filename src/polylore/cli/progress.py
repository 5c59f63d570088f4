"""Progress on standard error: a bar with an estimate, or plain lines where there is no terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
        self._what = ""
        self._start = self._last = 0.0
        self._first = 0

    def show(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._start, self._last, self._first = what, now, 0.0, done
        if done < total and now - self._last < 10:
            return
        self._last = now
        elapsed = now - self._start
        left = ""
        if done > self._first and done < total:
            left = f", about {elapsed / (done - self._first) * (total - done):.0f} s left"
        print(f"{what}: {done}/{total}, {elapsed:.0f} s{left}", file=sys.stderr, flush=True)
