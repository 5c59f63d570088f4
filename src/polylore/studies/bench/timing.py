"""Ways of doing the same work, timed against each other.

They run in one process and take turns within each round, which begins with another way each time,
so that ratios hold on a machine that is busy with other things as well.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from polylore.errors import ModelError
from polylore.models.engines import Progress
from polylore.models.memory import attempt

W = TypeVar("W")
F = TypeVar("F")

_SHORTEST = 0.25
"""Ways quicker than this share of the slowest are repeated within a round until they reach it."""


def measure(
    runs: Mapping[str, Callable[[W], F]],
    work: W,
    rounds: int,
    what: str,
    progress: Progress | None,
) -> tuple[dict[str, F], dict[str, list[float]]]:
    """What each way finds, and its seconds in each round."""
    named = list(runs.items())
    found: dict[str, F] = {}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    done, slowest = 0, 0.0
    for number in range(rounds):
        first = number % len(named)
        for name, run in [*named[first:], *named[:first]]:
            if progress:
                progress(done, rounds * len(named), what)
            start, times, spent = time.perf_counter(), 0, 0.0
            while times == 0 or spent < _SHORTEST * slowest:
                found[name] = run(work)
                times += 1
                spent = time.perf_counter() - start
            seconds[name].append(spent / times)
            slowest = max(slowest, spent / times)
            done += 1
    if progress:
        progress(done, done, what)
    return found, seconds


def best_batch(
    make: Callable[[int], Callable[[W], Any]], trial: W, first: W, sizes: Sequence[int]
) -> int:
    """The quickest batch size that memory allows.

    Args:
        make: a way with a batch size.
        trial: work that fills the largest batch.
        first: a little work, for the first call, which loads code and fills caches.
        sizes: what is tried, smallest first.

    Raises:
        ModelError: not even the smallest one fits.
    """
    times = {}
    make(sizes[0])(first)
    for rows in sizes:
        run = make(rows)
        start = time.perf_counter()
        if attempt(partial(run, trial)) is None:
            break  # larger batches need more memory still
        times[rows] = time.perf_counter() - start
    if not times:
        raise ModelError(f"Batches of {sizes[0]} do not fit into memory; bench a smaller size.")
    return min(times, key=times.__getitem__)
