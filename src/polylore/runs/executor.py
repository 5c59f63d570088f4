"""Runs batches of units, in this process or in several.

A batch is a list of units that share something expensive, such as the weights of one checkpoint.
The worker writes each unit itself when it is finished; nothing travels back but its name, so a
killed worker loses at most the unit in flight.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from polylore.errors import RunError

Batch = TypeVar("Batch")
Progress = Callable[[int, int, str], None]


def run_batches(
    batches: Sequence[Batch],
    work: Callable[[Batch], int],
    *,
    jobs: int = 1,
    threads: int = 1,
    units: int | None = None,
    progress: Progress | None = None,
    what: str = "",
) -> None:
    """Apply `work` to every batch.

    Args:
        batches: arguments of `work`; picklable if `jobs` > 1.
        work: importable function; returns how many units it finished.
        jobs: processes; 1 works in this process.
        threads: arithmetic threads per process.
        units: number of units in all batches, for the progress display.
        progress: called with (units done, units in all, `what`).

    Raises:
        RunError: a worker process died; finished units are kept.
    """
    total = len(batches) if units is None else units
    report = progress or (lambda done, total, what: None)
    report(0, total, what)
    if jobs <= 1 or len(batches) <= 1:
        done = 0
        for batch in batches:
            done += work(batch)
            report(done, total, what)
        return
    _run_pool(batches, work, min(jobs, len(batches)), threads, lambda n: report(n, total, what))


def _run_pool(
    batches: Sequence[Batch],
    work: Callable[[Batch], int],
    jobs: int,
    threads: int,
    report: Callable[[int], None],
) -> None:
    # "spawn": a forked child would inherit locks of torch's and polars' thread pools.
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    )
    done = 0
    waiting: set[Future[int]] = set()
    queue = iter(batches)
    try:
        for batch in queue:
            waiting.add(pool.submit(work, batch))
            # Two per worker keeps all busy without pickling a long queue ahead of time.
            if len(waiting) >= 2 * jobs:
                done += _collect(waiting)
                report(done)
        while waiting:
            done += _collect(waiting)
            report(done)
    except BrokenProcessPool as error:
        raise RunError(
            "A worker process died (often for lack of memory); what is finished is kept: run the "
            "same command again, with fewer --execution.jobs if it happens again."
        ) from error
    except BaseException:
        _stop(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _collect(waiting: set[Future[int]]) -> int:
    finished, rest = wait(waiting, return_when=FIRST_COMPLETED)
    waiting.clear()
    waiting.update(rest)
    return sum(future.result() for future in finished)


def _stop(pool: ProcessPoolExecutor) -> None:
    # Units are written atomically, so stopping a worker at any moment is safe.
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _start_worker(threads: int) -> None:
    # Ctrl-C reaches the whole process group; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A pool's workers outlive a killed parent; an orphan must not go on writing into the run.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
