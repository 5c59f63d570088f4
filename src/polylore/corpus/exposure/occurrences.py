"""Occurrences sorted by unit and name, and the questions that they answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.exposure.matcher import Hits
from polylore.corpus.exposure.patterns import Patterns

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Occurrences:
    """Distinct (unit, name) pairs of some text, sorted; all that the default policy needs."""

    key: Numbers
    """unit * names + pattern, ascending."""
    unit: Numbers
    pattern: Numbers
    first_end: Numbers
    """Where the occurrence that ends first ends."""
    last_start: Numbers
    """Where the occurrence that starts last starts."""
    order: Numbers
    """Places of the hits, sorted by key and then by start."""
    bounds: Numbers
    """Where the hits of each key begin in `order`; one more entry than keys."""

    @classmethod
    def of(cls, hits: Hits, unit: Numbers, names: int) -> "Occurrences":
        """Sort hits, each of which lies in a unit."""
        key = unit * names + hits.pattern
        # Hits come in order of their ends, and all of one pattern are equally long.
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        new = np.flatnonzero(np.diff(ordered, prepend=-1))
        if not len(new):
            none = np.empty(0, dtype=np.int64)
            return cls(none, none, none, none, none, none, np.zeros(1, dtype=np.int64))
        keys = ordered[new]
        bounds = np.append(new, len(order))
        return cls(
            key=keys,
            unit=keys // names,
            pattern=keys % names,
            first_end=hits.end[order[new]],
            last_start=hits.start[order[bounds[1:] - 1]],
            order=order,
            bounds=bounds,
        )

    def pairs(self, patterns: Patterns, *, overlap: bool) -> tuple[Numbers, Numbers]:
        """Distinct (unit, question) whose subject and object both occur.

        Args:
            patterns: the names, in the numbering of the hits.
            overlap: whether occurrences that share characters are enough. Two names have disjoint
                occurrences exactly if the first end of one is not behind the last start of the
                other.
        """
        names = len(patterns.names)
        row, entry = patterns.asked.expand(self.pattern)
        wanted = self.unit[row] * names + patterns.asked_object[entry]
        at = np.searchsorted(self.key, wanted)
        there = np.flatnonzero(self.key[np.minimum(at, len(self.key) - 1)] == wanted)
        row, entry, at = row[there], entry[there], at[there]
        if not overlap:
            apart = (self.first_end[row] <= self.last_start[at]) | (
                self.first_end[at] <= self.last_start[row]
            )
            row, entry = row[apart], entry[apart]
        question = patterns.asked.values[entry]
        several = patterns.several[patterns.objects[question]]
        return distinct(self.unit[row], question, several)

    def subjects(self, patterns: Patterns) -> tuple[Numbers, Numbers]:
        """(unit, pattern) of every name that is a subject."""
        is_subject = np.diff(patterns.asked.start)[self.pattern] > 0
        return self.unit[is_subject], self.pattern[is_subject]

    def object_sets(self, patterns: Patterns) -> tuple[Numbers, Numbers]:
        """Distinct (unit, set) of which some object occurs."""
        row, entry = patterns.sets.expand(self.pattern)
        chosen = patterns.sets.values[entry]
        return distinct(self.unit[row], chosen, patterns.several[chosen])


def distinct(unit: Numbers, item: Numbers, several: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Distinct pairs; only those marked in `several` can come more than once."""
    at = np.flatnonzero(several)
    if not len(at):
        return unit, item
    pairs = np.unique(np.stack([unit[at], item[at]]), axis=1)
    once = ~several
    return np.append(unit[once], pairs[0]), np.append(item[once], pairs[1])
