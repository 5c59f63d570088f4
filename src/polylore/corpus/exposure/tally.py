"""Sums of counts: sparse, added up block by block, equal in whatever order they are merged."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
_PENDING = 1_000_000


class Tally:
    """How often each (group, item) was counted."""

    def __init__(self, items: int) -> None:
        self._items = max(items, 1)
        self._pending: list[Numbers] = []
        self._size = 0
        self._keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, group: Numbers, item: Numbers) -> None:
        """Count one of each pair."""
        self._pending.append(group * self._items + item)
        self._size += len(group)
        if self._size > _PENDING:
            self._settle()

    def _settle(self) -> None:
        keys, counts = np.unique(np.concatenate(self._pending), return_counts=True)
        self._pending, self._size = [], 0
        merged, at = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        sums = np.zeros(len(merged), dtype=np.int64)
        np.add.at(sums, at, np.concatenate([self._counts, counts]))
        self._keys, self._counts = merged, sums

    def sums(self) -> tuple[Numbers, Numbers, Numbers]:
        """Group, item and count of everything that was counted."""
        if self._pending:
            self._settle()
        group, item = np.divmod(self._keys, self._items)
        return group, item, self._counts
