"""Documents of token files, decoded on the fly, with the training sequence of every part kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.documents.batch import BATCH, Batch, in_parts, join
from polylore.corpus.documents.config import DocumentsConfig
from polylore.corpus.documents.order import Order
from polylore.corpus.documents.shards import Shard
from polylore.errors import ConfigError, DataError
from polylore.text import splits_safely

Tokens = NDArray[np.int64]
_GATHERED = BATCH // 4
"""Tokens decoded at a time."""
_CONTEXT = 8
"""Tokens before a part that decide how its first token is written (spaces, split characters)."""


@cache
def load_tokenizer(source: str) -> Any:
    """A tokenizer from `tokenizer.json` or a folder with it.

    Raises:
        ConfigError: there is none.
    """
    from tokenizers import Tokenizer

    path = Path(source)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"There is no tokenizer {path}; give tokenizer.json or its folder.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises bare Exception
        raise ConfigError(f"{path} is not a tokenizer ({error}).") from error


@dataclass(frozen=True)
class _Part:
    """Tokens of one document within one training sequence."""

    tokens: Tokens
    sequence: int | None
    """Number within the shard; None if there are no sequences."""


def token_batches(
    blocks: Iterable[bytes], config: DocumentsConfig, shard: Shard, order: Order | None
) -> Iterator[Batch]:
    """Decode the documents of a file of tokens.

    Raises:
        ConfigError: there is no tokenizer.
        DataError: the size of the file is no multiple of a token's, or a token is unknown.
    """
    tokenizer = load_tokenizer(config.tokenizer or "")
    steps_of = _steps_of(config, shard, order)
    number, gathered, size = 0, [], 0
    for parts in _documents(_tokens(blocks, config, shard), config, shard):
        if len(parts) == 1:
            gathered.append(parts)
            size += sum(len(part.tokens) for part in parts)
            if size > _GATHERED:
                yield from _whole(gathered, tokenizer, steps_of, number, shard)
                number, gathered, size = number + len(gathered), [], 0
            continue
        if gathered:
            yield from _whole(gathered, tokenizer, steps_of, number, shard)
            number, gathered, size = number + len(gathered), [], 0
        yield from _scattered(parts, tokenizer, steps_of, number, shard)
        number += 1
    if gathered:
        yield from _whole(gathered, tokenizer, steps_of, number, shard)


def _steps_of(
    config: DocumentsConfig, shard: Shard, order: Order | None
) -> Callable[[int | None], tuple[int, ...]] | None:
    """Steps of a sequence of the shard; None if the order is not known."""
    if config.sequences_per_step is not None:
        width, first = config.sequences_per_step, config.first_step
        return lambda s: () if s is None else ((shard.first_sequence + s) // width + first,)
    if order is not None and order.by == "sequence_id":
        return lambda s: () if s is None else order.of_sequences(shard.first_sequence + s, 1)[0]
    return None


def _tokens(blocks: Iterable[bytes], config: DocumentsConfig, shard: Shard) -> Iterator[Tokens]:
    dtype = np.dtype(config.dtype).newbyteorder("<")
    rest, start = b"", True
    for block in blocks:
        data = rest + block
        if start and data.startswith(b"\x93NUMPY"):
            data = _behind_header(data, dtype, shard)
        start = False
        whole = len(data) - len(data) % dtype.itemsize
        rest = data[whole:]
        yield np.frombuffer(data[:whole], dtype=dtype).astype(np.int64)
    if rest:
        raise DataError(
            f"The size of {shard.name} is no multiple of a token's {dtype.itemsize} bytes; is "
            "documents.dtype right?"
        )


def _behind_header(data: bytes, dtype: Any, shard: Shard) -> bytes:
    """What follows the header that `numpy.save` writes."""
    import io

    from numpy.lib import format as npy

    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, found = read(stream)
    if found != dtype or len(shape) != 1:
        raise DataError(
            f"{shard.name} holds {found} of shape {shape}, not one row of {dtype}; set "
            "documents.dtype."
        )
    return data[stream.tell() :]


def _documents(
    found: Iterable[Tokens], config: DocumentsConfig, shard: Shard
) -> Iterator[list[_Part]]:
    """Documents as parts, one per training sequence that they touch."""
    length, end_token = config.sequence_length, config.end_of_document
    width = 2 if config.dtype == "uint16" else 4
    sequences = shard.size // (length * width) if length else 0
    parts: list[_Part] = []
    at = 0  # number of the next token
    for tokens in found:
        cuts = set() if end_token is None else set((np.flatnonzero(tokens == end_token)).tolist())
        ends = {cut + 1 for cut in cuts}
        if length:
            first = length - at % length
            ends |= set(range(first, len(tokens) + 1, length))
        start = 0
        for end in sorted(ends | {len(tokens)}):
            closes = end - 1 in cuts
            own = tokens[start : end - closes]
            sequence = (at + start) // length if length else None
            read = sequence is None or sequence < sequences or shard.compression is not None
            if len(own) and read:
                _append(parts, own, sequence, whole=length is None)
            complete = end_token is None and length is not None and (at + end) % length == 0
            if (closes or complete) and parts:
                yield parts
                parts = []
            start = end
        at += len(tokens)
    if parts:
        yield parts


def _append(parts: list[_Part], tokens: Tokens, sequence: int | None, *, whole: bool) -> None:
    """Add tokens to the last part if they belong to it."""
    if parts and (whole or parts[-1].sequence == sequence):
        parts[-1] = _Part(np.concatenate([parts[-1].tokens, tokens]), sequence)
    else:
        parts.append(_Part(tokens, sequence))


def _whole(
    documents: Sequence[list[_Part]],
    tokenizer: Any,
    steps_of: Callable[[int | None], tuple[int, ...]] | None,
    first: int,
    shard: Shard,
) -> Iterator[Batch]:
    """Documents that lie within a sequence."""
    texts = _decode(tokenizer, [parts[0].tokens for parts in documents], shard)
    steps = None if steps_of is None else [steps_of(parts[0].sequence) for parts in documents]
    batch = Batch(join([text.encode() for text in texts]), len(texts), first, steps=steps)
    yield from in_parts(batch) if batch.count == 1 else [batch]


def _scattered(
    parts: Sequence[_Part],
    tokenizer: Any,
    steps_of: Callable[[int | None], tuple[int, ...]] | None,
    number: int,
    shard: Shard,
) -> Iterator[Batch]:
    """A document over several sequences, one batch for each."""
    texts = _composed(_part_texts(parts, tokenizer, shard))
    for place, (part, text) in enumerate(zip(parts, texts, strict=True)):
        yield Batch(
            join([text.encode()]),
            1,
            number,
            steps=None if steps_of is None else [steps_of(part.sequence)],
            continues=place > 0,
            unfinished=place < len(parts) - 1,
            scattered=True,
        )


def _part_texts(parts: Sequence[_Part], tokenizer: Any, shard: Shard) -> list[str]:
    """What each part adds to the text of those before it."""
    texts = []
    before = np.empty(0, dtype=np.int64)
    for part in parts:
        with_context = np.concatenate([before, part.tokens])
        old, new = _decode(tokenizer, [before, with_context], shard)
        # A character whose bytes are split over two parts was read with its last byte.
        shown = old.rstrip("\ufffd")
        texts.append(new[len(shown) :] if part is parts[-1] else new.rstrip("\ufffd")[len(shown) :])
        before = with_context[-_CONTEXT:]
    return texts


def _composed(texts: list[str]) -> list[str]:
    """The same texts, each beginning with a character that does not compose with what is before.

    A letter was read in full with the last of its marks.
    """
    for place in range(len(texts) - 1, 0, -1):
        while texts[place] and texts[place - 1] and not splits_safely(texts[place][0]):
            texts[place] = texts[place - 1][-1] + texts[place]
            texts[place - 1] = texts[place - 1][:-1]
    return texts


def _decode(tokenizer: Any, tokens: Sequence[Tokens], shard: Shard) -> list[str]:
    top = max((int(one.max()) for one in tokens if len(one)), default=0)
    if top >= tokenizer.get_vocab_size():
        raise DataError(
            f"{shard.name} holds token {top}, but the tokenizer has "
            f"{tokenizer.get_vocab_size()}; is documents.dtype right?"
        )
    texts: list[str] = tokenizer.decode_batch(
        [one.tolist() for one in tokens], skip_special_tokens=True
    )
    return texts
