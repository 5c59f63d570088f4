"""Tables of any common file type as a stream of (place, row), so that messages can name the line.

.tsv knows no quotes; .csv follows RFC 4180; an empty cell of either is null.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polylore.errors import ConfigError, DataError
from polylore.files import read_parquet

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""File types that can be read."""


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line, row) of every row of a table.

    Raises:
        ConfigError: the file type is unknown.
        DataError: the file is missing, empty, not UTF-8, or a line does not fit its format.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ConfigError(f"{path} must end in {', '.join(SUFFIXES)}.")
    rows = {".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}.get(kind, _jsonl)
    found = False
    try:
        for place, record in rows(path):
            found = True
            yield f"{path}, {place}", record
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}).") from error
    if not found:
        raise DataError(f"{path} is empty; it must hold at least one row.")


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: not valid JSON ({error}).") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}, line {number}: must be one JSON object.")
            yield f"line {number}", record


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            header = next(reader, [])
            for fields in reader:
                yield _row(path, header, fields, reader.line_num)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({error}).") from error


def _tsv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        lines = (line.rstrip("\r\n").split("\t") for line in stream)
        header = next(lines, [])
        for number, fields in enumerate(lines, 2):
            yield _row(path, header, fields, number)


def _row(
    path: Path, header: list[str], fields: list[str], number: int
) -> tuple[str, dict[str, Any]]:
    if len(fields) != len(header):
        raise DataError(
            f"{path}, line {number}: {len(fields)} fields under a header of {len(header)}."
        )
    cells = (None if cell == "" else cell for cell in fields)
    return f"line {number}", dict(zip(header, cells, strict=True))


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, record in enumerate(read_parquet(path).iter_rows(named=True)):
        yield f"row {number}", record
