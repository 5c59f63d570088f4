"""Background text from the user's own files: paragraphs that state none of the facts.

Only places are remembered (file, offset, length), so a corpus larger than memory can be mixed in.
Paragraphs that express a fact of the fact set in any language are left out: the exposure ledger
stays exact, and no held-out cell is taught by accident.
"""

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.draw import permutation
from polylore.corpus.expressed import Finder
from polylore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

_BLOCK = 20_000  # paragraphs searched for facts at a time


@dataclass(frozen=True)
class Background:
    """Where the usable paragraphs lie."""

    files: tuple[Path, ...]
    places: NDArray[np.int64]
    """One row per paragraph: number of the file, byte offset, length in bytes."""
    left_out: int
    """Paragraphs that were passed over because they state a fact."""

    def choose(self, n: int, seed: int) -> "Background":
        """Draw n paragraphs.

        Raises:
            ConfigError: there are not so many.
        """
        if n > len(self.places):
            raise ConfigError(
                f"background_share asks for {n} paragraphs, but the background files hold only "
                f"{len(self.places)} without a fact; lower it or give more text."
            )
        chosen = np.sort(permutation(len(self.places), seed, "background")[:n])
        return Background(self.files, self.places[chosen], self.left_out)

    def read(self, row: int) -> tuple[str, str | None, str]:
        """Text, language (if its JSON row has one) and file name of one chosen paragraph."""
        number, offset, length = (int(value) for value in self.places[row])
        path = self.files[number]
        with path.open("rb") as stream:
            stream.seek(offset)
            text, lang = _content(stream.read(length), path, offset)
        return text, lang, path.name


NO_BACKGROUND = Background((), np.empty((0, 3), dtype=np.int64), 0)


def find_background(patterns: Sequence[str], factset: "FactSet") -> Background:
    """Locate every paragraph of the files that states no fact.

    Raises:
        ConfigError: a pattern matches no file.
        DataError: a file is not UTF-8, or a JSON row has no `text`.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not found:
            raise ConfigError(f"No background file matches '{pattern}'; check the path.")
        files.update(dict.fromkeys(path for path in found if path.is_file()))
    finders = [
        Finder(factset.facts.filter(pl.col("lang") == lang), lang) for lang in factset.languages
    ]
    kept: list[NDArray[np.int64]] = [np.empty((0, 3), dtype=np.int64)]
    left_out = 0
    for number, path in enumerate(files):
        for block in _blocks(path):
            clean = _clean([text for _, _, text in block], finders)
            rows = [(number, at, n) for (at, n, _), ok in zip(block, clean, strict=True) if ok]
            left_out += len(block) - len(rows)
            kept.append(np.array(rows, dtype=np.int64).reshape(-1, 3))
    return Background(tuple(files), np.concatenate(kept), left_out)


def _clean(texts: list[str], finders: list[Finder]) -> list[bool]:
    clean = [True] * len(texts)
    for finder in finders:
        for i, found in enumerate(finder(texts)):
            clean[i] = clean[i] and not found
    return clean


def _blocks(path: Path) -> Iterator[list[tuple[int, int, str]]]:
    """Paragraphs of a file as (offset, length in bytes, text), a block at a time."""
    block: list[tuple[int, int, str]] = []
    for offset, raw in _paragraphs(path):
        text, _ = _content(raw, path, offset)
        if text:
            block.append((offset, len(raw), text))
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _paragraphs(path: Path) -> Iterator[tuple[int, bytes]]:
    """Byte offset and raw bytes of every paragraph (.txt) or line (.jsonl)."""
    by_line = path.suffix == ".jsonl"
    if not by_line and path.suffix != ".txt":
        raise ConfigError(f"Background file {path} must end in .txt or .jsonl; rename it.")
    start, at = 0, 0
    parts: list[bytes] = []
    with path.open("rb") as stream:
        for line in stream:
            if line.strip():
                start = start if parts else at
                parts.append(line)
            if parts and (by_line or not line.strip()):
                yield start, b"".join(parts)
                parts = []
            at += len(line)
    if parts:
        yield start, b"".join(parts)


def _content(raw: bytes, path: Path, offset: int) -> tuple[str, str | None]:
    try:
        text = raw.decode("utf-8-sig").strip()
        if path.suffix == ".txt":
            return text, None
        row = json.loads(text)
        lang = row.get("lang")
        return row["text"].strip(), lang if isinstance(lang, str) else None
    except UnicodeDecodeError as error:
        raise DataError(
            f"Background file {path} is not UTF-8 near byte {offset + error.start}; convert it."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"Background file {path}, byte {offset}: the row is not JSON with a field 'text' "
            "that holds a string; mend or remove it."
        ) from error
