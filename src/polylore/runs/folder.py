"""The run folder: everything one study wrote, safe against crashes at any moment.

```
RUN/
  manifest.json              what this run is
  units/<unit>/              one folder per finished unit of work, moved into place as a whole
      <table>.parquet        raw rows of the unit
      done.json              row counts and hashes of the parts
  tables/<table>.parquet     derived tables, and raw tables that are not made by units
  figures/  report.html      what people look at
```
A unit counts as done only if its marker is there and every part still has the size and hash that
the marker names. A folder's mere existence never means "done".

A folder belongs to one configuration from its first unit on. One that holds only what was to be
asked, as a refused run leaves it, takes another configuration and loses nothing.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import polars as pl

from polylore import tables
from polylore.config import difference
from polylore.errors import DataError, RunError
from polylore.files import (
    TEMPORARY,
    atomic_path,
    clear_temporary,
    read_json,
    read_parquet,
    sha256_file,
    write_json,
    write_parquet,
)
from polylore.runs.manifest import FORMAT, describe

_OWN = {"manifest.json", ".lock"}
_ASKED = {
    "facts", "templates", "prompts", "asked", "exposure", "checkpoints", "gaps",
    "align_items", "align_questions", "align_prompts",
    "fiction_facts", "fiction_rows", "fiction_tests",
    "inject_items", "inject_passages", "inject_probes", "inject_lint", "inject_runs",
    "inject_contamination",
    "unify_link_answers",
}  # fmt: skip
_REMADE = re.compile(
    r"plan/.+\.(json|parquet)|failed/[^/]+\.json|inputs/(items|sham)/[^/]+\.(json|parquet)"
    r"|inputs/background/documents-\d+-[0-9a-f]{12}/.+|arms/init/.+"
)
"""What lies in a folder of which nothing was made yet: tables of what is to be asked, and what is
copied, noted, packed or drawn again. Packed text too, as the text may have been mended since."""


class RunFolder:
    """One run folder, opened for work (`open`) or for reading (`load`)."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(
        cls, path: str | Path, kind: str, config: dict[str, Any], inputs: dict[str, str]
    ) -> Self:
        """Create the folder, or go on with the same run in it.

        Raises:
            RunError: the folder holds another run, something else, or cannot be written to.
        """
        run = cls.find(path, kind, config, inputs)
        if run is None:
            run = cls(Path(path), describe(kind, config, inputs))
            if (run.path / "manifest.json").exists():
                run._replace()
            else:
                write_json(run.manifest, run.path / "manifest.json")
        return run

    @classmethod
    def find(
        cls, path: str | Path, kind: str, config: dict[str, Any], inputs: dict[str, str]
    ) -> Self | None:
        """The same run in a folder, None if nothing was made there yet; nothing is written.

        Raises:
            RunError: the folder holds another run or something else.
        """
        path = Path(path)
        if (path / "manifest.json").exists():
            run = cls.load(path)
            fresh = describe(kind, config, inputs)
            if run._differs(fresh) and run.is_blank():
                return None
            run._refuse_other(fresh)
            return run
        if path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
            raise RunError(
                f"{path} is not empty and is not a run folder; choose another folder for --out."
            )
        return None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open an existing run folder for reading.

        Raises:
            RunError: there is no run at `path`, or it was written by a newer polylore.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(
                f"There is no run folder {path}; `polylore runs list` shows what is there."
            )
        if not (path / "manifest.json").is_file():
            raise RunError(f"{path} is not a run folder: it has no manifest.json.")
        try:
            manifest = read_json(path / "manifest.json")
        except DataError as error:
            raise _damaged(path, str(error).rstrip(".")) from error
        if not isinstance(manifest, dict):
            raise _damaged(path, f"{path}/manifest.json is no JSON object")
        if manifest.get("format") != FORMAT:
            raise RunError(
                f"{path}/manifest.json has format {manifest.get('format')!r} and this polylore "
                f"reads format {FORMAT}: use the version that wrote it."
            )
        return cls(path, manifest)

    def _differs(self, fresh: dict[str, Any]) -> list[str]:
        found = []
        for part in ("kind", "config", "inputs"):
            if part not in self.manifest:
                raise _damaged(self.path, f"{self.path}/manifest.json lacks {part}")
            found += difference(self.manifest[part], fresh[part], part)
        return found

    def _refuse_other(self, fresh: dict[str, Any]) -> None:
        found = self._differs(fresh)
        if found:
            raise RunError(
                f"{self.path} belongs to another configuration ({'; '.join(found[:5])}"
                f"{'; ...' if len(found) > 5 else ''}); give another folder with --out, or the old "
                "settings to go on with it."
            )

    def is_blank(self) -> bool:
        """Whether nothing was made here: no unit, no state of a training, no result."""
        # Whatever is not known to be there before the first unit may have cost somebody hours.
        return all(_is_asked(path.relative_to(self.path)) for path in _files(self.path))

    def _replace(self) -> None:
        """Take the place of another configuration of which nothing was made."""
        with self._held():
            there = RunFolder.load(self.path)
            if not there._differs(self.manifest):  # another process was faster
                self.manifest = there.manifest
                return
            if not there.is_blank():  # and began something else
                there._refuse_other(self.manifest)
            for name in ("tables", "plan", "failed", "inputs", "arms"):  # of other questions
                shutil.rmtree(self.path / name, ignore_errors=True)
            write_json(self.manifest, self.path / "manifest.json")

    def annotate(self, key: str, value: Any) -> None:
        """Keep something beside the configuration that is no part of the run's identity."""
        self.manifest = {**self.manifest, key: value}
        write_json(self.manifest, self.path / "manifest.json")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one process at a time; what a killed one left half-written goes.

        Raises:
            RunError: another process is working in it, or has given it other settings.
        """
        with self._held():
            RunFolder.load(self.path)._refuse_other(self.manifest)
            clear_temporary(self.path / "units")
            yield

    @contextmanager
    def _held(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(
                f"Another process is working in {self.path}; wait until it ends."
            ) from error
        try:
            yield
        finally:
            lock.release()

    # Units of work -------------------------------------------------------------------------

    def unit_path(self, unit: str) -> Path:
        """Folder of a unit; names from data cannot reach outside `units/`."""
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", unit).strip("._")[:80]
        return self.path / "units" / f"{readable}-{hashlib.sha256(unit.encode()).hexdigest()[:10]}"

    def is_done(self, unit: str) -> bool:
        """Whether the unit is finished and undamaged."""
        marker = self._marker(unit)
        if marker is None:
            return False
        folder = self.unit_path(unit)
        try:
            return all(
                sha256_file(folder / f"{name}.parquet") == part["sha256"]
                for name, part in marker["tables"].items()
            )
        except OSError:
            return False

    def has_unit(self, unit: str) -> bool:
        """Whether the unit has a sound marker; its parts are not looked at."""
        return self._marker(unit) is not None

    def _marker(self, unit: str) -> dict[str, Any] | None:
        return _read_marker(self.unit_path(unit) / "done.json")

    def pending(self, units: Iterable[str]) -> list[str]:
        """The units that are not done yet, in the given order."""
        return [unit for unit in units if not self.is_done(unit)]

    def write_unit(self, unit: str, parts: Mapping[str, pl.DataFrame]) -> None:
        """Store a finished unit's raw rows, validated, as one atomic step."""
        with atomic_path(self.unit_path(unit)) as folder:
            folder.mkdir(parents=True)
            marker: dict[str, Any] = {"unit": unit, "tables": {}}
            for name, frame in parts.items():
                part = folder / f"{name}.parquet"
                write_parquet(tables.ALL[name].validate(frame), part)
                marker["tables"][name] = {"rows": frame.height, "sha256": sha256_file(part)}
            write_json(marker, folder / "done.json")

    def forget_unit(self, unit: str) -> None:
        """Remove a unit's rows, whether it was finished or not."""
        shutil.rmtree(self.unit_path(unit), ignore_errors=True)

    def units(self) -> list[str]:
        """Names of all units that have a sound marker, sorted."""
        return sorted(marker["unit"] for marker in self._markers())

    def unit_table_names(self) -> list[str]:
        """Names of all raw tables that finished units hold, sorted."""
        return sorted({name for marker in self._markers() for name in marker["tables"]})

    def _markers(self) -> Iterator[dict[str, Any]]:
        for path in (self.path / "units").glob("[!.]*/done.json"):
            marker = _read_marker(path)
            if marker is not None:
                yield marker

    def read(self, name: str, units: Iterable[str] | None = None) -> pl.DataFrame:
        """All rows of a raw table over all finished units, or over some of them.

        Raises:
            RunError: a part is damaged or missing.
        """
        frames = []
        for unit in self.units() if units is None else units:
            marker = self._marker(unit)
            if marker is None:
                raise RunError(
                    f"The unit {unit} in {self.path} is missing or has a damaged done.json; run "
                    "the study again with the same settings and only this unit is made anew."
                )
            part = marker["tables"].get(name)
            if part is None:
                continue
            try:
                frame = read_parquet(self.unit_path(unit) / f"{name}.parquet")
            except DataError as error:
                raise RunError(
                    f"The part {name} of unit {unit} in {self.path} is damaged; run the study "
                    "again with the same settings and only this unit is made anew."
                ) from error
            if frame.height != part["rows"]:
                raise RunError(
                    f"The part {name} of unit {unit} in {self.path} has {frame.height} rows, not "
                    f"{part['rows']}; run the study again with the same settings to mend it."
                )
            frames.append(frame)
        return pl.concat(frames) if frames else tables.ALL[name].empty()

    # Whole tables --------------------------------------------------------------------------

    def write_table(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Validate and store a whole table; returns it as stored."""
        valid = tables.ALL[name].validate(frame)
        write_parquet(valid, self.path / "tables" / f"{name}.parquet")
        return valid

    def has_table(self, name: str) -> bool:
        """Whether a whole table is stored."""
        return (self.path / "tables" / f"{name}.parquet").is_file()

    def table(self, name: str) -> pl.DataFrame:
        """A stored whole table.

        Raises:
            RunError: it is not there or damaged.
        """
        try:
            return read_parquet(self.path / "tables" / f"{name}.parquet")
        except DataError as error:
            raise RunError(f"The run {self.path} has no readable table {name}: {error}") from error

    def table_names(self) -> list[str]:
        """Names of all stored whole tables, sorted."""
        return sorted(p.stem for p in (self.path / "tables").glob("[!.]*.parquet"))


def _files(folder: Path) -> Iterator[Path]:
    """All whole files in a folder and its folders; a link counts as one, and is not followed."""
    for path in folder.iterdir():
        if path.name.startswith(TEMPORARY):  # half-written
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _is_asked(path: Path) -> bool:
    """Whether a file, named within its run folder, may lie there before anything was made."""
    name = path.as_posix()
    return (
        name in _OWN
        or name in {f"tables/{table}.parquet" for table in _ASKED}
        or _REMADE.fullmatch(name) is not None
    )


def _read_marker(path: Path) -> dict[str, Any] | None:
    """What the marker of a unit says; None if it is missing or damaged: the unit is not done."""
    try:
        marker = read_json(path)
        sound = isinstance(marker["unit"], str) and all(
            {"rows", "sha256"} <= part.keys() for part in marker["tables"].values()
        )
    except (DataError, OSError, KeyError, TypeError, AttributeError):
        return None
    return marker if sound else None


def _damaged(path: Path, what: str) -> RunError:
    return RunError(
        f"{what}: which settings {path} was made with is lost, so it cannot be gone on with; put a "
        "copy of that file back, or run the command again with another folder for --out (what is "
        "in units/ and tables/ stays readable as Parquet)."
    )
