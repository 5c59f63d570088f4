"""A batch: whole documents one behind the other, or one part of a document too long for that."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from polylore.text import splits_safely

SEPARATOR = b"\0"
"""Between documents; a NUL inside a document becomes U+0001, which is no part of a name either."""
BATCH = 2 << 20
"""Bytes of text that a batch aims at."""
PIECE = 4 << 20
"""A document longer than this comes in parts of about this size."""

Row = tuple[bytes, str | None, str | None, int | None]
"""Text, identity, language and step of one document."""


@dataclass(frozen=True)
class Batch:
    """Documents of one shard, in its order."""

    data: bytes
    """Valid UTF-8: `count` documents with one `SEPARATOR` between each two."""
    count: int
    first: int
    """Number of the first document within its shard, from 0."""
    ids: Sequence[str | None] | None = None
    """Identities, where the shard gives any."""
    langs: Sequence[str | None] | None = None
    """Languages, where the shard gives any."""
    steps: Sequence[tuple[int, ...]] | None = None
    """Steps at which each document was read, one per epoch; None if the order is not known."""
    continues: bool = False
    """Whether this is a further part of the document of the batch before; `count` is 1 then."""
    unfinished: bool = False
    """Whether the document goes on in the next batch; `count` is 1 then."""
    scattered: bool = False
    """Whether each part of the document was read at steps of its own, given by `steps`."""

    def texts(self) -> list[bytes]:
        """The documents, one by one."""
        return self.data.split(SEPARATOR) if self.count else []


def how_many(data: bytes, byte: bytes) -> int:
    """How often a byte occurs; `bytes.count` takes three times as long."""
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == byte[0]))


def join(texts: Sequence[bytes]) -> bytes:
    """Documents one behind the other, with a separator between each two."""
    data = SEPARATOR.join(texts)
    if how_many(data, SEPARATOR) >= len(texts) > 0:
        data = SEPARATOR.join([text.replace(SEPARATOR, b"\1") for text in texts])
    return data


def batches(documents: Iterable[Row], size: int = BATCH) -> Iterator[Batch]:
    """Gather single documents (text, id, language, step) into batches of about `size` bytes."""
    first, held = 0, 0
    rows: list[Row] = []
    for row in documents:
        if held and held + len(row[0]) > size:
            yield _gathered(rows, first)
            first, held, rows = first + len(rows), 0, []
        if len(row[0]) > PIECE:
            yield from in_parts(_gathered([row], first))
            first += 1
            continue
        rows.append(row)
        held += len(row[0]) + 1
    if rows:
        yield _gathered(rows, first)


def _gathered(rows: Sequence[Row], first: int) -> Batch:
    texts, ids, langs, steps = zip(*rows, strict=True)
    return Batch(
        join(texts),
        len(rows),
        first,
        ids if any(i is not None for i in ids) else None,
        langs if any(lang is not None for lang in langs) else None,
        [() if step is None else (step,) for step in steps]
        if any(step is not None for step in steps)
        else None,
    )


def in_parts(batch: Batch, size: int = PIECE) -> Iterator[Batch]:
    """Cut a batch of one document where its normalised form does not change."""
    data, start = batch.data, 0
    while len(data) - start > size:
        end = safe_cut(data, start + size)
        if end is None or end <= start:
            break
        yield replace(batch, data=data[start:end], continues=start > 0, unfinished=True)
        start = end
    yield replace(batch, data=data[start:], continues=start > 0)


_MARGIN = 1 << 16


def safe_cut(data: bytes, at: int) -> int | None:
    """The last place before `at`, not far from it, where valid UTF-8 may be cut; None if none.

    Normalising the two halves and joining them must equal normalising the whole.
    """
    low = max(at - _MARGIN, 0)
    # ASCII never composes with what stands before it.
    for match in re.finditer(rb"[\x00-\x7f]", data[low:at][::-1]):
        return at - match.end()
    while low < at and data[low] & 0xC0 == 0x80:
        low += 1
    tail = data[low:at].decode(errors="ignore")
    for index in range(len(tail) - 1, 0, -1):
        if splits_safely(tail[index]):
            return low + len(tail[:index].encode())
    return None
