"""What a table promises: its columns, their types, units and meanings, and its key.

Every table that polylore writes is validated against its contract first, so a Parquet file in a
run folder can be trusted without looking inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from polylore.errors import DataError


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    dtype: pl.DataType
    """Polars type; Parquet keeps it."""
    meaning: str
    """One line: what a value says."""
    unit: str = ""
    """Unit of a number: steps, tokens, documents, nats, share, ... Empty for the rest."""
    nullable: bool = False
    """Whether null is a legal value; its meaning is then part of `meaning`."""


@dataclass(frozen=True)
class Table:
    """The contract of one table."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """Columns that together identify a row; empty where rows have no identity."""
    raw: bool = False
    """Raw tables are observations; all others can be derived from them again without a model."""
    schema: dict[str, pl.DataType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", {c.name: c.dtype for c in self.columns})

    def empty(self) -> pl.DataFrame:
        """A table with the right columns and no rows."""
        return pl.DataFrame(schema=self.schema)

    def build(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Make a valid table from row dictionaries; absent nullable columns become null."""
        unknown = {key for row in rows for key in row} - set(self.schema)
        if unknown:
            raise DataError(f"Table {self.name} has no column {', '.join(sorted(unknown))}.")
        return self.validate(pl.DataFrame(rows, schema=self.schema, strict=False))

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with columns in contract order and exact types.

        Missing nullable columns are added as nulls; integer widths and all-null columns are cast.

        Raises:
            DataError: a column is missing, unknown, of another type, null where null is not
                allowed, or the key is not unique.
        """
        unknown = [c for c in frame.columns if c not in self.schema]
        if unknown:
            raise DataError(f"Table {self.name} has no column {', '.join(unknown)}.")
        missing = [c.name for c in self.columns if not c.nullable and c.name not in frame.columns]
        if missing:
            raise DataError(f"Table {self.name} lacks the column {', '.join(missing)}.")
        series = [self._column(frame, column) for column in self.columns]
        result = pl.DataFrame(series)
        if self.key and result.height:
            twice = result.filter(pl.struct(self.key).is_duplicated())
            if twice.height:
                first = twice.select(self.key).row(0, named=True)
                raise DataError(
                    f"Table {self.name} has {twice.height} rows with a key that occurs more than "
                    f"once, for example {first}."
                )
        return result

    def _column(self, frame: pl.DataFrame, column: Column) -> pl.Series:
        if column.name not in frame.columns:
            return pl.Series(column.name, [None] * frame.height, dtype=column.dtype)
        series = frame[column.name]
        if series.dtype != column.dtype:
            try:
                series = series.cast(column.dtype, strict=True)
            except pl.exceptions.PolarsError as error:
                raise DataError(
                    f"Column {column.name} of table {self.name} must be {column.dtype}, "
                    f"not {series.dtype}."
                ) from error
        if not column.nullable and series.null_count():
            raise DataError(
                f"Column {column.name} of table {self.name} has {series.null_count()} empty values."
            )
        return series.rename(column.name)
