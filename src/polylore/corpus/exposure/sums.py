"""What was counted so far: per question, subject and set of objects, language and step."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.documents.batch import Batch
from polylore.corpus.exposure.patterns import Lists, Patterns
from polylore.corpus.exposure.policy import CountingPolicy
from polylore.corpus.exposure.tally import Tally
from polylore.errors import DataError
from polylore.tables import raw

Numbers = NDArray[np.int64]
Kind = Literal["count", "n_subj", "n_obj"]
KINDS: dict[Kind, str] = {"count": "question", "n_subj": "subject", "n_obj": "objects"}
"""What each column of `exposure` counts, as a column of `Patterns.cells`."""


class Sums:
    """Tallies by group; a group is a language of documents and a stretch of steps."""

    def __init__(self, patterns: Patterns, steps_per_row: int) -> None:
        self._cells = patterns.ordered
        self._width = steps_per_row
        self._groups: dict[tuple[str | None, int | None], int] = {}
        sizes = (len(patterns.subject), len(patterns.names), len(patterns.members.start) - 1)
        self._tallies = {kind: Tally(size) for kind, size in zip(KINDS, sizes, strict=True)}
        self._ordered: bool | None = None

    def groups(self, batch: Batch) -> Lists:
        """Groups in which each document of a batch counts: one per reading of it."""
        self._check_order(batch.steps is not None)
        langs: Sequence[str | None] = batch.langs or [None] * batch.count
        if batch.steps is None:
            number = {lang: self._group(lang, None) for lang in dict.fromkeys(langs)}
            values = np.fromiter(map(number.__getitem__, langs), dtype=np.int64)
            return Lists(np.arange(batch.count + 1), values)
        return Lists.of(
            [
                [self._group(lang, step) for step in steps]
                for lang, steps in zip(langs, batch.steps, strict=True)
            ]
        )

    def _check_order(self, ordered: bool) -> None:
        if self._ordered not in (None, ordered):
            raise DataError(
                "Some documents of a shard say at which step they were read and others do not; "
                "give the steps of all of them with documents.order, or of none."
            )
        self._ordered = ordered

    def _group(self, lang: str | None, step: int | None) -> int:
        if step is not None:
            if step < 1:
                raise DataError(f"A document was read at step {step}; steps count from 1.")
            step = (step - 1) // self._width
        return self._groups.setdefault((lang, step), len(self._groups))

    def add(self, kind: Kind, groups: Lists, document: Numbers, item: Numbers) -> None:
        """Count items of documents in all groups of each document."""
        owner, entry = groups.expand(document)
        self._tallies[kind].add(groups.values[entry], item[owner])

    def add_one(self, kind: Kind, lang: str | None, step: int | None, item: int) -> None:
        """Count one item."""
        self._check_order(step is not None)
        group = self._group(lang, step)
        self._tallies[kind].add(np.array([group]), np.array([item]))

    def table(self, source: str, policy: CountingPolicy, *, exact: bool) -> pl.DataFrame:
        """Contract `tables.raw.EXPOSURE`, sorted; only rows with a count above zero."""
        counted = pl.concat([self._cells_of(kind) for kind in KINDS], how="diagonal")
        summed = counted.group_by("group", "cell").agg(pl.col(kind).sum() for kind in KINDS)
        keys = list(self._groups)
        step = [None if s is None else s * self._width + 1 for _, s in keys]
        group = pl.DataFrame(
            {"group": range(len(keys)), "doc_lang": [lang for lang, _ in keys], "step_lo": step},
            schema={"group": pl.Int64(), "doc_lang": pl.String(), "step_lo": pl.Int64()},
        )
        order = ("cell", "step_lo", "doc_lang")
        summed = summed.join(group, on="group").sort(order, nulls_last=False)
        names = self._cells[summed["cell"]]
        return raw.EXPOSURE.validate(
            summed.select(
                names["fact_id"],
                names["lang"],
                pl.exclude("group", "cell"),
                step_hi=pl.col("step_lo") + self._width - 1,
                source=pl.lit(source),
                unit=pl.lit(policy.unit),
                exact=pl.lit(exact),
                exposure_kind=pl.lit("exact" if self._ordered else "total"),
                lang_conditioned=pl.lit(False),
                policy_id=pl.lit(policy.policy_id),
            )
        )

    def _cells_of(self, kind: Kind) -> pl.DataFrame:
        group, item, count = self._tallies[kind].sums()
        counts = pl.DataFrame({"group": group, KINDS[kind]: item, kind: count})
        return counts.join(self._cells, on=KINDS[kind]).select("group", "cell", kind)
