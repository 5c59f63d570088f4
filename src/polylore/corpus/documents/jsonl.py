"""Documents of JSON lines: one object per line."""

import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import polars as pl

from polylore.corpus.documents.batch import PIECE, Batch, how_many, in_parts, join
from polylore.corpus.documents.columns import Columns, frame_batches
from polylore.corpus.documents.plain import decodable, is_utf8
from polylore.corpus.documents.streams import Health
from polylore.errors import DataError


def jsonl_batches(
    blocks: Iterable[bytes], columns: Columns, name: str, health: Health
) -> Iterator[Batch]:
    """Read JSON lines.

    Args:
        blocks: content of the file, in pieces of any size.
        columns: fields to read.
        name: the file, for messages.
        health: told of bytes that are not UTF-8.

    Raises:
        DataError: a line is not a JSON object, or no line has the field with the text.
    """
    number, line, texts = 0, 1, 0
    for block in _lines(blocks, health):
        if isinstance(block, bytearray):
            row = _long_row(block, columns, f"{name}, line {line}", health)
            texts, line = texts + (row[0] is not None), line + 1
            batch = _long_batch(row, columns, number)
            del row  # it holds the text once more
            yield from in_parts(batch)
            number += 1
            continue
        if line == 1:
            block = block.removeprefix(b"\xef\xbb\xbf")
        frame = _frame(block, columns, name, line, health)
        line += how_many(block, b"\n")
        texts += frame.height - frame[columns.text].null_count()
        # A field that never holds a text is a wrong name, not a corpus of empty documents.
        if frame.height and not texts:
            raise DataError(
                f"{name}, line {line - 1}: there is no field '{columns.text}' with a text; name "
                "the right one with documents.text."
            )
        yield from frame_batches(frame, columns, number)
        number += frame.height


def _lines(blocks: Iterable[bytes], health: Health) -> Iterator[bytes | bytearray]:
    """Blocks of whole lines; a line longer than `PIECE` comes alone, as a bytearray."""
    held = bytearray()
    for found in chain(blocks, [None]):
        if found is None and health.damaged is not None:
            return  # the line in which a damaged file breaks off is not readable
        block = b"\n" if found is None else found
        first, last = block.find(b"\n") + 1, block.rfind(b"\n") + 1
        if not first:
            held += block
        elif len(held) > PIECE:
            held += block[:first]
            yield held
            held = bytearray(block[last:])
            if first < last:
                yield block[first:last]
        else:
            yield b"".join([held, memoryview(block)[:last]])
            held = bytearray(block[last:])


def _long_row(line: bytearray, columns: Columns, where: str, health: Health) -> tuple[Any, ...]:
    """Values of a long line, which is emptied on the way: it is held as few times as possible."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="replace")
        health.undecodable_documents += 1
        health.undecodable_bytes += text.count("\ufffd") - line.count(b"\xef\xbf\xbd")
    line.clear()
    return _values(text, columns, where)


def _long_batch(row: tuple[Any, ...], columns: Columns, number: int) -> Batch:
    values = dict(zip(columns.schema(), row, strict=True))
    step = None if columns.step is None else values[columns.step]
    return Batch(
        join([(row[0] or "").encode()]),
        1,
        number,
        [values[columns.id]] if columns.id else None,
        [values[columns.lang]] if columns.lang else None,
        None if columns.step is None else [() if step is None else (step,)],
    )


def _frame(block: bytes, columns: Columns, name: str, line: int, health: Health) -> pl.DataFrame:
    try:
        return pl.read_ndjson(io.BytesIO(block), schema=columns.schema())
    except pl.exceptions.PolarsError:
        pass  # the slow way finds the place, or gets by
    rows = [
        row
        for at, raw in enumerate(block.split(b"\n"))
        if (row := _row(raw, columns, f"{name}, line {line + at}", health)) is not None
    ]
    return pl.DataFrame(rows, schema=columns.schema(), orient="row")


def _row(raw: bytes, columns: Columns, where: str, health: Health) -> tuple[Any, ...] | None:
    if not raw or raw.isspace():
        return None
    if not is_utf8(raw):
        raw = decodable(raw, health)
    return _values(raw, columns, where)


def _values(line: str | bytes, columns: Columns, where: str) -> tuple[Any, ...]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}); mend or remove the line.") from error
    except RecursionError as error:
        raise DataError(f"{where}: nested too deeply; mend or remove the line.") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: must be a JSON object with a field '{columns.text}'.")
    return columns.values(row, where)
