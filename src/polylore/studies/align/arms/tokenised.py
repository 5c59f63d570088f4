"""Texts as token ids, each with the place from which on it is learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.injection.format import RowFormat
from polylore.errors import DataError, ModelError

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Document:
    """One document, as it stands in a row of its own."""

    ids: Ids
    """Boundary, tokens, boundary."""
    start: int
    """First token that is learned; it is predicted from the one before."""
    lang: str
    block: str
    """Where it comes from: part of the material, or block of the invented world."""
    fact_id: str | None = None

    @property
    def loss_tokens(self) -> int:
        """Tokens that are learned."""
        return len(self.ids) - self.start


Text = tuple[str, str, str, str | None]
"""Given text, learned text, language, fact."""


class Reader:
    """Turns texts into documents with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        """Args: tokenizer: a fast tokenizer.

        Raises:
            ModelError: it has no end-of-text token.
        """
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has no end-of-text token, which must stand behind every document."
            )
        self.eos = int(tokenizer.eos_token_id)
        pad = tokenizer.pad_token_id
        # Rows end in a boundary, so any other token can fill them up.
        self.pad = int(pad) if pad not in (None, self.eos) else int(self.eos == 0)
        self._begins = tokenizer.bos_token_id is not None

    def form(self, length: int, *, padded: bool) -> RowFormat:
        """What rows look like."""
        return RowFormat(length, self.eos, self.pad if padded else None)

    def documents(self, texts: Sequence[Text], block: str) -> list[Document]:
        """Tokenise; documents without a token that is learned are refused.

        Raises:
            DataError: such a document.
        """
        from polylore.models.spans import encode

        found = []
        try:
            rows = encode(
                self.tokenizer, [text[0] for text in texts], [text[1] for text in texts], bos=True
            )
        except ModelError as error:
            raise DataError(f"A document of {block} cannot be learned: {error}") from error
        for (_, _, lang, fact_id), row in zip(texts, rows, strict=True):
            ids = np.array([*row.ids, self.eos], dtype=np.int32)
            # What stands first is predicted from nothing.
            found.append(Document(ids, max(row.start, 1), lang, block, fact_id))
        return found


def cut(document: Document, length: int) -> list[Document]:
    """A text in pieces of at most `length` tokens; what is given stays with the first piece."""
    if len(document.ids) <= length:
        return [document]
    pieces = []
    for at in range(0, len(document.ids), length):
        ids = document.ids[at : at + length]
        start = max(document.start - at, 1)
        if start < len(ids):
            pieces.append(Document(ids, start, document.lang, document.block, document.fact_id))
    return pieces


def fits(document: Document, length: int) -> Document | None:
    """The document cut at the end of a row; None if nothing that is learned is left."""
    if len(document.ids) <= length:
        return document
    if document.start >= length:
        return None
    ids = document.ids[:length]
    return Document(ids, document.start, document.lang, document.block, document.fact_id)
