"""What is being fetched right now, whoever fetches it: this process, a worker, a background thread.

The disk is watched, not the download: that needs no channel to the workers, and counts what an
interrupted download left.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polylore.errors import ModelError
from polylore.models.store import Store

Progress = Callable[[int, int, str], None]

PAUSE = 1.0  # seconds between looks
WHAT = "fetching (MB)"
MEGABYTE = 10**6


@contextmanager
def watched(store: Store, progress: Progress | None) -> Iterator[None]:
    """Report megabytes on the disk and to come of all checkpoints that the owner's workers fetch.

    Args:
        store: the store, with its owner.
        progress: called with (megabytes done, megabytes in all, what) from a thread of its own.
    """
    if progress is None:
        yield
        return
    end = threading.Event()
    thread = threading.Thread(target=_watch, args=(store, progress, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _watch(store: Store, progress: Progress, end: threading.Event) -> None:
    shown: tuple[int, int] | None = None
    while not end.wait(PAUSE):
        try:
            sizes = store.room.fetching(store.owner)
        except (ModelError, OSError):  # whoever fetches meets the same trouble and reports it
            continue
        if sizes:
            done, total = (-(-sum(column) // MEGABYTE) for column in zip(*sizes, strict=True))
            shown = min(done, total), total
            progress(*shown, WHAT)
        elif shown is not None and shown[0] < shown[1]:
            shown = shown[1], shown[1]
            progress(*shown, WHAT)
