"""Documents of text files: paragraphs, lines or whole files."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.documents.batch import PIECE, SEPARATOR, Batch, in_parts, join, safe_cut
from polylore.corpus.documents.streams import Health

_BLANK = re.compile(rb"\n[ \t\f\v\r]+(?=\n)")
_BOM = b"\xef\xbb\xbf"


def text_batches(blocks: Iterable[bytes], mode: str, health: Health) -> Iterator[Batch]:
    """Cut a stream of bytes into documents.

    Args:
        blocks: content of the file, in pieces of any size.
        mode: `paragraph` (between empty lines), `line` or `file`; empty ones are no documents.
        health: told of bytes that are not UTF-8.
    """
    number, rest, inside, begun = 0, b"", False, False
    for block in chain(blocks, [None]):
        rest = _tidy(rest + block if block else rest, mode)
        if not begun and rest:
            rest, begun = rest.removeprefix(_BOM), True
        cut = len(rest) if block is None else _cut(rest, mode)
        view, rest = memoryview(rest)[:cut], rest[cut:]
        if inside and cut:
            # It begins with the end of a long document.
            head = bytes(view)
            text, _, head = head.partition(_BETWEEN[mode]) if mode != "file" else (head, b"", b"")
            yield Batch(join([decodable(text, health, first=False)]), 1, number, continues=True)
            number, inside, view = number + 1, False, memoryview(head)
        for batch in _whole(view, mode, number, health):
            yield batch
            if not batch.unfinished:
                number += batch.count
        while len(rest) > PIECE and (end := _piece(rest)):
            piece = join([decodable(rest[:end], health, first=not inside)])
            yield Batch(piece, 1, number, continues=inside, unfinished=True)
            rest, inside = rest[end:], True
    if inside:  # the file ended with a part
        yield Batch(b"", 1, number, continues=True)


def _whole(view: memoryview, mode: str, first: int, health: Health) -> Iterator[Batch]:
    """Batches of the complete documents in a block."""
    data = _separated(view, mode)
    if not data or data.isspace():
        return
    if not is_utf8(data):
        data = SEPARATOR.join([decodable(text, health) for text in data.split(SEPARATOR)])
    count = 1 + int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == SEPARATOR[0]))
    batch = Batch(data, count, first)
    yield from in_parts(batch) if count == 1 else [batch]


def _separated(view: memoryview, mode: str) -> bytes:
    """The data with a separator instead of the first of the line breaks between two documents.

    Line breaks that follow it do no harm, and nothing between two separators is empty.
    """
    data = bytearray(view)
    codes = np.frombuffer(data, dtype=np.uint8)
    if SEPARATOR in data:
        codes[codes == SEPARATOR[0]] = 1
    if mode == "file":
        return bytes(data)
    found = np.flatnonzero(codes == ord("\n"))
    if not len(found):
        return bytes(data)
    starts = found[np.diff(found, prepend=-2) > 1]
    # The last line breaks end the last document, and the first ones begin the first.
    inner = starts[(starts > 0) & (starts < _end(codes, found))]
    if mode == "paragraph":
        inner = inner[codes[inner + 1] == ord("\n")]
    codes[inner] = SEPARATOR[0]
    return bytes(data)


def _end(codes: NDArray[np.uint8], found: NDArray[np.intp]) -> int:
    """Where the line breaks at the end begin."""
    last = len(codes)
    for place in found[::-1].tolist():
        if place != last - 1:
            break
        last = place
    return last


_BETWEEN = {"paragraph": b"\n\n", "line": b"\n"}


def _tidy(data: bytes, mode: str) -> bytes:
    """Plain line ends, and nothing on empty lines."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return data if mode == "file" else _BLANK.sub(b"\n", data)


def _cut(data: bytes, mode: str) -> int:
    """Behind the last document that is surely complete; 0 if none is."""
    if mode == "file":
        return 0
    between = _BETWEEN[mode]
    at = data.rfind(between)
    return 0 if at < 0 else at + len(between)


def _piece(data: bytes) -> int | None:
    """Where to cut a part of a long document off, so that no separator is cut in two."""
    end = safe_cut(data, PIECE)
    while end and data[end - 1 : end].isspace():
        end = safe_cut(data, end - 1)
    return end


def is_utf8(data: bytes) -> bool:
    """Whether bytes are valid UTF-8, many times faster than by decoding them."""
    import polars as pl

    try:
        pl.Series([data]).cast(pl.String())
    except pl.exceptions.PolarsError:
        return False
    return True


def decodable(text: bytes, health: Health, *, first: bool = True) -> bytes:
    """The text with U+FFFD for bytes that are not UTF-8, which `health` is told of."""
    if is_utf8(text):
        return text
    replaced = text.decode("utf-8", errors="replace")
    health.undecodable_documents += first
    health.undecodable_bytes += replaced.count("\ufffd") - text.count(b"\xef\xbf\xbd")
    return replaced.encode()
