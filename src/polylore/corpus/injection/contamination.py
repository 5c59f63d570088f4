"""Traces of the items in the background: names of subjects, and pieces of passages.

What stands there already is no news to the model, and what it learns from there is counted as
forgetting less (specification of `inject`, section 4.2).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from polylore.corpus.injection.format import Tokens
from polylore.tables.inject import CONTAMINATION

EXAMPLES = 5
"""Traces of each kind that are reported of an item."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
Progress = Callable[[int, int, str], None]
Decode = Callable[[Any], list[str]]
Hashes = npt.NDArray[np.uint64]


def scan(
    blocks: Iterable[tuple[int, Tokens]],
    decode: Decode,
    names: Mapping[str, Sequence[str]],
    passages: Mapping[str, tuple[str, Tokens]],
    *,
    n: int = 8,
    total: int = 0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Search rows of the background.

    Args:
        blocks: number of the first row, and rows (B, L) of tokens.
        decode: texts of rows.
        names: names of each item's subject.
        passages: item and tokens of each passage.
        n: tokens in a row that count as a trace.
        total: blocks in all, for the display.
        progress: called with (blocks done, blocks in all, what).

    Returns:
        Contract `tables.inject.CONTAMINATION`: at most five traces of each kind and item.
    """
    finder = _Ngrams(passages, n)
    known = {name: item for item, own in names.items() for name in own}
    rows: list[dict[str, str]] = []
    seen: dict[tuple[str, str], set[str]] = {}

    def note(item: str, kind: str, text: str, row: int) -> None:
        told = seen.setdefault((item, kind), set())
        if len(told) < EXAMPLES and text not in told:
            told.add(text)
            place = f"row {row}"
            rows.append({"item_id": item, "kind": kind, "text": text, "place": place})

    for done, (start, tokens_BL) in enumerate(blocks):
        for item, gram, row in finder.find(tokens_BL):
            if len(seen.get((item, "ngram"), ())) < EXAMPLES:
                note(item, "ngram", decode([list(gram)])[0], start + row)
        if known:
            texts = pl.Series(decode(tokens_BL.tolist()))
            for row in texts.str.contains_any(list(known)).arg_true():
                for name in (name for name in known if name in texts[row]):
                    note(known[name], "name", name, start + row)
        if progress:
            progress(done + 1, total, "searching the background")
    rows.sort(key=lambda row: (row["item_id"], row["kind"]))
    return CONTAMINATION.build(rows)


class _Ngrams:
    """All pieces of n tokens of the passages, found by their hashes and then compared."""

    def __init__(self, passages: Mapping[str, tuple[str, Tokens]], n: int) -> None:
        self.n = n
        self.items: dict[tuple[int, ...], set[str]] = {}
        for item, tokens in passages.values():
            for start in range(len(tokens) - n + 1):
                gram = tuple(tokens[start : start + n].tolist())
                self.items.setdefault(gram, set()).add(item)
        grams = np.array(list(self.items), dtype=np.int64).reshape(len(self.items), n)
        self.hashes: Hashes = (
            np.unique(self._hashed(grams)[:, 0]) if len(grams) else np.zeros(0, np.uint64)
        )

    def find(self, tokens_BL: Tokens) -> list[tuple[str, tuple[int, ...], int]]:
        """(item, piece, row) of every piece that stands in some rows."""
        if not len(self.hashes) or tokens_BL.shape[1] < self.n:
            return []
        hashed = self._hashed(tokens_BL)
        places = np.minimum(np.searchsorted(self.hashes, hashed), len(self.hashes) - 1)
        found = []
        for row, start in np.argwhere(self.hashes[places] == hashed).tolist():
            gram = tuple(tokens_BL[row, start : start + self.n].tolist())
            found += [(item, gram, row) for item in sorted(self.items.get(gram, ()))]
        return found

    def _hashed(self, tokens_BL: Tokens) -> Hashes:
        """Hash of every window of n tokens: (B, L - n + 1)."""
        width = tokens_BL.shape[1] - self.n + 1
        hashed = np.zeros((len(tokens_BL), width), dtype=np.uint64)
        values = tokens_BL.astype(np.uint64) + np.uint64(1)
        with np.errstate(over="ignore"):
            for offset in range(self.n):
                hashed = hashed * _BASE + values[:, offset : offset + width]
        return hashed
