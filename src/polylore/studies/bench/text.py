"""Made-up multilingual text to measure with: no language's words, but each one's letters.

Pseudo-words are walks over the letter pairs of a language's own names; how often each occurs
follows Zipf's law. Words that hold a name by chance are left out, since real text, too, seldom
names what is looked for; now and then a document does, and some state a fact.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from polylore.corpus.exposure import CountingPolicy
from polylore.corpus.exposure.matcher import Matcher
from polylore.corpus.extras import require
from polylore.facts import FactSet
from polylore.text import language

_WORDS = 3000
_LENGTHS = (2, 12)
_DOCUMENT = 450
"""Words of a document, on average."""
_NAMED = 0.005
"""Share of words that are a name of a fact."""


class Writer:
    """Writes documents of one language."""

    def __init__(self, factset: FactSet, lang: str, rng: np.random.Generator) -> None:
        self.lang, self._rng = lang, rng
        facts = factset.facts.filter(pl.col("lang") == lang)
        self._names = [*facts["subject"], *facts["object"]]
        self._pairs = list(zip(facts["subject"], facts["object"], strict=True))
        self._space = language(lang).delimiter
        policy = CountingPolicy()
        names = list({policy.fold(name.encode()).strip() for name in self._names})
        matcher = Matcher(names, policy.boundaries)
        self._words = [
            word
            for word in _vocabulary(self._names, rng)
            if not len(matcher.find(policy.fold(word.encode())))
        ]
        weights = 1 / np.arange(1, _WORDS + 1)
        self._cumulative = np.cumsum(weights / weights.sum())

    def document(self) -> str:
        """One document; every third states a fact, every tenth has what NFKC changes."""
        rng = self._rng
        size = int(rng.integers(_DOCUMENT // 4, 2 * _DOCUMENT))
        drawn = np.searchsorted(self._cumulative, rng.random(size))
        words = [self._words[i] for i in (drawn % len(self._words)).tolist()]
        for place in rng.integers(0, size, round(size * _NAMED)).tolist():
            words[place] = self._names[int(rng.integers(len(self._names)))]
        if rng.random() < 1 / 3:
            words[:2] = self._pairs[int(rng.integers(len(self._pairs)))]
        stop = "." if self._space else "。"
        for place in range(11, size, 12):
            words[place] += stop
        if rng.random() < 0.1:
            words[size // 2] += "\u00a0…"
        return self._space.join(words)


def _vocabulary(names: list[str], rng: np.random.Generator) -> list[str]:
    """Pseudo-words from the letter pairs of names."""
    after: dict[str, list[str]] = {}
    for name in names:
        for a, b in pairwise(name):
            if not (a + b).isspace():
                after.setdefault(a, []).append(b)
    first = sorted({name[0] for name in names})
    words = []
    for _ in range(_WORDS):
        letter = first[int(rng.integers(len(first)))]
        word = letter
        for _ in range(int(rng.integers(*_LENGTHS))):
            following = after.get(letter)
            if not following:
                break
            letter = following[int(rng.integers(len(following)))]
            word += letter
        words.append(word.strip().lower() or letter)
    return words


def documents(factset: FactSet, seed: int) -> Iterator[tuple[str, str]]:
    """Endless documents (language, text), the languages in turn."""
    rng = np.random.default_rng(seed)
    writers = [Writer(factset, lang, rng) for lang in factset.languages]
    while True:
        for writer in writers:
            yield writer.lang, writer.document()


def write_corpus(
    factset: FactSet, folder: Path, *, megabytes: int, shards: int, kind: str, seed: int = 0
) -> int:
    """Write `shards` zst files of text or JSON lines.

    Returns:
        Bytes of text.
    """
    zstd = require("backports.zstd")
    folder.mkdir(parents=True, exist_ok=True)
    source, total = documents(factset, seed), 0
    for number in range(shards):
        size = 0
        with zstd.open(folder / f"part-{number:03d}.{kind}.zst", "wb", level=3) as stream:
            while size < megabytes * 1_000_000 // shards:
                lang, text = next(source)
                raw = text.encode()
                size += len(raw)
                if kind == "txt":
                    stream.write(raw + b"\n\n")
                else:
                    row = {"id": f"{number}-{size}", "lang": lang, "text": text}
                    stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        total += size
    return total
