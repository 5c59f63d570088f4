"""A document that comes in parts: too long to be held, or read at several steps."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.documents.batch import Batch
from polylore.corpus.exposure.careful import Reading
from polylore.corpus.exposure.matcher import Matcher
from polylore.corpus.exposure.meeting import NEVER
from polylore.corpus.exposure.occurrences import Occurrences
from polylore.corpus.exposure.patterns import Patterns
from polylore.corpus.exposure.policy import CountingPolicy

Numbers = NDArray[np.int64]
_CHARACTER = 4


class Extremes:
    """First end and last start of every name, which is all that the unit `document` needs."""

    def __init__(self, patterns: Patterns, matcher: Matcher) -> None:
        self._first_end = np.full(len(patterns.names), NEVER)
        self._last_start = np.full(len(patterns.names), -1, dtype=np.int64)
        self._matcher = matcher
        self._rest = b""
        """What has been seen but may still be part of a name, and the character before it."""
        self._start = 0
        """Offset of `_rest` in the document."""
        self._settled = 0
        """Hits that end here or before have been taken."""

    def add(self, folded: bytes, *, last: bool) -> None:
        """Look at the next part."""
        data = self._rest + folded
        end = self._start + len(data)
        hits = self._matcher.find(data)
        starts, ends = hits.start + self._start, hits.end + self._start
        # A name at the very end may yet turn out to be the beginning of a longer word.
        new = (ends > self._settled) & (ends < end) if not last else ends > self._settled
        np.minimum.at(self._first_end, hits.pattern[new], ends[new])
        np.maximum.at(self._last_start, hits.pattern[new], starts[new])
        self._settled = end - 1
        keep = self._matcher.longest + 2 * _CHARACTER
        cut = max(len(data) - keep, 0)
        while 0 < cut < len(data) and data[cut] & 0xC0 == 0x80:
            cut -= 1
        self._rest, self._start = data[cut:], self._start + cut

    def occurrences(self) -> Occurrences:
        """The names that occur, as those of one unit."""
        key = np.flatnonzero(self._last_start >= 0)
        none = np.empty(0, dtype=np.int64)
        return Occurrences(
            key=key,
            unit=np.zeros_like(key),
            pattern=key,
            first_end=self._first_end[key],
            last_start=self._last_start[key],
            order=none,
            bounds=none,
        )


class LongDocument:
    """Gathers the parts of one document."""

    def __init__(
        self, patterns: Patterns, policy: CountingPolicy, matcher: Matcher, *, scattered: bool
    ) -> None:
        self._policy = policy
        self.extremes: Extremes | None = None
        """Set if the parts need not be kept."""
        if policy.unit == "document" and not scattered:
            self.extremes = Extremes(patterns, matcher)
        self._parts: list[bytes] = []
        self._steps: list[tuple[int, ...] | None] = []

    def add(self, batch: Batch) -> None:
        """Take the next part."""
        folded = self._policy.fold(batch.data)
        if self.extremes is not None:
            self.extremes.add(folded, last=not batch.unfinished)
            return
        self._parts.append(folded)
        self._steps.append(None if batch.steps is None else batch.steps[0])

    def readings(self) -> Iterator[tuple[Reading, bool]]:
        """The document as read in each epoch, and whether the order is known."""
        ends = np.cumsum([len(part) for part in self._parts])
        folded = b"".join(self._parts)
        known = [steps for steps in self._steps if steps is not None]
        if not known:
            yield Reading(folded, ends, np.zeros(len(ends), dtype=np.int64)), False
            return
        for epoch in range(max(map(len, known))):
            times = [steps[epoch] if epoch < len(steps) else NEVER for steps in known]
            yield Reading(folded, ends, np.array(times, dtype=np.int64)), True
