"""Bytes of a shard, decompressed as they are read; damage is noticed and named."""

import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from polylore.corpus.documents.shards import Shard, file_system
from polylore.corpus.extras import require
from polylore.errors import ConfigError, DataError

CHUNK = 8 << 20
_READ, _PIECE = 1 << 20, 1 << 21
"""Bytes of zst read, and of any content decompressed, at a time."""


@dataclass
class Health:
    """What was wrong with a shard."""

    undecodable_documents: int = 0
    """Documents with bytes that are not UTF-8; those bytes count as U+FFFD."""
    undecodable_bytes: int = 0
    """Replacement characters that stand for them."""
    damaged: str | None = None
    """Why the rest of the file could not be read; None if it was read to its end."""
    position: int = 0
    """How far the file has been read, in bytes as stored."""


@contextmanager
def opened(shard: Shard) -> Iterator[tuple[Any, Any]]:
    """A binary stream over a shard's uncompressed content, and the stored one beneath it.

    Raises:
        DataError: it cannot be opened.
        ConfigError: a package is not installed.
    """
    fs, path = file_system(shard.name)
    try:
        raw = fs.open(path, "rb")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"Cannot open {shard.name}: {reason}.") from error
    with raw:
        if shard.compression is None:
            yield raw, raw
        else:
            with _decompressed(raw, shard.compression) as stream:
                yield stream, raw


def _decompressed(raw: Any, compression: str) -> Any:
    if compression == "gz":
        return gzip.GzipFile(fileobj=raw)
    if compression == "xz":
        return lzma.LZMAFile(raw)
    return _ZstdStream(raw)


class _ZstdStream(io.RawIOBase):
    """Decompressed zst; the library's own stream reads few kilobytes at a time, a third slower."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._decoder = raw, _zstd().ZstdDecompressor()

    def readable(self) -> bool:
        return True

    def read1(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        data = b""
        while not data:
            rest = b""
            if self._decoder.eof:  # another frame may follow
                rest = self._decoder.unused_data or self._raw.read(_READ)
                if not rest:
                    break
                self._decoder = _zstd().ZstdDecompressor()
            elif self._decoder.needs_input:
                rest = self._raw.read(_READ)
                if not rest:
                    raise EOFError("it ends within a frame")
            data = self._decoder.decompress(rest, size)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _zstd() -> Any:
    return require("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def chunks(shard: Shard, health: Health, *, partial: bool, size: int = CHUNK) -> Iterator[bytes]:
    """The uncompressed content in pieces.

    Args:
        shard: what to read.
        health: told why the content ends too early.
        partial: whether that is all right.
        size: bytes that a piece has at least, but for the last.

    Raises:
        DataError: the file cannot be opened, or is damaged and `partial` is not set.
    """
    with opened(shard) as (stream, raw):
        pieces: list[bytes] = []
        held = 0
        try:
            if shard.compression and shard.size == 0:
                raise EOFError("the file is empty")
            # read1 hands out what there is before it meets damage.
            while piece := stream.read1(_PIECE) if shard.compression else stream.read(size):
                pieces.append(piece)
                held += len(piece)
                if held >= size:
                    health.position = raw.tell()
                    yield b"".join(pieces)
                    pieces, held = [], 0
        except damage() as error:
            note_damage(shard, health, error, partial=partial)
        health.position = raw.tell()
        if pieces:
            yield b"".join(pieces)


def damage() -> tuple[type[Exception], ...]:
    """What reading raises when a file ends too early or holds nonsense."""
    known = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)  # Arrow's are ValueErrors
    try:
        return (*known, _zstd().ZstdError)
    except ConfigError:
        return known  # without the package no such file was opened


def note_damage(shard: Shard, health: Health, error: Exception, *, partial: bool) -> None:
    """Note that a shard ends too early, or refuse it.

    Raises:
        DataError: `partial` is not set.
    """
    reason = "it is truncated" if isinstance(error, EOFError) else (str(error) or "it is damaged")
    health.damaged = reason.splitlines()[0].rstrip(".")
    if not partial:
        raise DataError(
            f"{shard.name} cannot be read to its end ({health.damaged}); mend it, or count its "
            "readable part with --documents.partial true."
        ) from error


@contextmanager
def seekable(stream: Any, shard: Shard) -> Iterator[Any]:
    """The stream itself if it was stored plain, else its content in memory or a temporary file."""
    if shard.compression is None:
        yield stream
        return
    with tempfile.SpooledTemporaryFile(max_size=32 * CHUNK) as spool:
        shutil.copyfileobj(stream, spool, CHUNK)
        spool.seek(0)
        yield spool
