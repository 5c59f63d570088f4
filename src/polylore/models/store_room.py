"""The disk under `store`: records, leases, and who may delete what."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock

from polylore.errors import DataError, ModelError, RunError
from polylore.files import clear_temporary, read_json, write_json
from polylore.models import leases
from polylore.models.leases import Lease

GIGABYTE = 10**9


@dataclass(frozen=True)
class Downloads:
    """What was fetched for an owner."""

    checkpoints: int
    downloads: int
    """More than checkpoints where some were fetched again."""
    bytes: int
    seconds: float
    """Summed over downloads; several may run at the same time."""


@dataclass(frozen=True)
class Room:
    """One folder of fetched checkpoints, shared by all processes of this machine."""

    root: Path

    def scratch(self, key: str) -> Path:
        """Folder of a checkpoint that will be deleted."""
        return self.root / "scratch" / key

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            for name in ("records", "leases", "scratch"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "store.lock")
            lock.acquire()
        except OSError as error:
            raise ModelError(
                f"Cannot write to the cache {self.root.parent} ({error.strerror}); set "
                "series.cache_dir to a folder that can be written."
            ) from error
        try:
            clear_temporary(self.root / "scratch")
            yield
        finally:
            lock.release()

    def admit(self, key: str, record: dict[str, Any], budget_gb: float | None) -> Lease | None:
        """A lease on a checkpoint and the room for it, or None if there is no room now.

        Deletes what nobody uses, oldest first, if its room is needed.
        """
        with self._locked():
            known = self._records()
            old = known.pop(key, None)
            if self._lacking(key, record, known, budget_gb) > 0:
                for name in sorted(known, key=lambda k: self._record(k).stat().st_mtime):
                    if not known[name].get("kept") and not self._busy(name):
                        self._delete(name)
                        del known[name]
                        if self._lacking(key, record, known, budget_gb) <= 0:
                            break
                else:
                    return None
            if old is None or old.get("folder") != record["folder"]:
                self._write(key, record)
            return leases.take(self.root / "leases" / key)

    def _lacking(
        self, key: str, record: dict[str, Any], known: dict[str, Any], budget_gb: float | None
    ) -> float:
        """Bytes that are missing for a checkpoint beside all the known ones."""
        need = int(record["bytes"])
        free = shutil.disk_usage(self.root).free
        lacking: float = need - _size_of(Path(record["folder"])) - free
        if budget_gb is not None:
            used = sum(int(other["bytes"]) for other in known.values())
            lacking = max(lacking, used + need - budget_gb * GIGABYTE)
        return lacking

    def clear_partial(self, key: str, lease: Lease) -> None:
        """Delete the parts of files that a killed process left; the library never uses them."""
        with self._locked():
            if not self._busy(key, beside=lease):
                for path in self.scratch(key).rglob("*.incomplete"):
                    path.unlink(missing_ok=True)

    def give_back(self, key: str, lease: Lease, *, keep: bool) -> None:
        """End a lease; the last user of a checkpoint that is not kept deletes it."""
        with self._locked():
            lease.release()
            if not keep and not self._busy(key):
                self._delete(key)

    def sweep(self, owner: str) -> None:
        """Delete an owner's checkpoints that are not kept and that nobody uses."""
        with self._locked():
            for key, record in self._records().items():
                if record.get("owner") == owner and not record.get("kept") and not self._busy(key):
                    self._delete(key)

    def others_busy(self, key: str) -> bool:
        """Whether some process uses another checkpoint, so that room may come."""
        with self._locked():
            return any(self._busy(k) for k in self._records() if k != key)

    def is_complete(self, key: str) -> bool:
        """Whether a download was finished."""
        with suppress(DataError):
            return bool(read_json(self._record(key)).get("complete"))
        return False

    def complete(self, key: str, owner: str, seconds: float) -> None:
        """Note that a download is finished, and count it."""
        with self._locked():
            record = self._records().get(key)
            if record is None or record.get("complete"):
                return
            self._write(key, record | {"complete": True})
            line = {k: record.get(k) for k in ("ckpt_id", "repo", "commit", "bytes")}
            with (self.root / "downloads.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line | {"seconds": seconds, "owner": owner}) + "\n")

    def downloads(self, owner: str) -> Downloads:
        """The downloads that were finished for an owner."""
        try:
            text = (self.root / "downloads.jsonl").read_text(encoding="utf-8")
        except OSError:
            text = ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        own = [line for line in lines if line["owner"] == owner]
        return Downloads(
            checkpoints=len({(line["repo"], line["commit"]) for line in own}),
            downloads=len(own),
            bytes=sum(int(line["bytes"]) for line in own),
            seconds=sum(float(line.get("seconds", 0)) for line in own),
        )

    def fetching(self, owner: str) -> list[tuple[int, int]]:
        """Bytes on the disk and in all of every checkpoint that an owner is fetching now."""
        if not self.root.is_dir():
            return []
        with self._locked():
            records = [
                record
                for key, record in self._records().items()
                if record.get("owner") == owner and not record.get("complete") and self._busy(key)
            ]
        return [(_present(record), int(record["bytes"])) for record in records]

    def refuse_too_large(self, what: str, need: int, budget_gb: float | None) -> None:
        """Raise if something can never fit.

        Raises:
            ModelError: the budget or the free disk is smaller.
        """
        if budget_gb is not None and need > budget_gb * GIGABYTE:
            raise ModelError(
                f"{what} needs {need / GIGABYTE:.3g} GB, but the disk budget is {budget_gb:g} GB; "
                "raise series.disk_budget_gb."
            )
        place = next(p for p in (self.root, *self.root.absolute().parents) if p.is_dir())
        own = sum(_size_of(p) for p in (self.root / "scratch").glob("*"))
        free = shutil.disk_usage(place).free + own
        if need > free:
            raise ModelError(
                f"{what} needs {need / GIGABYTE:.3g} GB, but {place} has only "
                f"{free / GIGABYTE:.3g} GB free; free some, or set series.cache_dir to another "
                "disk."
            )

    def refuse_full(self, what: str, need: int, budget_gb: float | None) -> NoReturn:
        """Raise because nothing more can be deleted.

        Raises:
            ModelError: always.
        """
        self.refuse_too_large(what, need, budget_gb)
        with self._locked():
            kept = sum(int(r["bytes"]) for r in self._records().values() if r.get("kept"))
        free = shutil.disk_usage(self.root).free
        budget = "" if budget_gb is None else f" of the disk budget of {budget_gb:g} GB"
        raise ModelError(
            f"{what} needs {need / GIGABYTE:.3g} GB, but checkpoints kept in {self.root.parent} "
            f"take {kept / GIGABYTE:.3g} GB{budget} and {free / GIGABYTE:.3g} GB of the disk are "
            "free; delete some, or raise series.disk_budget_gb."
        )

    def _record(self, key: str) -> Path:
        return self.root / "records" / f"{key}.json"

    def _write(self, key: str, record: dict[str, Any]) -> None:
        try:
            write_json(record, self._record(key))
        except RunError as error:
            raise ModelError(str(error)) from error

    def _records(self) -> dict[str, dict[str, Any]]:
        found = {}
        for path in sorted((self.root / "records").glob("[!.]*.json")):
            with suppress(DataError):
                record = read_json(path)
                deleted = not Path(record["folder"]).is_dir()
                if record.get("kept") and record.get("complete") and deleted:
                    path.unlink()  # by the user
                else:
                    found[path.stem] = record
        return found

    def _busy(self, key: str, beside: Lease | None = None) -> bool:
        return leases.busy(self.root / "leases" / key, beside)

    def _delete(self, key: str) -> None:
        folder = self.scratch(key)
        if folder.is_dir():
            # Renamed first: a kill half-way never leaves a folder that looks whole.
            going = folder.with_name(f".tmp-{os.getpid()}-{key}")
            folder.rename(going)
            self._record(key).unlink(missing_ok=True)
            shutil.rmtree(going, ignore_errors=True)
        self._record(key).unlink(missing_ok=True)
        with suppress(OSError):
            (self.root / "leases" / key).rmdir()


def _present(record: dict[str, Any]) -> int:
    """Bytes of a checkpoint's own files on the disk.

    Parts of files lie below a folder of its own, or among the blobs of the hub's cache.
    """
    folder = Path(record["folder"])
    blobs = folder.parent.parent / "blobs"
    parts = [p for e in record.get("etags", ()) for p in blobs.glob(f"{e}*.incomplete")]
    whole = [p for p in folder.glob("[!.]*") if p.suffix != ".incomplete"]
    return sum(map(_size, [*whole, *folder.rglob("*.incomplete"), *parts]))


def _size_of(folder: Path) -> int:
    """Bytes on the disk below a folder, partial downloads included."""
    if not folder.is_dir():
        return 0
    return sum(_size(p) for p in folder.rglob("*") if p.is_file())


def _size(path: Path) -> int:
    with suppress(OSError):  # renamed or deleted meanwhile
        return path.stat().st_size
    return 0
