"""Runs batches of units: in this process, in several, or on a Ray cluster.

A batch is a list of units that share something expensive, such as the weights of one checkpoint.
The worker writes each unit itself when it is finished; nothing travels back but its name, so a
killed worker loses at most the unit in flight.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TypeVar

from polylore.errors import RunError

Batch = TypeVar("Batch")
Progress = Callable[[int, int, str], None]


def run_batches(
    batches: Sequence[Batch],
    work: Callable[[Batch], int],
    *,
    executor: str = "local",
    jobs: int = 1,
    threads: int = 1,
    cpus: float | None = None,
    gpus: float = 0,
    retries: int = 3,
    folder: Path | None = None,
    units: int | None = None,
    progress: Progress | None = None,
    what: str = "",
) -> None:
    """Apply `work` to every batch.

    Args:
        batches: arguments of `work`; picklable unless they stay in this process. Their `str`
            names them in messages.
        work: importable function; returns how many units of the batch are done. Where workers can
            be lost and replaced it may get a batch twice, and should skip what is done.
        executor: `local`, or a Ray cluster (`ray`, `ray://auto`, `ray://host:port`).
        jobs: workers; 1 works in this process if the executor is local.
        threads: arithmetic threads per worker.
        cpus: CPUs that a Ray worker asks for; by default `threads`.
        gpus: GPUs that a Ray worker asks for.
        retries: how often Ray gives a batch to a fresh worker after it lost one.
        folder: run folder that all workers must see.
        units: number of units in all batches, for the progress display.
        progress: called with (units done, units in all, `what`).

    Raises:
        ConfigError: there is no such executor, or it is not installed.
        RunError: a worker process died, or the cluster is not usable; finished units are kept.
    """
    total = len(batches) if units is None else units
    report = progress or (lambda done, total, what: None)
    report(0, total, what)
    if executor != "local":
        from polylore.runs.crew import RayOptions
        from polylore.runs.ray import run_on_ray

        asked = threads if cpus is None else cpus
        most = min(jobs, len(batches))
        options = RayOptions(executor, most, threads, asked, gpus, retries, folder)
        if batches:
            run_on_ray(batches, work, options, lambda n: report(n, total, what))
        return
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
            with _unborn_workers_ignore_ctrl_c():
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


@contextmanager
def _unborn_workers_ignore_ctrl_c() -> Iterator[None]:
    # A process started inside inherits the block; without it a Ctrl-C during its first second, when
    # it is still importing, fills the terminal with its traceback. Here it arrives afterwards.
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _collect(waiting: set[Future[int]]) -> int:
    # A wait without end can sleep through Ctrl-C when another thread receives the signal.
    finished: set[Future[int]] = set()
    while not finished:
        finished, rest = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
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
    limit_threads(threads)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def limit_threads(threads: int) -> None:
    """Keep the arithmetic of a fresh worker to its share of the machine."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["POLARS_MAX_THREADS"] = str(threads)


def _die_with_parent() -> None:
    # A pool's workers outlive a killed parent; an orphan must not go on writing into the run.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
