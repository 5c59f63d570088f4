"""The order of facts that every dense computation shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from polylore.errors import DataError
from polylore.tables.course import places

Array = npt.NDArray[Any]
"""A numpy array; shapes are given by suffixes: D draws, F facts, C cells, L languages, B bins."""

FOLDS = 5


@dataclass(frozen=True)
class FactIndex:
    """Facts sorted by relation, then by identity, so that a relation is one slice of rows."""

    fact_ids: tuple[str, ...]
    """Row order; within a relation numeric if all its ids are integers, else alphabetical."""
    relations: tuple[str, ...]
    """Relations in alphabetical order."""
    bounds: tuple[int, ...]
    """Relation r holds the rows bounds[r] to bounds[r + 1], exclusive."""

    @classmethod
    def of(cls, facts: pl.DataFrame) -> "FactIndex":
        """Index the facts of a frame with the columns fact_id and relation.

        Raises:
            DataError: a fact_id stands for two relations.
        """
        pairs = facts.select("fact_id", "relation").unique()
        twice = pairs.filter(pl.col("fact_id").is_duplicated())
        if twice.height:
            fact = min(twice["fact_id"].to_list())
            raise DataError(f"Fact {fact} belongs to more than one relation; rename one of them.")
        groups: dict[str, list[str]] = {}
        for fact, relation in pairs.iter_rows():
            groups.setdefault(relation, []).append(fact)
        ids: list[str] = []
        bounds = [0]
        for relation in sorted(groups):
            ids += sorted_ids(groups[relation])
            bounds.append(len(ids))
        return cls(tuple(ids), tuple(sorted(groups)), tuple(bounds))

    @property
    def n(self) -> int:
        """Number of facts."""
        return len(self.fact_ids)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Frame (fact_id, _row)."""
        return pl.DataFrame(
            {"fact_id": self.fact_ids, "_row": np.arange(self.n)},
            schema={"fact_id": pl.String(), "_row": pl.Int64()},
        )

    @cached_property
    def folds_F(self) -> Array:
        """Fold of each fact: rank within its relation modulo 5 (`trace`, section 4.5)."""
        return np.concatenate(
            [np.arange(b - a) % FOLDS for a, b in zip(self.bounds, self.bounds[1:], strict=False)]
            or [np.zeros(0, dtype=np.int64)]
        )

    def slices(self) -> list[tuple[str, slice]]:
        """Each relation with its rows, and last ``all``."""
        named = [
            (name, slice(self.bounds[r], self.bounds[r + 1]))
            for r, name in enumerate(self.relations)
        ]
        return [*named, ("all", slice(0, self.n))]

    def dense(self, frame: pl.DataFrame, value: str, cells: pl.DataFrame) -> Array:
        """Spread a long column over a matrix.

        Args:
            frame: rows with fact_id, the columns of `cells`, and `value` (number or boolean).
            value: column to spread.
            cells: one row per matrix column; its columns are the join key.

        Returns:
            float64 (F, C), NaN where the frame has no row or a null.

        Raises:
            DataError: the frame names facts that the index does not hold.
        """
        out_FC = np.full((self.n, cells.height), np.nan)
        rows, cols, values = self._locate(frame, value, cells)
        out_FC[rows, cols] = values.cast(pl.Float64()).to_numpy()
        return out_FC

    def _locate(
        self, frame: pl.DataFrame, value: str, cells: pl.DataFrame
    ) -> tuple[Array, Array, pl.Series]:
        check_known(frame, self.fact_ids)
        keyed = cells.with_row_index("_col").with_columns(pl.col("_col").cast(pl.Int64()))
        found = (
            frame.select("fact_id", *cells.columns, value)
            .drop_nulls(value)
            .join(self.rows, on="fact_id", how="inner")
            .join(keyed, on=cells.columns, how="inner")
        )
        return found["_row"].to_numpy(), found["_col"].to_numpy(), found[value]

    def codes(
        self, frame: pl.DataFrame, value: str, cells: pl.DataFrame, names: Sequence[str]
    ) -> Array:
        """Like `dense` for a string column: int64 positions in `names`, -1 where null or absent."""
        out_FC = np.full((self.n, cells.height), -1, dtype=np.int64)
        rows, cols, values = self._locate(frame, value, cells)
        numbers = {name: i for i, name in enumerate(names)}
        out_FC[rows, cols] = [numbers.get(v, -1) for v in values.to_list()]
        return out_FC


