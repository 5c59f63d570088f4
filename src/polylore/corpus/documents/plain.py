"""Documents of text files: paragraphs, lines or whole files."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.documents.batch import (
    PIECE,
    SEPARATOR,
    Batch,
    in_parts,
    join,
    safe_cut,
)
from polylore.corpus.documents.streams import Health

_BOM = b"\xef\xbb\xbf"


def text_batches(blocks: Iterable[bytes], mode: str, health: Health) -> Iterator[Batch]:
    """Cut a stream of bytes into documents.

    Args:
        blocks: content of the file, in pieces of any size.
        mode: `paragraph` (between empty lines), `line` or `file`; empty ones are no documents.
        health: told of bytes that are not UTF-8.
    """
    splitter, begun = _Splitter(mode, health), False
    for block in blocks:
        if block and not begun:
            begun, block = True, block.removeprefix(_BOM)
        yield from splitter.add(block)
    yield from splitter.end()


class _Splitter:
    """Gathers blocks until documents are complete, or too long to wait for."""

    def __init__(self, mode: str, health: Health) -> None:
        self._mode, self._health = mode, health
        self._number = 0
        self._rest = b""
        self._inside = False
        """Whether a part of the document at the beginning of `_rest` has been handed out."""

    def add(self, block: bytes) -> Iterator[Batch]:
        """Take the next block."""
        cut = _cut(block, self._mode)
        if cut:
            data = bytearray(self._rest)
            data += memoryview(block)[:cut]
            self._rest = block[cut:]
            yield from self._complete(data)
        else:
            self._rest += block
        while len(self._rest) > PIECE:
            if self._mode != "file":
                # Lines of white space may be all that parts the documents.
                plain = bytearray(self._rest)
                _blank(plain)
                cut = _cut(plain, self._mode)
                self._rest = bytes(plain[cut:])
                if cut:
                    yield from self._complete(plain[:cut])
                    continue
            end = _piece(self._rest)
            if not end:
                break
            text = decodable(self._rest[:end], self._health, first=not self._inside)
            self._rest = self._rest[end:]
            yield Batch(join([text]), 1, self._number, continues=self._inside, unfinished=True)
            self._inside = True

    def end(self) -> Iterator[Batch]:
        """Hand out what is left."""
        yield from self._complete(bytearray(self._rest))

    def _complete(self, data: bytearray) -> Iterator[Batch]:
        if self._inside:
            first = _first(data, self._mode)
            text = decodable(bytes(data[:first]), self._health, first=False)
            yield Batch(join([text]), 1, self._number, continues=True)
            self._number, self._inside, data = self._number + 1, False, data[first:]
        for batch in _whole(data, self._mode, self._number, self._health):
            yield batch
            if not batch.unfinished:
                self._number += batch.count


def _whole(data: bytearray, mode: str, first: int, health: Health) -> Iterator[Batch]:
    """Batches of the complete documents in a block."""
    if SEPARATOR in data:
        data = data.replace(SEPARATOR, b"\1")
    count = 1 if mode == "file" else 1 + _separate(data, mode)
    found = bytes(data)
    if not found or found.isspace():
        return
    if not is_utf8(found):
        found = SEPARATOR.join([decodable(text, health) for text in found.split(SEPARATOR)])
    batch = Batch(found, count, first)
    yield from in_parts(batch) if count == 1 else [batch]


def _separate(data: bytearray, mode: str) -> int:
    """Put a separator in place of the first of the line breaks between two documents.

    Line breaks that follow it do no harm, and nothing between two separators is empty.

    Returns:
        How many it put.
    """
    found = _blank(data, edges=True)
    codes = np.frombuffer(data, dtype=np.uint8)
    starts = found[np.diff(found, prepend=-2) > 1]
    # Line breaks at the beginning and at the end are between nothing.
    if len(starts) and starts[0] == 0:
        starts = starts[1:]
    if len(starts) and found[-1] == len(data) - 1:
        starts = starts[:-1]
    if mode == "paragraph":
        starts = starts[codes[starts + 1] == _BREAK]
    codes[starts] = SEPARATOR[0]
    return len(starts)


def _blank(data: bytearray, *, edges: bool = False) -> NDArray[np.intp]:
    """Fill lines of nothing but white space with line breaks.

    The first and the last line, which may be parts of longer ones, only with `edges`.

    Returns:
        Where its line breaks are now.
    """
    codes = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(codes == _BREAK)
    found = np.concatenate([[-1], breaks, [len(data)]]) if edges else breaks
    gaps = np.flatnonzero(np.diff(found) > 1)
    filled = False
    for place in gaps[_WHITE[codes[found[gaps] + 1]]].tolist():
        start, end = int(found[place]) + 1, int(found[place + 1])
        if data[start:end].isspace():
            codes[start:end], filled = _BREAK, True
    return np.flatnonzero(codes == _BREAK) if filled else breaks


_BREAK = ord("\n")
_WHITE = np.array([chr(code) in " \t\r\f\v" for code in range(256)])


def _cut(data: bytes | bytearray, mode: str) -> int:
    """Behind the last document that is surely complete; 0 if none is."""
    if mode == "file":
        return 0
    breaks = [b"\n"] if mode == "line" else [b"\n\n"]
    if mode == "paragraph" and b"\r" in data:
        breaks.append(b"\n\r\n")
    found = (data.rfind(one) + len(one) for one in breaks if one in data)
    return max(found, default=0)


def _first(data: bytearray, mode: str) -> int:
    """Behind the first document of a block of complete ones."""
    if mode == "file":
        return len(data)
    if mode == "paragraph":
        _blank(data)
    at = data.find(b"\n" if mode == "line" else b"\n\n")
    return len(data) if at < 0 else at + 1


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
