"""The composed corpus as training reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.errors import DataError
from polylore.files import read_json, read_parquet
from polylore.tables import raw


@dataclass(frozen=True)
class Documents:
    """The documents of a composed corpus, in order of reading."""

    folder: Path
    digest: str
    """Digest of everything that decides the documents."""
    count: int
    """Number of documents."""
    parts: tuple[Path, ...]

    def frames(self) -> Iterator[pl.DataFrame]:
        """One part at a time; contract `tables.raw.DOCUMENTS`.

        Raises:
            DataError: a part is missing, damaged or out of order.
        """
        expected = 0
        for path in self.parts:
            frame = raw.DOCUMENTS.validate(read_parquet(path))
            ids = pl.int_range(expected, expected + frame.height, dtype=pl.Int64, eager=True)
            if not frame["doc_id"].equals(ids):
                raise DataError(f"{path} does not continue the order of reading; compose again.")
            expected += frame.height
            yield frame
        if expected != self.count:
            raise DataError(
                f"{self.folder} holds {expected} documents instead of {self.count}; compose again."
            )

    def table(self) -> pl.LazyFrame:
        """All documents, read lazily."""
        return pl.scan_parquet(list(self.parts))

    def expressed(self) -> pl.DataFrame:
        """Facts that sentences express besides their own."""
        return read_parquet(self.folder / "expressed.parquet")


def open_documents(folder: str | Path) -> Documents:
    """Open a composed corpus.

    Raises:
        DataError: the folder holds no finished corpus, or an empty one.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        raise DataError(f"{folder} holds no finished corpus; make one with `polylore compose`.")
    manifest = read_json(folder / "manifest.json")
    try:
        parts = tuple(folder / "documents" / name for name in manifest["parts"])
        found = Documents(folder, manifest["digest"], manifest["counts"]["documents"], parts)
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder} holds something else than a composed corpus.") from error
    if not found.count:
        raise DataError(f"The corpus in {folder} has no documents; compose it again.")
    return found
