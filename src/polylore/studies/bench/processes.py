"""The same work in several processes side by side, all of which start together."""

import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from typing import Any


def side_by_side(
    work: Callable[..., float], arguments: Sequence[tuple[Any, ...]]
) -> tuple[float, list[float]]:
    """Wall seconds of processes that do their work at the same time, and what each returns.

    Getting ready does not count, as the workers of a long run have been ready for long.

    Args:
        work: called with a function that it must call when it is ready, and its arguments; that
            function returns when all processes are.
        arguments: of each process.
    """
    context = get_context("spawn")
    barrier, queue = context.Barrier(len(arguments) + 1), context.Queue()
    processes = [
        context.Process(target=_run, args=(work, own, barrier, queue), daemon=True)
        for own in arguments
    ]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    results = [queue.get() for _ in processes]
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    return seconds, results


def _run(work: Callable[..., float], arguments: tuple[Any, ...], barrier: Any, queue: Any) -> None:
    queue.put(work(barrier.wait, *arguments))
