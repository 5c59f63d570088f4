"""Rows on the disk: written once, hashed while they are written, and read as they are."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from polylore.corpus.injection.format import Encode, RowFormat
from polylore.errors import DataError
from polylore.files import atomic_path, read_json, write_json
from polylore.training.continued.streams import PackedRows
from polylore.training.injection.loop import loop_format
from polylore.training.packing import open_packed, pack
from polylore.training.stream import read_config
from polylore.training.tokenizer import open_tokenizer

Row = tuple[npt.ArrayLike, npt.ArrayLike | None]
"""Tokens of a row, and their labels if not all but the padding is predicted; (L,) each."""
_TOKENS, _LABELS = "<u4", "<i4"
_TEXTS = 1024  # encoded at once
_LOOK_AHEAD = 256  # documents that may wait for a row they fit into


def write_rows(rows: Iterable[Row], form: RowFormat, folder: str | Path) -> Path:
    """Write rows in their order; whole or not at all.

    Args:
        rows: rows of `form.length`; either all have labels or none has.
        form: what a row looks like.
        folder: where to write.

    Raises:
        DataError: a row of another length, labels for some rows only, or no row at all.
    """
    folder = Path(folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        with (
            (temporary / "tokens.bin").open("wb") as tokens,
            (temporary / "labels.bin").open("wb") as labels,
        ):
            count, labelled, content = _write(rows, form, tokens, labels)
        if not labelled:
            (temporary / "labels.bin").unlink()
        facts = {**vars(form), "rows": count, "labels": labelled, "sha256": content}
        write_json(facts, temporary / "rows.json")
    return folder


def _write(
    rows: Iterable[Row], form: RowFormat, tokens: BinaryIO, labels: BinaryIO
) -> tuple[int, bool, str]:
    content: Any = hashlib.sha256()
    count, labelled = 0, False
    for row, told in rows:
        labelled = labelled or (count == 0 and told is not None)
        parts = [(tokens, np.asarray(row, dtype=_TOKENS))]
        if told is not None:
            parts.append((labels, np.asarray(told, dtype=_LABELS)))
        if len(parts) != 1 + labelled or any(part.shape != (form.length,) for _, part in parts):
            raise DataError(
                f"Row {count} is not one of {form.length} tokens with labels as the first one has."
            )
        for stream, part in parts:
            stream.write(part.tobytes())
            content.update(part.tobytes())
        count += 1
    if not count:
        raise DataError("There is not enough text for a single row; give more, or shorter rows.")
    return count, labelled, str(content.hexdigest())


def open_rows(
    folder: str | Path, batch_size: int, *, first: int = 0, steps: int | None = None
) -> PackedRows:
    """Rows that `write_rows` or `pack_texts` wrote; arguments as for `PackedRows`.

    Raises:
        DataError: they are missing or damaged.
        ConfigError: there are fewer rows than the steps need.
    """
    folder = Path(folder)
    facts = read_json(folder / "rows.json")
    try:
        form = RowFormat(*(facts[name] for name in ("length", "eos", "pad", "head")))
        shape = (facts["rows"], form.length)
        files = {"tokens": _TOKENS} | ({"labels": _LABELS} if facts["labels"] else {})
        arrays = {
            name: np.memmap(folder / f"{name}.bin", dtype=dtype, mode="r", shape=shape)
            for name, dtype in files.items()
        }
        digest = facts["sha256"]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{folder} holds no whole rows ({error}); write them again.") from error
    return PackedRows(
        arrays["tokens"],
        batch_size,
        form,
        labels_NL=arrays.get("labels"),
        first=first,
        steps=steps,
        digest=digest,
    )


def pack_texts(texts: Iterable[str], encode: Encode, form: RowFormat, folder: str | Path) -> Path:
    """Documents into rows, in their order, each closed by the boundary.

    With padding, documents stay whole (longer ones than a row are cut) and a row takes the longest
    waiting one that fits, as in training from scratch. Without, they form one stream that is cut
    into full rows; what does not fill the last row is left out.

    Args:
        texts: the documents.
        encode: token ids of texts, nothing added.
        form: what a row looks like.
        folder: where to write.

    Raises:
        DataError: not enough text for a single row.
    """
    documents = _encoded(texts, encode, form.eos)
    made = _stream(documents, form) if form.pad is None else _whole(documents, form, form.pad)
    return write_rows(((row, None) for row in made), form, folder)


def contents(sizes: Iterable[int], form: RowFormat) -> Iterator[list[tuple[int, int]]]:
    """Which documents the rows of `pack_texts` hold.

    Args:
        sizes: tokens of every document, its boundary included, in their order.
        form: what a row looks like.

    Yields:
        For every row, number and tokens of each document, or part of one, that it holds.
    """
    if form.pad is None:
        row: list[tuple[int, int]] = []
        room = form.capacity
        for document, size in enumerate(sizes):
            while size:
                part = min(size, room)
                row.append((document, part))
                size, room = size - part, room - part
                if not room:
                    yield row
                    row, room = [], form.capacity
        return
    pieces: list[tuple[int, int]] = []

    def cut() -> Iterator[int]:
        for document, size in enumerate(sizes):
            for start in range(0, size, form.capacity):
                pieces.append((document, min(form.capacity, size - start)))
                yield pieces[-1][1]

    for chosen in pack(cut(), form.capacity, _LOOK_AHEAD):
        yield [pieces[item] for item in chosen]


def _encoded(texts: Iterable[str], encode: Encode, eos: int) -> Iterator[list[int]]:
    left = iter(texts)
    while some := list(islice(left, _TEXTS)):
        for ids in encode(some):
            yield [*ids, eos]


def _stream(documents: Iterable[list[int]], form: RowFormat) -> Iterator[list[int]]:
    waiting: list[int] = []
    for ids in documents:
        waiting += ids
        while len(waiting) >= form.capacity:
            yield [form.eos] * form.head + waiting[: form.capacity]
            waiting = waiting[form.capacity :]


def _whole(documents: Iterable[list[int]], form: RowFormat, pad: int) -> Iterator[list[int]]:
    waiting: dict[int, list[int]] = {}

    def sizes() -> Iterator[int]:
        count = 0
        for ids in documents:
            for start in range(0, len(ids), form.capacity):
                waiting[count] = ids[start : start + form.capacity]
                yield len(waiting[count])
                count += 1

    for chosen in pack(sizes(), form.capacity, _LOOK_AHEAD):
        row = [form.eos] * form.head
        for item in chosen:
            row += waiting.pop(item)
        yield row + [pad] * (form.length - len(row))


def open_training_rows(
    training: str | Path,
    *,
    batch_size: int | None = None,
    first: int = 0,
    steps: int | None = None,
) -> PackedRows:
    """The sequences that a training run of polylore reads, as rows.

    Args:
        training: its folder.
        batch_size: rows of a step, if not those of the run.
        first, steps: as for `PackedRows`.

    Raises:
        DataError: the folder holds no training run, or its sequences are gone.
        ConfigError: there are fewer rows than the steps need.
    """
    training = Path(training)
    config = read_config(training)
    packed = open_packed(training / "data", config)
    form = loop_format(config.context, open_tokenizer(training / "tokenizer"))
    return PackedRows(
        packed.sequences, batch_size or config.batch_size, form, first=first, steps=steps
    )
