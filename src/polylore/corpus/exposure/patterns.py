"""The names of a fact set, and which of them must meet."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.exposure.policy import CountingPolicy
from polylore.errors import DataError

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Short lists of numbers, one behind the other."""

    start: Numbers
    """Where each list begins; one more entry than lists."""
    values: Numbers

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> "Lists":
        """Pack lists."""
        start = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(start, np.array([v for one in lists for v in one], dtype=np.int64))

    def expand(self, items: Numbers) -> tuple[Numbers, Numbers]:
        """All values of the lists `items`: (position in `items`, position in `values`)."""
        first, size = self.start[items], np.diff(self.start)[items]
        owner = np.repeat(np.arange(len(items)), size)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
        return owner, first[owner] + within


def _visible(name: str) -> bool:
    """Whether a name has a character that is neither white space nor control nor format."""
    return any(unicodedata.category(char)[0] not in "ZC" for char in name)


@dataclass(frozen=True)
class Patterns:
    """Distinct names and questions.

    A *question* is a subject and a set of objects (object and aliases); a cell, that is a fact in
    one language, asks one. Cells with equal names share their question and so their counts.
    """

    names: list[bytes]
    """Distinct folded names; their positions are the pattern numbers."""
    cells: pl.DataFrame
    """fact_id, lang, question, subject (pattern number), objects (number of the set)."""
    subject: Numbers
    """Pattern number of each question's subject."""
    objects: Numbers
    """Number of each question's set of objects."""
    members: Lists
    """Pattern numbers in each set of objects."""
    asked: Lists
    """For each pattern as a subject: one entry per (question, object), as two parallel lists."""
    asked_object: Numbers
    """Pattern number of the object in each entry of `asked`; its values are the questions."""
    sets: Lists
    """Sets that each pattern is in."""

    @cached_property
    def several(self) -> NDArray[np.bool_]:
        """Whether each set has several members, so that a unit can meet it more than once."""
        more: NDArray[np.bool_] = np.diff(self.members.start) > 1
        return more

    @cached_property
    def ordered(self) -> pl.DataFrame:
        """`cells` in the order of exposure tables, numbered: rows are sorted by a number."""
        return self.cells.sort("fact_id", "lang").with_row_index("cell")

    @classmethod
    def of(cls, facts: pl.DataFrame, policy: CountingPolicy) -> "Patterns":
        """Collect the names of facts (contract `tables.raw.FACTS`), folded as the policy says.

        Raises:
            DataError: a name is empty or invisible, and so would occur everywhere.
        """
        names: dict[bytes, int] = {}
        sets: dict[tuple[int, ...], int] = {}
        questions: dict[tuple[int, int], int] = {}
        rows = []
        columns = ("fact_id", "lang", "subject", "object", "aliases")
        for fact_id, lang, subject, gold, aliases in facts.select(columns).iter_rows():
            numbers = []
            for name in (subject, gold, *(aliases or ())):
                folded = policy.fold(name.encode(errors="replace")).strip()
                if not _visible(folded.decode()):
                    raise DataError(
                        f"Fact '{fact_id}' has an empty name in '{lang}', which would be found "
                        "everywhere; fill it in or leave the row out."
                    )
                numbers.append(names.setdefault(folded, len(names)))
            members = tuple(dict.fromkeys(numbers[1:]))
            chosen = sets.setdefault(members, len(sets))
            key = numbers[0], chosen
            rows.append((fact_id, lang, questions.setdefault(key, len(questions)), *key))
        schema: dict[str, pl.DataType] = {"fact_id": pl.String(), "lang": pl.String()}
        schema |= {name: pl.Int64() for name in ("question", "subject", "objects")}
        cells = pl.DataFrame(rows, schema=schema, orient="row")
        return cls._index(list(names), cells, list(sets), list(questions))

    @classmethod
    def _index(
        cls,
        names: list[bytes],
        cells: pl.DataFrame,
        sets: list[tuple[int, ...]],
        questions: list[tuple[int, int]],
    ) -> "Patterns":
        asked: list[list[int]] = [[] for _ in names]
        answers: list[list[int]] = [[] for _ in names]
        inside: list[list[int]] = [[] for _ in names]
        for number, (subject, chosen) in enumerate(questions):
            asked[subject] += [number] * len(sets[chosen])
            answers[subject] += sets[chosen]
        for chosen, members in enumerate(sets):
            for name in members:
                inside[name].append(chosen)
        pairs = np.array(questions, dtype=np.int64).reshape(-1, 2)
        return cls(
            names=names,
            cells=cells,
            subject=pairs[:, 0],
            objects=pairs[:, 1],
            members=Lists.of(sets),
            asked=Lists.of(asked),
            asked_object=Lists.of(answers).values,
            sets=Lists.of(inside),
        )
