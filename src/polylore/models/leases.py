"""The right to find a checkpoint on the disk; it ends with its process, however that ends.

A lease is a file that its holder keeps locked. The system lets go of the lock when the process
dies, so a file that can be locked belongs to nobody.
"""

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

_COUNT = itertools.count()
_HELD: set[str] = set()  # leases of this process: another lock object of ours could not tell


@dataclass(frozen=True)
class Lease:
    """Held until `release`, the end of the process, or the end of this object."""

    path: Path
    lock: FileLock

    def release(self) -> None:
        """Give the right back."""
        _HELD.discard(str(self.path))
        self.lock.release()
        with suppress(OSError):
            self.path.unlink()


def take(folder: Path) -> Lease:
    """A new lease, kept in `folder` beside those of others."""
    path = folder / f"{os.getpid()}-{next(_COUNT)}.lock"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    lock.acquire()
    _HELD.add(str(path))
    return Lease(path, lock)


def busy(folder: Path, beside: Lease | None = None) -> bool:
    """Whether a living process holds a lease in `folder`; those of dead ones are cleared away."""
    for path in folder.glob("*.lock"):
        if beside is not None and path == beside.path:
            continue
        if str(path) in _HELD:
            return True
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        with suppress(OSError):
            path.unlink()
    return False
