"""The careful way: one document or pair at a time, with words and times of reading.

Windows need to know how far apart two names are. Documents whose parts were read at different steps
count at the step of the part that completes the pair (specification of `trace`, section 4.4),
wherever that part stands in the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.exposure.matcher import Hits, Matcher
from polylore.corpus.exposure.meeting import NEVER, Places, first_meeting, meet
from polylore.corpus.exposure.occurrences import Occurrences
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.policy import CountingPolicy
from polylore.corpus.exposure.segments import in_sentences, sentence_ends, word_starts
from polylore.corpus.exposure.sums import Kind

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """One document, folded, as it was read in one epoch."""

    folded: bytes
    ends: Numbers
    """Where each part ends, in folded bytes."""
    times: Numbers
    """Step at which each part was read; `NEVER` for a part that was not."""

    def time(self, hits: Hits) -> Numbers:
        """Step by which all characters of each hit had been read."""
        first = np.searchsorted(self.ends, hits.start, side="right")
        last = np.searchsorted(self.ends, hits.end, side="left")
        time = np.maximum(self.times[first], self.times[last])
        for place in np.flatnonzero(last > first + 1):  # over a part shorter than a name
            time[place] = self.times[first[place] : last[place] + 1].max()
        return time


def careful(
    patterns: Patterns, policy: CountingPolicy, matcher: Matcher, reading: Reading
) -> Iterator[tuple[Kind, int, int]]:
    """What a document counts for: (kind, step, item), one for each of its units."""
    hits = matcher.find(reading.folded)
    unit = np.zeros(len(hits), dtype=np.int64)
    if policy.unit == "sentence":
        hits, unit = in_sentences(hits, sentence_ends(reading.folded.decode()))
    if not len(hits):
        return
    found = Occurrences.of(hits, unit, len(patterns.names))
    words = _words(policy, reading.folded)
    places = _Places(patterns, found, hits, words, reading.time(hits))
    earliest = np.minimum.reduceat(places.time[found.order], found.bounds[:-1])
    for row in np.flatnonzero(np.diff(patterns.asked.start)[found.pattern] > 0).tolist():
        yield from _unless_never("n_subj", int(earliest[row]), int(found.pattern[row]))
    objects: dict[tuple[int, int], int] = {}
    for row, entry in zip(*patterns.sets.expand(found.pattern), strict=True):
        key = int(found.unit[row]), int(patterns.sets.values[entry])
        objects[key] = min(objects.get(key, NEVER), int(earliest[row]))
    for (_, item), time in objects.items():
        yield from _unless_never("n_obj", time, item)
    for one, question in zip(*found.pairs(patterns, overlap=True), strict=True):
        subject, answers = places.of_question(int(one), int(question))
        time = min(first_meeting(subject, answer, policy) for answer in answers)
        yield from _unless_never("count", time, int(question))


def _unless_never(kind: Kind, time: int, item: int) -> Iterator[tuple[Kind, int, int]]:
    if time != NEVER:
        yield kind, time, item


def _words(policy: CountingPolicy, folded: bytes) -> Numbers:
    return word_starts(folded.decode()) if policy.window else np.zeros(1, dtype=np.int64)


def window_pairs(
    patterns: Patterns,
    policy: CountingPolicy,
    folded: bytes,
    separators: Numbers,
    hits: Hits,
    found: Occurrences,
) -> tuple[Numbers, Numbers]:
    """(document, question) of all pairs within the window, in a batch of whole documents."""
    bounds = np.concatenate([[0], separators + 1, [len(folded) + 1]])
    kept: list[tuple[int, int]] = []
    places, current = None, -1
    for document, question in zip(*found.pairs(patterns, overlap=True), strict=True):
        if document != current:
            start, end = int(bounds[document]), int(bounds[document + 1]) - 1
            words, current = start + word_starts(folded[start:end].decode()), document
            places = _Places(patterns, found, hits, words, np.zeros(len(hits), dtype=np.int64))
        assert places is not None
        subject, answers = places.of_question(int(document), int(question))
        if any(meet(subject, answer, policy) for answer in answers):
            kept.append((int(document), int(question)))
    pairs = np.array(kept, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


@dataclass(frozen=True)
class _Places:
    """Looks up where a name occurs in a unit."""

    patterns: Patterns
    found: Occurrences
    hits: Hits
    words: Numbers
    """Where the words of the text at hand begin."""
    time: Numbers
    """Time of each hit."""

    def of_question(self, unit: int, question: int) -> tuple[Places, list[Places]]:
        """Places of a question's subject, and of each of its objects."""
        members = self.patterns.members
        chosen = int(self.patterns.objects[question])
        names = members.values[members.start[chosen] : members.start[chosen + 1]]
        subject = self._of(unit, int(self.patterns.subject[question]))
        return subject, [self._of(unit, name) for name in names.tolist()]

    def _of(self, unit: int, name: int) -> Places:
        key = unit * len(self.patterns.names) + name
        at = int(np.searchsorted(self.found.key, key))
        there = at < len(self.found.key) and self.found.key[at] == key
        bounds = self.found.bounds
        chosen = self.found.order[bounds[at] : bounds[at + 1]] if there else self.found.order[:0]
        start, end = self.hits.start[chosen], self.hits.end[chosen]
        return Places(
            start,
            end,
            np.searchsorted(self.words, start, side="right") - 1,
            np.searchsorted(self.words, end, side="left") - 1,
            self.time[chosen],
        )
