"""Fetch a checkpoint, use it, delete it: series that are larger than the disk.

```
CACHE/.polylore/
  store.lock              held for moments, while room is made or given back
  records/<key>.json      what is on the disk on whose behalf, and how large it is
  leases/<key>/<n>.lock   one per process that fetches or uses the checkpoint, locked as long as
                          it lives; the system lets go of the lock even if the process is killed
  scratch/<key>/          the checkpoint itself, a folder of its own
  downloads.jsonl         one line per download
```
A checkpoint is deleted only under `store.lock` and only if nobody holds a lease of it. What a
killed process left behind serves the next one that wants it (whole files; the hub's library does
not go on within a file), or is deleted when its room is needed.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.errors import ModelError
from polylore.models import hub, hub_cache
from polylore.models.leases import Lease
from polylore.models.store_room import Downloads, Room
from polylore.models.weights import has_weights, refuse_damaged

_log = logging.getLogger(__name__)

POLL = 0.2  # seconds between looks for room


@dataclass(frozen=True)
class Source:
    """Where the weights of one checkpoint come from."""

    ckpt_id: str
    path: str | None
    """Local folder, if it is on this machine already."""
    repo: str | None = None
    revision: str | None = None
    commit: str | None = None
    files_hash: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Source":
        """The source of a row of table CHECKPOINTS."""
        names = ("ckpt_id", "path", "repo", "revision", "commit", "files_hash")
        return cls(*(row[name] for name in names))

    @property
    def local(self) -> bool:
        """Whether nothing needs to be fetched."""
        return self.path is not None and has_weights(Path(self.path))

    @property
    def key(self) -> str:
        """Name of its record."""
        return f"{str(self.repo).replace('/', '--')}--{self.commit}"


@dataclass(frozen=True)
class Store:
    """Checkpoints from the hub, within a disk budget. All state is on the disk."""

    cache_dir: str | None = None
    """Folder of the hub's cache; the library's own if absent."""
    keep: bool = False
    """Leave what was fetched in the hub's cache."""
    budget_gb: float | None = None
    """Gigabytes (10^9 bytes) that fetched checkpoints may take together."""
    owner: str = ""
    """For whom: what `sweep` deletes and `downloads` counts."""

    @property
    def cache(self) -> Path:
        """The hub's cache."""
        return hub_cache.cache_root(self.cache_dir)

    @property
    def room(self) -> Room:
        """The disk."""
        return Room(hub_cache.own_root(self.cache))

    @contextmanager
    def open(self, source: Source, upcoming: Source | None = None) -> Iterator[Path]:
        """Yield the folder of a checkpoint; afterwards it is deleted unless it is kept.

        Waits while other processes use up the budget. After an error what was fetched stays for
        the next attempt.

        Args:
            source: the checkpoint.
            upcoming: fetched in the background meanwhile, if there is room for it.

        Raises:
            ModelError: the hub does not give it, the disk or the budget is too small, or a file
                is damaged (it is deleted, so that the next attempt fetches it anew).
        """
        if source.local:
            self.prefetch(upcoming)
            yield Path(str(source.path))
            return
        _join(source.key)
        lease = self._admit(source)
        try:
            folder = self._fetch(source, lease)
            self.prefetch(upcoming)
            yield folder
        except BaseException:
            lease.release()
            raise
        self.room.give_back(source.key, lease, keep=self.keep)

    def note_weights(self, source: Source, folder: Path) -> None:
        """Fingerprint the weights of a checkpoint from the hub, once; `refresh` reads it."""
        if source.files_hash is not None and not source.local:
            hub_cache.read_weight_hash(self.cache, source.files_hash, folder)

    def prefetch(self, source: Source | None) -> None:
        """Start fetching a checkpoint in the background, if there is room for it now."""
        if source is None or source.local or source.key in _THREADS:
            return

        def work() -> None:
            try:
                lease = self.room.admit(source.key, self._record(source), self.budget_gb)
                if lease is not None:
                    try:
                        self._fetch(source, lease)
                    finally:
                        lease.release()
            except Exception as error:  # whoever opens it meets the same trouble and reports it
                _log.debug("Could not fetch %s ahead: %s", source.ckpt_id, error)

        _THREADS[source.key] = thread = threading.Thread(target=work, daemon=True)
        thread.start()

    def require(self, sources: list[Source]) -> None:
        """Refuse at once what cannot be fetched later.

        Raises:
            ModelError: the budget or the disk is too small for one of them, or for all if they
                are to be kept.
        """
        sizes = {s: self.size(s) for s in sources if not s.local}
        if not sizes:
            return
        largest = max(sizes, key=lambda s: sizes[s])
        need = sum(sizes.values()) if self.keep else sizes[largest]
        what = "Keeping all chosen checkpoints" if self.keep else f"Checkpoint {largest.ckpt_id}"
        self.room.refuse_too_large(what, need, self.budget_gb)

    def size(self, source: Source) -> int:
        """Bytes of the files that a checkpoint on the hub needs.

        Raises:
            ModelError, UnreachableError: see `hub.files`.
        """
        return sum(file.size for file in self._files(source))

    def small_files(self, source: Source) -> Path:
        """A folder with everything of a checkpoint on the hub but its weights.

        Raises:
            ModelError, UnreachableError: see `hub.download`.
        """
        names = [file.name for file in self._files(source)]
        small = sorted({*names} - {*hub.weights_among(names)})
        return hub.download(str(source.repo), str(source.commit), small, cache_dir=self.cache)

    def sweep(self) -> None:
        """Delete what the owner's finished or killed processes left behind."""
        if hub_cache.own_root(self.cache).is_dir():
            self.room.sweep(self.owner)

    def downloads(self) -> Downloads:
        """What was downloaded for the owner so far."""
        return self.room.downloads(self.owner)

    def _admit(self, source: Source) -> Lease:
        record = self._record(source)
        while True:
            lease = self.room.admit(source.key, record, self.budget_gb)
            if lease is not None:
                return lease
            if not self.room.others_busy(source.key):
                what = f"Checkpoint {source.ckpt_id} of {source.repo}"
                self.room.refuse_full(what, int(record["bytes"]), self.budget_gb)
            time.sleep(POLL)

    def _fetch(self, source: Source, lease: Lease) -> Path:
        repo, commit = str(source.repo), str(source.commit)
        folder = self._folder(source)
        if self.room.is_complete(source.key) and folder.is_dir() and has_weights(folder):
            return folder
        self.room.clear_partial(source.key, lease)
        names = [file.name for file in self._files(source)]
        scratch = None if self.keep else folder
        begin = time.monotonic()
        path = hub.download(repo, commit, names, cache_dir=self.cache, folder=scratch)
        refuse_damaged(path)
        if self.keep:
            hub_cache.name_commit(self.cache, repo, str(source.revision), commit)
        self.room.complete(source.key, self.owner, time.monotonic() - begin)
        return path

    def _folder(self, source: Source) -> Path:
        if not self.keep:
            return self.room.scratch(source.key)
        repo = hub_cache.repo_root(self.cache, str(source.repo))
        return repo / "snapshots" / str(source.commit)

    def _record(self, source: Source) -> dict[str, Any]:
        return {
            "ckpt_id": source.ckpt_id,
            "repo": source.repo,
            "commit": source.commit,
            "bytes": self.size(source),
            "folder": str(self._folder(source)),
            "etags": [file.etag for file in self._files(source)] if self.keep else [],
            "kept": self.keep,
            "owner": self.owner,
        }

    def _files(self, source: Source) -> list[hub.HubFile]:
        if source.repo is None or source.commit is None:
            raise ModelError(f"The folder {source.path} of checkpoint {source.ckpt_id} is gone.")
        return hub.needed(hub_cache.listing(self.cache, source.repo, source.commit))


_THREADS: dict[str, threading.Thread] = {}


def _join(key: str) -> None:
    thread = _THREADS.pop(key, None)
    if thread is not None:
        thread.join()
