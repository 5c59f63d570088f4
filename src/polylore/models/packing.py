"""Rows of tokens that a model reads, arranged so that nothing is computed twice.

The strings to score form a trie: candidates of one question share its prompt, questions of one
relation share their demonstrations. A *tree row* holds such a trie once, in depth-first order. A
token may look at its ancestors only, which in this order is an interval test: token j is an
ancestor of token i, or i itself, iff ``j <= i < end[j]``. A *plain row* holds one string.

Nothing here knows a model: rows are arrays of token ids, depths (the positions the model is told)
and the places whose next-token distribution is needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from polylore.models.spans import Encoded

Ints = npt.NDArray[np.int64]
LIMITS = (64, 128, 256, 512, 1024, 2048)
"""Lengths of a tree row that are considered, in tokens."""


@dataclass(frozen=True)
class Row:
    """One row of a batch and what is read off it."""

    ids: Ints
    """Token ids, shape (S,)."""
    depths: Ints
    """Position of each token within its own string, shape (S,)."""
    ends: Ints
    """Index after the last descendant of each token, shape (S,)."""
    places: Ints
    """Indices whose next-token distribution is needed, ascending, shape (K,)."""
    pair_place: Ints
    """For each target token: index into `places` of the token before it, shape (P,)."""
    pair_token: Ints
    """For each target token: its id, shape (P,)."""
    pair_string: Ints
    """For each target token: the string it belongs to, shape (P,)."""

    def __len__(self) -> int:
        return len(self.ids)


def plain_rows(strings: Sequence[Encoded]) -> list[Row]:
    """One row per string, longest first."""
    order = sorted(range(len(strings)), key=lambda k: (-len(strings[k].ids), k))
    rows = []
    for index in order:
        ids, start, stop = strings[index]
        length = stop - 1
        rows.append(
            Row(
                ids=np.array(ids[:length], dtype=np.int64),
                depths=np.arange(length),
                ends=np.full(length, length, dtype=np.int64),
                places=np.arange(start - 1, length),
                pair_place=np.arange(stop - start),
                pair_token=np.array(ids[start:stop], dtype=np.int64),
                pair_string=np.full(stop - start, index, dtype=np.int64),
            )
        )
    return rows


def distinct_rows(strings: Sequence[Encoded]) -> list[Row]:
    """One row per distinct input; strings that differ in their last token only stand in one."""
    builders: dict[tuple[int, ...], _Builder] = {}
    for index, string in enumerate(strings):
        ids = string.ids[: string.stop - 1]
        builders.setdefault(tuple(ids), _Builder()).add(index, ids, string)
    return [builder.close() for builder in builders.values()]


@dataclass
class _Unit:
    """Strings of one question that stand together; kept in one row where it fits."""

    members: list[int]
    fresh: int
    """Tokens it needs at the start of a row."""
    shared: int
    """How many of them it shares with the string before it."""


class Trie:
    """The strings in lexicographic order, with the lengths of their common prefixes."""

    def __init__(self, strings: Sequence[Encoded], questions: Sequence[int]) -> None:
        """Sort the strings; `questions[k]` is the question that string k belongs to."""
        self.strings = strings
        # The last target token predicts nothing, so it is no input.
        self.inputs = [s.ids[: s.stop - 1] for s in strings]
        order = sorted(range(len(strings)), key=lambda k: (self.inputs[k], k))
        self.units: list[_Unit] = []
        self.common = [0] * len(strings)
        """Tokens that each string shares with the one before it."""
        previous: list[int] = []
        for _, group in groupby(order, key=lambda k: questions[k]):
            unit = _Unit([], 0, 0)
            for index in group:
                ids = self.inputs[index]
                common = self.common[index] = common_length(previous, ids)
                if not unit.members:
                    unit.shared = common
                    unit.fresh = len(ids)
                else:
                    unit.fresh += len(ids) - common
                unit.members.append(index)
                previous = ids
            self.units.append(unit)

    def best_limit(self, token_cost: float, key_cost: float, ceiling: int) -> int:
        """Row length with the lowest estimated cost.

        Longer rows share more, but every token then attends over a longer row.

        Args:
            token_cost: work per token outside attention (any unit).
            key_cost: work per token and key of its row (same unit).
            ceiling: longest row allowed.
        """

        def cost(limit: int) -> float:
            return sum(n * (token_cost + key_cost * n) for _, n in self._cut(limit))

        allowed = [limit for limit in LIMITS if limit <= ceiling] or [LIMITS[0]]
        return min(allowed, key=cost)

    def rows(self, limit: int) -> list[Row]:
        """Tree rows of at most `limit` tokens (one string alone may be longer), longest first."""
        rows = []
        for members, _ in self._cut(limit):
            builder = _Builder()
            for index in members:
                builder.add(index, self.inputs[index], self.strings[index])
            rows.append(builder.close())
        return sorted(rows, key=len, reverse=True)

    def _cut(self, limit: int) -> Iterator[tuple[list[int], int]]:
        """The strings of each row, and its length."""
        row: list[int] = []
        length = 0
        for unit in self.units:
            if row and length + unit.fresh - unit.shared > limit:
                yield row, length
                row, length = [], 0
            if row or unit.fresh <= limit:
                length += unit.fresh - (unit.shared if row else 0)
                row += unit.members
                continue
            # A question that fits no row is cut, and every piece repeats what it shares.
            for index in unit.members:
                whole = len(self.inputs[index])
                if row and length + whole - self.common[index] > limit:
                    yield row, length
                    row, length = [], 0
                length += whole - (self.common[index] if row else 0)
                row.append(index)
        if row:
            yield row, length


@dataclass
class _Builder:
    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    path: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, index: int, ids: list[int], string: Encoded) -> None:
        common = common_length(self.last, ids)
        for node in self.path[common:]:
            self.ends[node] = len(self.ids)
        del self.path[common:]
        for depth in range(common, len(ids)):
            self.path.append(len(self.ids))
            self.ids.append(ids[depth])
            self.depths.append(depth)
            self.ends.append(0)
        self.last = ids
        for place in range(string.start, string.stop):
            self.pairs.append((self.path[place - 1], string.ids[place], index))

    def close(self) -> Row:
        for node in self.path:
            self.ends[node] = len(self.ids)
        node, token, string = np.array(self.pairs, dtype=np.int64).T
        places, pair_place = np.unique(node, return_inverse=True)
        return Row(
            ids=np.array(self.ids, dtype=np.int64),
            depths=np.array(self.depths, dtype=np.int64),
            ends=np.array(self.ends, dtype=np.int64),
            places=places,
            pair_place=pair_place.astype(np.int64),
            pair_token=token,
            pair_string=string,
        )


def common_length(left: list[int], right: list[int]) -> int:
    """How many tokens two strings have in common at their beginnings."""
    shorter = min(len(left), len(right))
    if left[:shorter] == right[:shorter]:
        return shorter
    for index in range(shorter):
        if left[index] != right[index]:
            return index
    return shorter