def sorted_ids(ids: Sequence[str]) -> list[str]:
    """Numeric order if all ids are integers, else alphabetical."""
    if all(i.isascii() and i.isdigit() for i in ids):
        return sorted(ids, key=lambda i: (int(i), i))
    return sorted(ids)


def check_known(frame: pl.DataFrame, fact_ids: Sequence[str]) -> None:
    """Refuse rows about facts that nobody defined.

    Raises:
        DataError: with the first ten unknown identities.
    """
    present = frame["fact_id"].unique()
    unknown = present.filter(~present.is_in(list(fact_ids))).sort().to_list()
    if unknown:
        raise DataError(
            f"{len(unknown)} fact_id values are not in the fact set, for example "
            f"{', '.join(unknown[:10])}; use the fact set that these rows were made from."
        )


def check_asked(frame: pl.DataFrame, facts: pl.DataFrame) -> None:
    """Refuse rows about (fact, language) cells that the fact set does not have.

    Raises:
        DataError: with the first ten unknown cells.
    """
    keys = ["fact_id", "lang"]
    unknown = frame.select(keys).unique().join(facts, on=keys, how="anti").sort(keys)
    if unknown.height:
        shown = ", ".join(f"{fact} ({lang})" for fact, lang in unknown.head(10).iter_rows())
        raise DataError(
            f"{unknown.height} facts (languages) are not in the fact set, for example {shown}; use "
            "the fact set that these rows were made from."
        )


def cells_of(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Distinct keys in order of first appearance."""
    return frame.select(keys).unique(maintain_order=True)


def ordered_cells(
    grades: pl.DataFrame, checkpoints: pl.DataFrame, facts: pl.DataFrame
) -> pl.DataFrame:
    """Cells (ckpt_id, lang, matcher) in the order of checkpoints, languages and matchers.

    Raises:
        DataError: grades name a checkpoint that the series does not hold.
    """
    orders = (
        ("ckpt_id", checkpoints["ckpt_id"]),
        ("lang", facts["lang"]),
        ("matcher", grades["matcher"]),
    )
    cells = grades.select("ckpt_id", "lang", "matcher").unique()
    for key, values in orders:
        ranks = pl.DataFrame({key: values.unique(maintain_order=True)}).with_row_index(f"_{key}")
        cells = cells.join(ranks, on=key, how="left")
        missing = cells.filter(pl.col(f"_{key}").is_null())
        if missing.height:
            name = sorted(missing[key].to_list())[0]
            table = "checkpoints" if key == "ckpt_id" else "facts"
            raise DataError(f"Grades have {key} '{name}', which the {table} table does not hold.")
    ranked = [f"_{key}" for key, _ in orders]
    return cells.sort(ranked).drop(ranked)


def with_axis(frame: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Add step and tokens of each checkpoint."""
    return frame.join(places(checkpoints), on="ckpt_id", how="left")


def combine_variants(grades: pl.DataFrame) -> pl.DataFrame:
    """One row per (checkpoint, fact, language, matcher) over all prompt wordings.

    Returns:
        The columns ckpt_id, fact_id, relation, lang, matcher, share (mean of y over the wordings
        that have an answer; null without any) and y (share of at least one half, specification of
        `trace`, section 2.5).
    """
    keys = ["ckpt_id", "fact_id", "relation", "lang", "matcher"]
    return (
        grades.group_by(keys, maintain_order=True)
        .agg(pl.col("y").cast(pl.Float64()).mean().alias("share"))
        .with_columns((pl.col("share") >= 0.5).alias("y"))
    )
