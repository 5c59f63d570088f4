"""The background stream: rows in a fixed order, the same slice for all arms, and some held out."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polylore.config import digest
from polylore.corpus.injection import RowFormat
from polylore.corpus.injection.format import Encode
from polylore.errors import ConfigError, DataError
from polylore.studies.inject.config import BackgroundConfig
from polylore.studies.inject.documents import (
    UNTOLD,
    held_out_rows,
    language_tokens,
    lay_out,
    training_rows,
)
from polylore.training.continued.packs import open_rows, open_training_rows
from polylore.training.continued.start import Start
from polylore.training.continued.streams import PackedRows, content_digest, open_memmap
from polylore.training.injection.loop import loop_format
from polylore.training.stream import read_config

Progress = Callable[[int, int, str], None]


DOCUMENTS = "documents"
AT_ONCE = 8
"""Held-out rows of one forward pass."""


@dataclass(frozen=True)
class Background:
    """Where the rows are, and what they look like."""

    kind: str
    path: Path
    form: RowFormat
    dtype: str = "uint16"
    behind: int = 0
    """Rows that the longest run of the study reads; none of them is held out."""

    def stream(self, batch: int, first: int, steps: int | None = None) -> PackedRows:
        """Its rows in batches.

        Raises:
            ConfigError: there are too few.
        """
        if self.kind == "training":
            return open_training_rows(self.path, batch_size=batch, first=first, steps=steps)
        if self.kind == "tokens":
            return open_memmap(
                self.path, batch, self.form, dtype=self.dtype, first=first, steps=steps
            )
        path = training_rows(self.path) if self.kind == DOCUMENTS else self.path
        return open_rows(path, batch, first=first, steps=steps)

    def held_out(self, rows: int) -> dict[str, PackedRows]:
        """Rows that no run of the study reads, by language: at most so many of each.

        Of rows that were made elsewhere they are the last ones, wherever the runs end.
        """
        if not rows:
            return {}
        if self.kind == DOCUMENTS:
            return {
                lang: _in_parts(partial(open_rows, path), rows)
                for lang, path in held_out_rows(self.path).items()
            }
        there = len(self.stream(1, 0))
        left = min(rows, there - self.behind)
        return {UNTOLD: _in_parts(partial(self._last, there - left), left)} if left > 0 else {}

    def _last(self, first: int, batch: int, steps: int | None = None) -> PackedRows:
        return self.stream(batch, first, steps)

    def held_out_digests(self, rows: int) -> dict[str, str]:
        """SHA-256 of the same rows, by language."""
        found = {}
        for lang, stream in self.held_out(rows).items():
            steps = range(stream.steps or 0)
            parts = [stream.rows(step, range(stream.batch_size)) for step in steps]
            tokens, labels = (
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("tokens", "labels")
            )
            found[lang] = content_digest(tokens, labels)
        return found

    def languages(self, first: int, rows: int) -> dict[str, int]:
        """Tokens of every language in some rows; empty where languages are not known."""
        return language_tokens(self.path, first, rows) if self.kind == DOCUMENTS else {}


def _in_parts(opened: Callable[..., PackedRows], rows: int) -> PackedRows:
    """So many rows, or all there are, in equal parts that fit into memory."""
    rows = min(rows, len(opened(1)))
    size = max(n for n in range(1, AT_ONCE + 1) if rows % n == 0)
    return opened(size, steps=rows // size)


def row_format(config: BackgroundConfig, start: Start, tokenizer: Any) -> RowFormat:
    """What rows look like.

    Raises:
        ConfigError: the length of a row is not known, or the tokenizer lacks a token.
    """
    if config.kind == "training":
        return loop_format(read_config(_only(config)).context, tokenizer)
    if config.kind == "rows":
        return open_rows(_only(config), config.batch_size).form
    trained = _training_of(start)
    context = None if trained is None else read_config(trained).context
    padded = config.rows == "padded" or (config.rows == "auto" and trained is not None)
    if config.length is None and context is None:
        raise ConfigError("background.length must say how many tokens a row has.")
    length = config.length or (context or 0) + 1
    eos = _token(tokenizer, config.eos)
    if not (padded and config.kind == DOCUMENTS):
        return RowFormat(length, eos)
    if tokenizer.pad_token_id is None:
        raise ConfigError(
            "The tokenizer has no padding token, so rows cannot be padded; set background.rows to "
            "full."
        )
    return RowFormat(length, eos, tokenizer.pad_token_id, head=1)


def _token(tokenizer: Any, name: str | None) -> int:
    """Token that ends documents."""
    if name is None:
        if tokenizer.eos_token_id is None:
            raise ConfigError(
                "The tokenizer has no end-of-text token; name one with background.eos."
            )
        return int(tokenizer.eos_token_id)
    found = tokenizer.get_vocab().get(name)
    if found is None:
        raise ConfigError(f"The tokenizer has no token {name!r}; correct background.eos.")
    return int(found)


def _training_of(start: Start) -> Path | None:
    """The training run of polylore that a checkpoint lies in."""
    folder = start.folder.resolve().parent.parent
    try:
        read_config(folder)
    except DataError:
        return None
    return folder


def _only(config: BackgroundConfig) -> Path:
    if len(config.source) != 1:
        raise ConfigError(
            f"background.source must name one place of {config.kind}, not {len(config.source)}."
        )
    return Path(config.source[0])


def open_background(
    config: BackgroundConfig,
    form: RowFormat,
    encode: Encode,
    folder: Path,
    rows: int,
    languages: Collection[str],
    progress: Progress | None = None,
    *,
    tokenizer: str = "",
) -> Background:
    """Find the rows; documents are tokenised and laid into rows once.

    Args:
        config: what is read.
        form: what rows look like.
        encode: token ids of texts.
        folder: where rows of documents are kept.
        rows: how many the longest run reads; no more documents are read than make them.
        languages: languages of the study, of which some documents are held out.
        progress: called with (rows, rows in all, what).
        tokenizer: what tells the tokenizer from others; rows of another one are not taken.

    Raises:
        ConfigError: too few documents.
        DataError: unreadable documents, or none.
    """
    if config.kind != DOCUMENTS:
        return Background(config.kind, _only(config), form, config.dtype, rows)
    made_of = digest([config.plain(), vars(form), sorted(languages), tokenizer])
    path = folder / f"documents-{rows}-{made_of[:12]}"
    before = folder / f"documents-{rows}"  # of an older version, in a folder of one study only
    path = before if before.is_dir() else path
    if not path.is_dir():
        lay_out(config, encode, form, path, rows, languages, progress)
    return Background(DOCUMENTS, path, form, behind=rows)
