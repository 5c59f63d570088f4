"""Fictional items as three tables: subjects, the passages that tell of them, and the probes."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.config import digest
from polylore.errors import DataError
from polylore.facts.table_files import records
from polylore.files import read_parquet, write_parquet
from polylore.tables import inject

NAMES = ("items", "passages", "probes")


@dataclass(frozen=True)
class Fiction:
    """Items of one study."""

    items: pl.DataFrame
    """Contract `tables.inject.ITEMS`."""
    passages: pl.DataFrame
    """Contract `tables.inject.PASSAGES`."""
    probes: pl.DataFrame
    """Contract `tables.inject.PROBES`."""

    @property
    def languages(self) -> list[str]:
        """Languages of passages and probes."""
        return sorted({*self.passages["lang"], *self.probes["lang"]})

    @property
    def controls(self) -> list[str]:
        """Items that are probed and never injected."""
        return self.items.filter("control")["item_id"].to_list()

    def digest(self) -> str:
        """SHA-256 of everything the tables hold."""
        return digest([getattr(self, name).to_dicts() for name in NAMES])

    def export(self, folder: str | Path) -> None:
        """Write items.parquet, passages.parquet and probes.parquet."""
        for name in NAMES:
            write_parquet(getattr(self, name), Path(folder) / f"{name}.parquet")


def read_fiction(folder: str | Path) -> Fiction:
    """Read the three tables of a folder: Parquet, JSON lines, CSV or TSV each.

    Raises:
        DataError: a table is missing, breaks its contract, or names what another one lacks.
    """
    folder = Path(folder)
    frames = {}
    for name in NAMES:
        found = [path for path in sorted(folder.glob(f"{name}.*")) if path.is_file()]
        if len(found) != 1:
            raise DataError(
                f"{folder} must hold one file {name}.parquet or {name}.jsonl; it has {len(found)}."
            )
        frames[name] = _read(found[0], name)
    return checked(Fiction(**frames), str(folder))


def _read(path: Path, name: str) -> pl.DataFrame:
    table = getattr(inject, name.upper())
    if path.suffix == ".parquet":
        frame: pl.DataFrame = table.validate(read_parquet(path))
        return frame
    rows = []
    for where, record in records(path):
        unknown = set(record) - set(table.schema)
        if unknown:
            raise DataError(f"{where}: there is no field {', '.join(sorted(unknown))}.")
        lacking = [c.name for c in table.columns if not c.nullable and record.get(c.name) is None]
        if lacking:
            raise DataError(f"{where}: the field {', '.join(lacking)} is missing.")
        rows.append(record)
    built: pl.DataFrame = table.build(rows)
    return built


def checked(fiction: Fiction, where: str) -> Fiction:
    """Refuse tables that do not fit together, or whose texts cannot be scored.

    Raises:
        DataError: an unknown item, an empty passage or target, or text that is not NFC.
    """
    known = set(fiction.items["item_id"])
    for name in ("passages", "probes"):
        frame = getattr(fiction, name)
        strange = frame.filter(~pl.col("item_id").is_in(list(known)))
        if strange.height:
            raise DataError(
                f"{where}, {name}: item {strange['item_id'][0]} is not among the items."
            )
    for name, key, column in (
        ("passages", "passage_id", "text"),
        ("probes", "probe_id", "target"),
    ):
        frame = getattr(fiction, name)
        empty = frame.filter(pl.col(column).str.strip_chars().str.len_chars() == 0)
        if empty.height:
            raise DataError(f"{where}, {name}: the {column} of {empty[key][0]} is empty.")
        loose = frame.filter(pl.col(column) != pl.col(column).str.normalize("NFC"))
        if loose.height:
            raise DataError(
                f"{where}, {name}: the {column} of {loose[key][0]} is not in Unicode form NFC; "
                "normalise the file."
            )
    return fiction
