"""What a row of the token stream looks like, and the passages as tokens."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from polylore.errors import ConfigError, DataError

Tokens = npt.NDArray[np.int64]
Encode = Callable[[list[str]], list[list[int]]]
"""Token ids of texts, nothing added."""


@dataclass(frozen=True)
class RowFormat:
    """Rows of equal length, with documents that end in a boundary token."""

    length: int
    """Tokens of a row, padding included."""
    eos: int
    """Token that closes every document, and every passage."""
    pad: int | None = None
    """Token that fills the end of a row; None if rows are always full."""
    head: int = 0
    """Tokens at the start of a row that always stay: 1 if every row opens with a boundary."""

    def __post_init__(self) -> None:
        if self.pad == self.eos:
            raise ConfigError(
                "The padding token is the boundary token, so the end of a row cannot be told; use "
                "rows without padding, or another padding token."
            )
        if not 0 <= self.head < self.length:
            raise ConfigError(f"A row of {self.length} tokens cannot keep {self.head} of them.")

    @property
    def capacity(self) -> int:
        """Tokens that may be injected into a full row, closing boundaries included."""
        return self.length - self.head

    def real(self, rows_BL: Tokens) -> Tokens:
        """Tokens of each row without the padding at its end; (B,)."""
        if self.pad is None:
            return np.full(len(rows_BL), self.length, dtype=np.int64)
        backwards = (rows_BL != self.pad)[:, ::-1]
        empty = ~backwards.any(axis=1)
        return np.where(empty, 0, self.length - backwards.argmax(axis=1)).astype(np.int64)


def passage_tokens(passages: pl.DataFrame, encode: Encode) -> dict[str, Tokens]:
    """Tokens of every passage.

    Raises:
        DataError: a passage has no text or no token.
    """
    texts = passages["text"].to_list()
    found: dict[str, Tokens] = {}
    for name, text, ids in zip(passages["passage_id"], texts, encode(texts), strict=True):
        if not text.strip() or not ids:
            raise DataError(f"Passage {name} is empty.")
        found[name] = np.array(ids, dtype=np.int64)
    return found


def tokens_digest(tokens: Mapping[str, Tokens]) -> str:
    """SHA-256 of the passages as tokens."""
    content: Any = hashlib.sha256()
    for name in sorted(tokens):
        content.update(f"{name}\x1f{len(tokens[name])}\x1f".encode())
        content.update(tokens[name].tobytes())
    return str(content.hexdigest())
