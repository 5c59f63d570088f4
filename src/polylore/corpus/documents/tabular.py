"""Documents of tables: CSV, Parquet, and the Arrow files of `datasets`."""

import csv
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from polylore.corpus.documents.batch import BATCH, Batch
from polylore.corpus.documents.columns import Columns, frame_batches
from polylore.corpus.documents.plain import decodable
from polylore.corpus.documents.streams import Health
from polylore.corpus.extras import require
from polylore.errors import DataError


def _rows_of(size: int, rows: int) -> int:
    """How many rows make about a batch."""
    return min(max(BATCH * rows // max(size, 1), 16), 8192)


def csv_batches(
    blocks: Iterable[bytes], columns: Columns, name: str, health: Health, delimiter: str
) -> Iterator[Batch]:
    """Read a CSV file with a header.

    Raises:
        DataError: it has no column with the text.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = (_decoded(line, health) for line in _lines(blocks, health))
    reader = csv.DictReader(lines, delimiter=delimiter)
    if columns.text not in (reader.fieldnames or ()):
        raise DataError(_no_column(name, columns.text, list(reader.fieldnames or ())))
    rows: list[tuple[Any, ...]] = []
    number, size = 0, 0
    for row in reader:
        values = columns.values(row, f"{name}, line {reader.line_num}")
        rows.append(values)
        size += len(values[0] or "")
        if size > BATCH:
            yield from _rows(rows, columns, number)
            number, rows, size = number + len(rows), [], 0
    yield from _rows(rows, columns, number)


def _lines(blocks: Iterable[bytes], health: Health) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest and health.damaged is None:  # else it breaks off within this line
        yield rest


def _decoded(line: bytes, health: Health) -> str:
    return decodable(line, health).decode("utf-8-sig")


def _rows(rows: list[tuple[Any, ...]], columns: Columns, number: int) -> Iterator[Batch]:
    frame = pl.DataFrame(rows, schema=columns.schema(), orient="row")
    yield from frame_batches(frame, columns, number)


def parquet_batches(stream: Any, columns: Columns, name: str) -> Iterator[Batch]:
    """Read a Parquet file, a few rows at a time.

    Raises:
        DataError: it has no column with the text, or of another type.
    """
    parquet = require("pyarrow.parquet")
    # Without a buffer whole row groups, which may be the whole file, would be read at once.
    file = parquet.ParquetFile(stream, buffer_size=BATCH, pre_buffer=False)
    names = file.schema_arrow.names
    wanted = [column for column in columns.schema() if column in names]
    if columns.text not in names:
        raise DataError(_no_column(name, columns.text, names))
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    rows = _rows_of(sum(group.total_byte_size for group in groups), file.metadata.num_rows)
    found = file.iter_batches(batch_size=rows, columns=wanted)
    yield from _record_batches(found, columns, name)


def arrow_batches(stream: Any, columns: Columns, name: str) -> Iterator[Batch]:
    """Read an Arrow file, as a stream (`datasets` writes those) or with a footer.

    Raises:
        DataError: it has no column with the text, or of another type.
    """
    ipc = require("pyarrow.ipc")
    magic = stream.read(6)
    stream.seek(0)
    if magic == b"ARROW1":
        reader = ipc.open_file(stream)
        found = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        reader = ipc.open_stream(stream)
        found = iter(reader)
    names = reader.schema.names
    if columns.text not in names:
        raise DataError(_no_column(name, columns.text, names))
    wanted = [column for column in columns.schema() if column in names]
    yield from _record_batches((batch.select(wanted) for batch in found), columns, name)


def _record_batches(found: Iterable[Any], columns: Columns, name: str) -> Iterator[Batch]:
    number = 0
    for batch in found:
        rows = _rows_of(batch.nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, rows):
            frame = _typed(pl.DataFrame(batch.slice(start, rows)), columns, name)
            yield from frame_batches(frame, columns, number)
            number += frame.height


def _typed(frame: pl.DataFrame, columns: Columns, name: str) -> pl.DataFrame:
    series = []
    for column, dtype in columns.schema().items():
        if column not in frame.columns:
            series.append(pl.Series(column, [None] * frame.height, dtype=dtype))
            continue
        if column == columns.text and frame[column].dtype not in (pl.String, pl.Categorical):
            raise DataError(
                f"The column '{column}' of {name} holds {frame[column].dtype}, not text; name the "
                "right one with documents.text."
            )
        series.append(frame[column].cast(dtype))
    return pl.DataFrame(series)


def _no_column(name: str, text: str, there: list[str]) -> str:
    return (
        f"{name} has no column '{text}' but {', '.join(map(str, there[:20])) or 'none'}; name the "
        "one with the text with documents.text."
    )
