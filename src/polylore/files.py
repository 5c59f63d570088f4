"""Files that are either whole or absent.

Everything is written under a temporary name in the same folder and moved into place at the end, so
a crash, a full disk or Ctrl-C never leaves a half-written file under its real name.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylore.errors import DataError, RunError

if TYPE_CHECKING:
    import polars as pl

TEMPORARY = ".tmp-"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling; on success it becomes `path`, on failure it is removed.

    Works for files and for folders (an existing folder at `path` is replaced).

    Raises:
        RunError: the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        _make(path.parent)
        _remove(temporary)
        yield temporary
        if temporary.is_dir() and path.is_dir():
            _remove(path)
        temporary.replace(path)
    except PermissionError as error:
        raise RunError(
            f"Cannot write {error.filename or path}: permission denied; choose another folder or "
            "change its rights."
        ) from error
    except FileExistsError as error:
        raise RunError(f"Cannot make {path}: {error.filename} is a file, not a folder.") from error
    except NotADirectoryError as error:
        raise RunError(f"Cannot write {path}: a part of that path is not a folder.") from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RunError(
            f"Cannot write {path}: {error.strerror}; choose another folder or make room, and run "
            "the same command again: what is finished is kept."
        ) from error
    finally:
        _remove(temporary)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # a file system that takes no folders
        raise RunError(f"Cannot make the folder {folder}; choose another one.") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def clear_temporary(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left behind in a folder that only we write to.

    Args:
        folder: the folder.
        name: remove only what would have become this; nobody else may be writing it.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        if name in (None, path.name.removeprefix(TEMPORARY).partition("-")[2]):
            _remove(path)


def write_json(value: Any, path: str | Path) -> None:
    """Write JSON, readable by people, atomically."""
    with atomic_path(path) as temporary:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"There is no file {path}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}).") from error


def refuse_other(manifest: str | Path, key: str, digest: str, what: str) -> None:
    """Keep an export from taking the place of another one; the same one may be written again.

    Args:
        manifest: file that names the content of a folder; absent where nothing was exported.
        key: where it holds the digest.
        digest: of what is to be written.
        what: what the folder holds, in a word.

    Raises:
        RunError: the folder holds another one.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        return
    try:
        there = read_json(manifest)
    except DataError:
        there = None
    if not isinstance(there, dict) or there.get(key) != digest:
        raise RunError(
            f"{manifest.parent} holds another {what}; choose another folder or delete it."
        )


def write_parquet(frame: "pl.DataFrame", path: str | Path) -> None:
    """Write a Parquet file atomically."""
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", statistics=True)


_WANTED = (
    "a Parquet file or, if polylore wrote it, move it away and run the command that wrote it again"
)


def read_parquet(path: str | Path, wanted: str = _WANTED) -> "pl.DataFrame":
    """Read a Parquet file.

    Args:
        path: the file; it may be the user's own, so the advice in messages never is to delete it.
        wanted: what belongs there, for the message.

    Raises:
        DataError: the file is missing or damaged.
    """
    import polars as pl

    try:
        return pl.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} is not a readable Parquet file ({str(error).splitlines()[0]}); give {wanted}."
        ) from error


def sha256_file(path: str | Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
