"""All names at once: one pass of an Aho-Corasick automaton over folded text.

The automaton is the Rust crate `daachorse`, chosen by measurement (docs/counting.md). It reports
every occurrence of every name, overlapping ones too; what counts is decided afterwards, so that no
occurrence can hide another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.exposure.boundaries import Rule, edges, neighbours, stand_alone
from polylore.corpus.extras import require

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """Occurrences of names, in order of their ends; byte offsets into folded text."""

    pattern: Numbers
    start: Numbers
    end: Numbers

    def __len__(self) -> int:
        return len(self.pattern)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of them."""
        return type(self)(self.pattern[chosen], self.start[chosen], self.end[chosen])


class Matcher:
    """Finds all occurrences of all names."""

    def __init__(self, names: Sequence[bytes], rule: Rule) -> None:
        """`names`: folded, distinct and not empty; their positions are the pattern numbers."""
        self._names = list(names)
        self._rule = rule
        self._edges = edges(self._names)
        self._sample = b""
        self.longest = max(map(len, names), default=0)
        """Bytes of the longest name."""

    @cached_property
    def _automaton(self) -> Any:
        # States that ordinary text passes through lie side by side: a sixth faster.
        package = require("daachorse")
        return package.DoubleArrayAhoCorasick(self._names, corpus=[self._sample])

    def raw(self, data: bytes) -> list[tuple[int, int, int]]:
        """Every occurrence as (start, end, pattern), whatever surrounds it."""
        if not self._names:
            return []
        if not self._sample:
            self._sample = data[: 1 << 20]
        found: list[tuple[int, int, int]] = self._automaton.find_overlapping(data)
        return found

    def find(self, data: bytes) -> Hits:
        """Every occurrence that stands alone."""
        found = self.raw(data)
        table = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=3 * len(found))
        start, end, pattern = np.ascontiguousarray(table.reshape(-1, 3).T)
        hits = Hits(pattern, start, end)
        if self._rule == "never" or not found:
            return hits
        before, after = neighbours(data, start, end)
        first, last = self._edges
        return hits.take(stand_alone(before, first[pattern], last[pattern], after, self._rule))
