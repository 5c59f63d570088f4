"""Documents that express a fact, with the places where its names stand."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from polylore.corpus.documents.batch import SEPARATOR, Batch
from polylore.corpus.exposure.matcher import Hits, Matcher
from polylore.corpus.exposure.occurrences import Occurrences
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.policy import CountingPolicy
from polylore.text import splits_safely

_AROUND = 160
"""Characters shown on either side of the marked names."""
_FARTHEST = 600
"""Names farther apart than this are shown with a gap between them."""

Span = tuple[int, int, str]
"""First character, character behind the last, and subject or object."""


@dataclass(frozen=True)
class Sighting:
    """A document that expresses a fact."""

    shard: str
    number: int
    """Number of the document within its shard, from 0."""
    doc_id: str | None
    doc_lang: str | None
    fact_id: str
    lang: str
    """Language of the fact."""
    text: str
    spans: tuple[Span, ...]
    """Where the nearest pair of subject and object stands, in order; characters of `text`."""

    def excerpt(self) -> list[tuple[str, str | None]]:
        """The text around the pair, in pieces; the second value is their role."""
        first, last = self.spans[0][0], max(span[1] for span in self.spans)
        at = max(first - _AROUND, 0)
        pieces: list[tuple[str, str | None]] = [("…", None)] if at else []
        for start, end, role in self.spans:
            if start - at > _FARTHEST:
                near = _AROUND if at > first else 0
                pieces.append((self.text[at : at + near] + " … ", None))
                at = start - _AROUND
            pieces.append((self.text[at : max(start, at)], None))
            pieces.append((self.text[max(start, at) : end], role))
            at = max(end, at)
        pieces.append((self.text[last : last + _AROUND], None))
        if last + _AROUND < len(self.text):
            pieces.append(("…", None))
        return [(text, role) for text, role in pieces if text]

    def plain(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {
            "shard": self.shard,
            "number": self.number,
            "doc_id": self.doc_id,
            "doc_lang": self.doc_lang,
            "fact_id": self.fact_id,
            "lang": self.lang,
            "spans": [list(span) for span in self.spans],
            "text": self.text,
        }


class Sampler:
    """Looks for documents that express one of a few facts."""

    def __init__(self, patterns: Patterns, policy: CountingPolicy) -> None:
        """`policy`: its unit is taken to be the document."""
        self._patterns = patterns
        self._policy = policy.model_copy(update={"unit": "document"})
        self._matcher = Matcher(patterns.names, policy.boundaries)

    def find(self, batch: Batch, shard: str) -> Iterator[Sighting]:
        """Documents of a batch that express a fact, once for each language it is told in.

        The parts of a very long document are looked at one by one.
        """
        texts = batch.data.split(SEPARATOR)
        for number in self._documents(batch):
            text = texts[number].decode()
            folded, ends = folded_with_ends(text, self._policy)
            hits = self._matcher.find(folded)
            for row in self._patterns.cells.iter_rows(named=True):
                pair = self._nearest(hits, row["subject"], row["objects"])
                if pair is not None:
                    spans = (_unfolded(ends, start, end, role) for start, end, role in pair)
                    yield Sighting(
                        shard,
                        batch.first + number,
                        batch.ids[number] if batch.ids else None,
                        batch.langs[number] if batch.langs else None,
                        row["fact_id"],
                        row["lang"],
                        text,
                        tuple(sorted(spans)),
                    )

    def _documents(self, batch: Batch) -> list[int]:
        """Numbers of the documents that express something."""
        folded = self._policy.fold(batch.data)
        hits = self._matcher.find(folded)
        if not len(hits):
            return []
        separators = np.flatnonzero(np.frombuffer(folded, dtype=np.uint8) == SEPARATOR[0])
        unit = np.searchsorted(separators, hits.start)
        found = Occurrences.of(hits, unit, len(self._patterns.names))
        numbers: list[int] = np.unique(
            found.pairs(self._patterns, overlap=self._policy.overlap)[0]
        ).tolist()
        return numbers

    def _nearest(self, hits: Hits, subject: int, objects: int) -> list[Span] | None:
        """The subject and object that count as a pair and stand closest; None if none do."""
        members = self._patterns.members
        names = members.values[members.start[objects] : members.start[objects + 1]]
        mine = hits.take(hits.pattern == subject)
        theirs = hits.take(np.isin(hits.pattern, names))
        best: tuple[int, list[Span]] | None = None
        for start, end in zip(mine.start.tolist(), mine.end.tolist(), strict=True):
            gap = np.maximum(theirs.start - end, start - theirs.end)
            allowed = np.flatnonzero(gap >= 0) if not self._policy.overlap else np.arange(len(gap))
            if not len(allowed):
                continue
            at = allowed[np.argmin(gap[allowed])]
            if best is None or gap[at] < best[0]:
                other = (int(theirs.start[at]), int(theirs.end[at]), "object")
                best = int(gap[at]), [(start, end, "subject"), other]
        return None if best is None else best[1]


def _unfolded(ends: list[int], start: int, end: int, role: str) -> Span:
    """A span of folded bytes as one of the original characters."""
    last = ends[bisect_right(ends, end - 1)]
    return bisect_right(ends, start), bisect_right(ends, last), role


def folded_with_ends(text: str, policy: CountingPolicy) -> tuple[bytes, list[int]]:
    """Folded text, and for every character of the original where its fold ends, in bytes.

    Characters that compose with each other share an end.
    """
    groups: list[int] = []
    for char in text:
        if groups and not splits_safely(char):
            groups[-1] += 1
        else:
            groups.append(1)
    folded, ends, at = [], [], 0
    for size in groups:
        part = policy.fold(text[at : at + size].encode())
        folded.append(part)
        ends.append(len(part))
        at += size
    borders = list(accumulate(ends))
    return b"".join(folded), [end for end, n in zip(borders, groups, strict=True) for _ in range(n)]
