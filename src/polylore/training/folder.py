"""The folder of a training run: who it belongs to, and that only one trainer works in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from polylore.config import difference
from polylore.errors import RunError
from polylore.files import clear_temporary, read_json, write_json
from polylore.runs.manifest import versions
from polylore.training.config import TrainConfig

FORMAT = 1


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and keep other trainers out of it.

    Raises:
        RunError: the folder cannot be written to, or another process trains in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"Another process is training in {folder}; wait for it, or choose another folder."
        ) from error
    except OSError as error:
        raise RunError(
            f"Cannot write to {folder} ({error.strerror}); choose another folder or change its "
            "rights."
        ) from error
    try:
        for place in (folder, folder / "checkpoints", folder / "state"):
            clear_temporary(place)
        yield
    finally:
        lock.release()


class Manifest:
    """What the run is: written once at its start, then only added to."""

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        self._path = folder / "manifest.json"
        self.values = values

    def add(self, **values: Any) -> None:
        """Record more and write the file."""
        self.values |= values
        write_json(self.values, self._path)


def open_manifest(
    folder: Path, config: TrainConfig, corpus: str, injection: str | None = None
) -> Manifest:
    """Start a run in the folder, or go on with the same one.

    Raises:
        RunError: the folder belongs to a run of another configuration, corpus or plan of
            injection; the differing keys are named.
    """
    mine = {"config": config.plain(), "corpus": corpus, "injection": injection}
    return open_same(folder, "training", mine, {"config_digest": config.digest()})


def open_same(
    folder: Path, kind: str, identity: dict[str, Any], about: dict[str, Any] | None = None
) -> Manifest:
    """Start a run of this identity in the folder, or go on with the same one.

    Args:
        folder: its folder.
        kind: what kind of training it is.
        identity: plain values that decide its results.
        about: more to be noted at its start.

    Raises:
        RunError: the folder belongs to another run; the differing keys are named.
    """
    path = folder / "manifest.json"
    mine = {"kind": kind, "format": FORMAT, **identity}
    if not path.exists():
        manifest = Manifest(folder, mine)
        manifest.add(**(about or {}), versions=versions())
        return manifest
    values = read_json(path)
    there = {key: values.get(key) for key in mine} if isinstance(values, dict) else {}
    changes = difference(there, mine)
    if changes:
        raise RunError(
            f"{folder} belongs to another training run ({'; '.join(changes)}); use its "
            "configuration, or choose another folder."
        )
    return Manifest(folder, values)
