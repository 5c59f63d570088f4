"""When each document was read (specification of `trace`, section 4.4)."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.documents.batch import Batch
from polylore.errors import DataError

Numbers = NDArray[np.int64]
FORMS = (("doc_id", "step"), ("shard", "first", "last", "step"), ("sequence_id", "step"))
"""Columns of a table of the order: by document; by ranges of documents in a shard, numbered from 0,
both ends included; by training sequence, numbered over all shards from 0. More than one row for the
same thing means that it was read more than once."""


class Order:
    """A table of the order of reading, sorted for lookup."""

    def __init__(self, frame: pl.DataFrame, where: str = "order") -> None:
        """Raises:
        DataError: the columns are none of `FORMS`, or a value is missing or a step below 1.
        """
        forms = [form for form in FORMS if set(form) <= set(frame.columns)]
        if not forms:
            raise DataError(
                f"{where} has the columns {', '.join(frame.columns)}; it must have "
                f"{' or '.join('(' + ', '.join(form) + ')' for form in FORMS)}."
            )
        self.by = forms[0][0]
        """`doc_id`, `shard` or `sequence_id`."""
        text = ("doc_id", "shard")
        frame = frame.select(
            pl.col(name).cast(pl.String() if name in text else pl.Int64()) for name in forms[0]
        )
        if frame.null_count().sum_horizontal().item():
            raise DataError(f"{where} has empty values; every row must say what was read when.")
        if frame.height and frame["step"].min() < 1:  # type: ignore[operator]
            raise DataError(f"{where} has the step {frame['step'].min()}; steps count from 1.")
        self._frame = frame.sort(self.by, "step")

    @cached_property
    def _steps(self) -> Numbers:
        return self._frame["step"].to_numpy()

    def apply(self, batch: Batch, shard: str) -> Batch:
        """The batch with the steps at which its documents were read."""
        if self.by == "doc_id":
            wanted = pl.Series(
                [None] * batch.count if batch.ids is None else batch.ids, dtype=pl.String()
            )
            if wanted.null_count():
                raise DataError(
                    f"Document {batch.first + wanted.is_null().arg_true()[0]} of {shard} has no "
                    "identity, which the order of reading goes by; name the column with "
                    "documents.id."
                )
            keys = self._frame["doc_id"]
            first = keys.search_sorted(wanted, "left").to_numpy()
            last = keys.search_sorted(wanted, "right").to_numpy()
            return replace(batch, steps=self._slices(first, last))
        own = self._ranges.get(shard, np.empty((0, 3), dtype=np.int64))
        numbers = range(batch.first, batch.first + batch.count)
        near = own[(own[:, 0] < batch.first + batch.count) & (own[:, 1] >= batch.first)]
        steps = [tuple(near[(near[:, 0] <= n) & (n <= near[:, 1]), 2].tolist()) for n in numbers]
        return replace(batch, steps=steps)

    @cached_property
    def _ranges(self) -> dict[str, Numbers]:
        return {
            str(key[0]): rows.select("first", "last", "step").to_numpy()
            for key, rows in self._frame.group_by("shard", maintain_order=True)
        }

    def of_sequences(self, first: int, count: int) -> list[tuple[int, ...]]:
        """Steps of each of `count` sequences from number `first` on."""
        keys = self._frame["sequence_id"].to_numpy()
        wanted = np.arange(first, first + count)
        return self._slices(
            np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        )

    def _slices(self, first: Numbers, last: Numbers) -> list[tuple[int, ...]]:
        steps = self._steps
        return [
            tuple(steps[a:b].tolist()) for a, b in zip(first.tolist(), last.tolist(), strict=True)
        ]


def read_order(path: str | Path) -> Order:
    """Read a table of the order: Parquet, CSV or JSON lines.

    Raises:
        DataError: it is missing or unreadable, or has other columns.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".parquet": pl.read_parquet,
        ".csv": pl.read_csv,
        ".jsonl": pl.read_ndjson,
    }
    if path.suffix not in readers:
        raise DataError(f"The order of reading {path} must be a .parquet, .csv or .jsonl file.")
    try:
        frame = readers[path.suffix](path)
        return Order(frame, str(path))
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path} with the order of reading.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"Cannot read the order of reading {path}: {reason}.") from error
