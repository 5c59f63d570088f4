"""The background stream: rows in a fixed order, the same slice for all arms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.corpus.injection import RowFormat
from polylore.corpus.injection.format import Encode
from polylore.errors import ConfigError, DataError
from polylore.studies.inject.config import BackgroundConfig
from polylore.training.continued.packs import open_rows, open_training_rows, pack_texts
from polylore.training.continued.start import Start
from polylore.training.continued.streams import PackedRows, open_memmap
from polylore.training.injection.loop import loop_format
from polylore.training.stream import read_config

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Background:
    """Where the rows are, and what they look like."""

    kind: str
    path: Path
    form: RowFormat
    dtype: str = "uint16"

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
        return open_rows(self.path, batch, first=first, steps=steps)


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
    if not (padded and config.kind == "documents"):
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
    progress: Progress | None = None,
) -> Background:
    """Find the rows; documents are tokenised and laid into rows once.

    Args:
        config: what is read.
        form: what rows look like.
        encode: token ids of texts.
        folder: where rows of documents are kept.
        rows: how many are needed; no more documents are read than make them.
        progress: called with (rows, rows in all, what).

    Raises:
        DataError: unreadable documents, or none.
    """
    if config.kind != "documents":
        return Background(config.kind, _only(config), form, config.dtype)
    path = folder / f"rows-{rows}"
    if not path.is_dir():
        counted = _Counted(encode, rows * form.length, progress, rows)
        pack_texts(_texts(config, counted), counted, form, path)
    return Background("rows", path, form)


class _Counted:
    """Encodes texts and counts what it made, so that reading can end in time."""

    def __init__(self, encode: Encode, enough: int, progress: Progress | None, rows: int) -> None:
        self.encode, self.enough, self.tokens = encode, enough, 0
        self.progress, self.rows = progress, rows

    def __call__(self, texts: list[str]) -> list[list[int]]:
        found = self.encode(texts)
        self.tokens += sum(map(len, found)) + len(found)
        if self.progress:
            done = min(self.rows, self.tokens * self.rows // self.enough)
            self.progress(done, self.rows, "packing background")
        return found


def _texts(config: BackgroundConfig, counted: _Counted) -> Iterator[str]:
    from polylore.corpus.documents import DocumentsConfig, find_shards, read_shard

    if not config.source:
        raise ConfigError("background.source must name the documents that are read beside items.")
    documents = DocumentsConfig(
        source=config.source, text=config.text, lang=config.lang, txt=config.txt
    )
    held = b""
    for shard in find_shards(documents):
        for batch in read_shard(shard, documents):
            if counted.tokens > counted.enough:
                return
            for text in batch.texts():
                held += text
                if batch.unfinished:
                    continue
                yield held.decode()
                held = b""
