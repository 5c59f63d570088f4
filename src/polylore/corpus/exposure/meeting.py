"""Whether, and when, two names meet: the pair rule of the counting policy on places in a text."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.exposure.policy import CountingPolicy

Numbers = NDArray[np.int64]
NEVER = int(np.iinfo(np.int64).max)
"""Time of what was never read."""


@dataclass(frozen=True)
class Places:
    """Occurrences of one name in one unit, in order of their starts."""

    start: Numbers
    end: Numbers
    first_word: Numbers
    """Number of the first word of each; only the window looks at words."""
    last_word: Numbers
    time: Numbers
    """Step at which the last of its characters was read."""

    def read_by(self, time: int) -> Self:
        """Those that had been read at a time."""
        kept = self.time <= time
        return type(self)(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


def meet(a: Places, b: Places, policy: CountingPolicy) -> bool:
    """Whether some occurrence of one and some of the other count as a pair."""
    if not len(a.start) or not len(b.start):
        return False
    if policy.window is None:
        return policy.overlap or bool(a.end.min() <= b.start.max() or b.end.min() <= a.start.max())
    return _follows(a, b, policy) or _follows(b, a, policy)


def _follows(a: Places, b: Places, policy: CountingPolicy) -> bool:
    """Whether an occurrence of `b` comes after one of `a` and both lie within the window.

    The nearest one that may follow is enough: words are numbered in order.
    """
    at = np.searchsorted(b.start, a.start if policy.overlap else a.end)
    there = at < len(b.start)
    last = np.maximum(a.last_word[there], b.last_word[at[there]])
    return bool((last - a.first_word[there] < (policy.window or 0)).any())


def first_meeting(a: Places, b: Places, policy: CountingPolicy) -> int:
    """Earliest time by which a pair had been read in full; `NEVER` if there is none.

    What has been read only grows, so bisection over the times finds it.
    """
    times = np.unique(np.concatenate([a.time, b.time]))
    times = times[times != NEVER]
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        moment = int(times[middle])
        if meet(a.read_by(moment), b.read_by(moment), policy):
            high = middle
        else:
            low = middle + 1
    return int(times[low]) if low < len(times) else NEVER
