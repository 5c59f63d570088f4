"""Documents into training sequences of equal length, whole, in order, with little padding.

A sequence is the boundary token followed by documents, each closed by the boundary token, and
padding. The oldest waiting document always opens the next sequence; the rest is filled with the
longest waiting document that fits (the oldest of its length). So the order of reading is kept up
to the look-ahead, and the step at which every document is read is known exactly.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from polylore.errors import ConfigError
from polylore.files import atomic_path, read_json, read_parquet, write_json, write_parquet
from polylore.tables import raw
from polylore.training.config import TrainConfig
from polylore.training.documents import Documents
from polylore.training.tokenizer import encode

Piece = list[int]
"""Token ids of a document, or of a part of one that is longer than a sequence."""


@dataclass(frozen=True)
class Packed:
    """Training sequences on disk."""

    sequences: NDArray[Any]
    """[sequences, context + 1] token ids, memory-mapped."""
    n_tokens: NDArray[np.int64]
    """[sequences] predicted tokens, padding excluded."""
    pad: int
    """Id of the padding token."""
    batch_size: int

    @property
    def steps(self) -> int:
        """Number of batches."""
        return -(-len(self.sequences) // self.batch_size)

    @property
    def padding_share(self) -> float:
        """Share of predicted positions that are padding."""
        places = len(self.sequences) * (self.sequences.shape[1] - 1)
        return 1 - int(self.n_tokens.sum()) / int(places)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Sequences of step 1, 2, ...: [batch_size, context + 1], the last filled with padding."""
        rows = self.sequences[(step - 1) * self.batch_size : step * self.batch_size]
        full = np.full((self.batch_size, rows.shape[1]), self.pad, dtype=np.int64)
        full[: len(rows)] = rows
        return full

    def tokens(self) -> NDArray[np.int64]:
        """[steps + 1] predicted tokens read after 0, 1, ... steps."""
        ends = np.minimum(np.arange(self.steps + 1) * self.batch_size, len(self.sequences))
        return np.concatenate([[0], np.cumsum(self.n_tokens)])[ends]


def pack(sizes: Iterable[int], capacity: int, look_ahead: int) -> Iterator[list[int]]:
    """Group items into bins.

    Args:
        sizes: size of item 0, 1, ...; none larger than the capacity.
        capacity: size of a bin.
        look_ahead: how many items may wait at a time.

    Yields:
        The items of each bin, in the order they are placed.
    """
    stream = enumerate(sizes)
    waiting: OrderedDict[int, int] = OrderedDict()
    by_size: list[deque[int]] = [deque() for _ in range(capacity + 1)]
    there = 0  # bit s is set while an item of size s waits
    while True:
        for item, size in stream:
            waiting[item] = size
            by_size[size].append(item)
            there |= 1 << size
            if len(waiting) >= look_ahead:
                break
        if not waiting:
            return
        room, chosen = capacity, []
        size = next(iter(waiting.values()))
        while size >= 0:
            item = by_size[size].popleft()
            del waiting[item]
            if not by_size[size]:
                there &= ~(1 << size)
            chosen.append(item)
            room -= size
            size = (there & ((1 << (room + 1)) - 1)).bit_length() - 1
        yield chosen


class _Pieces:
    """Streams the pieces of all documents and remembers those that still wait for a place."""

    def __init__(self, documents: Documents, tokenizer: PreTrainedTokenizerFast, room: int) -> None:
        self._documents, self._tokenizer, self._room = documents, tokenizer, room
        self.waiting: dict[int, tuple[int, Piece]] = {}
        self.lengths: list[int] = []

    def sizes(self) -> Iterator[int]:
        n = 0
        for frame in self._documents.frames():
            columns = frame.select("doc_id", "kind", "lang").rows()
            ids = encode(self._tokenizer, frame["text"].to_list())
            for (doc, kind, lang), tokens in zip(columns, ids, strict=True):
                if kind != "background" and len(tokens) >= self._room:
                    raise ConfigError(
                        f"Document {doc} ({kind}, {lang}) has {len(tokens)} tokens and would be "
                        f"split by a context of {self._room}; set context to at least "
                        f"{len(tokens) + 1}."
                    )
                self.lengths.append(len(tokens))
                closed = [*tokens, self._tokenizer.eos_token_id]
                for start in range(0, len(closed), self._room):
                    piece = closed[start : start + self._room]
                    self.waiting[n] = (doc, piece)
                    n += 1
                    yield len(piece)


def pack_corpus(
    documents: Documents, tokenizer: PreTrainedTokenizerFast, config: TrainConfig, folder: Path
) -> None:
    """Write sequences, tokens per sequence and the step of every document, atomically.

    Only background documents longer than a sequence are split; they count as read when
    the last of their pieces is read. The files: `sequences.bin` (unsigned 16 or 32 bits, row by
    row), `n_tokens.npy`, `consumed.parquet` (contract `tables.raw.CONSUMED`), `packing.json`.

    Raises:
        ConfigError: a fact or mention is longer than the context.
    """
    width, pad = config.context + 1, tokenizer.pad_token_id
    dtype = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    pieces = _Pieces(documents, tokenizer, config.context)
    last = np.zeros(documents.count, dtype=np.int64)
    n_tokens: list[int] = []
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        with (temporary / "sequences.bin").open("wb") as stream:
            for n, chosen in enumerate(pack(pieces.sizes(), config.context, config.look_ahead)):
                row = [tokenizer.bos_token_id]
                for item in chosen:
                    doc, piece = pieces.waiting.pop(item)
                    row += piece
                    last[doc] = max(last[doc], n)
                n_tokens.append(len(row) - 1)
                stream.write(np.array(row + [pad] * (width - len(row)), dtype=dtype).tobytes())
        np.save(temporary / "n_tokens.npy", np.array(n_tokens, dtype=np.int64), allow_pickle=False)
        consumed = pl.DataFrame(
            {
                "doc_id": np.arange(documents.count),
                "step": last // config.batch_size + 1,
                "n_tokens": np.array(pieces.lengths, dtype=np.int32),
            }
        )
        write_parquet(raw.CONSUMED.validate(consumed), temporary / "consumed.parquet")
        facts = {"width": width, "dtype": np.dtype(dtype).name, "pad": pad}
        write_json(facts, temporary / "packing.json")


def open_packed(folder: Path, config: TrainConfig) -> Packed:
    """Open the files of `pack_corpus`.

    Raises:
        DataError: they are missing or damaged.
    """
    facts = read_json(folder / "packing.json")
    n_tokens = np.load(folder / "n_tokens.npy", allow_pickle=False)
    shape = (len(n_tokens), facts["width"])
    sequences = np.memmap(folder / "sequences.bin", dtype=facts["dtype"], mode="r", shape=shape)
    return Packed(sequences, n_tokens, facts["pad"], config.batch_size)


def read_consumed(folder: Path) -> pl.DataFrame:
    """The step of every document."""
    return read_parquet(folder / "consumed.parquet")
