"""Readings of probes as matrices, cell by cell, with the control items of each cell.

Letters of shapes: Q probes, T states that were read, J items, K control items, N exposures. An
item of one run is one row; `cluster` says which rows are the same item in several runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array

CONTROL = "never"
"""Arm of the items that are probed and never injected."""
CELL = ("run_id", "arm", "depth", "inject_lang", "probe_lang")
POOLED = "all"
"""run_id of a cell that holds several runs."""


@dataclass(frozen=True)
class Items:
    """Items that share a condition, and what was read of them."""

    y_QT: Array
    """Score of each probe at each state; NaN where it was not read or not finite."""
    item_Q: Array
    """Row of the probe's item."""
    names: tuple[str, ...]
    """item_id of each row."""
    runs: tuple[str, ...]
    """run_id of each row."""
    times_JN: Array
    """Step of each exposure; -1 where an item has fewer than others."""

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.names)

    def item_means(self, values_QT: Array) -> Array:
        """Mean over each item's probes, NaN left out: (J, T)."""
        present = ~np.isnan(values_QT)
        sums = np.zeros((self.n, values_QT.shape[1]))
        counts = np.zeros_like(sums)
        np.add.at(sums, self.item_Q, np.where(present, values_QT, 0))
        np.add.at(counts, self.item_Q, present)
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


@dataclass(frozen=True)
class Cell:
    """One condition: injected items, and the control items they are held against."""

    key: dict[str, str]
    """Values of `CELL`."""
    states_T: Array
    """States that were read, ascending."""
    injected: Items
    control: Items | None
    first: int
    """First injection of the whole plan: states up to it are the baseline."""
    last: int
    """Last injection of the whole plan."""

    @cached_property
    def column_of(self) -> Array:
        """Column of state t; -1 if it was not read. One entry more than the last state."""
        columns = np.full(int(self.states_T[-1]) + 2, -1, dtype=np.int64)
        columns[self.states_T] = np.arange(len(self.states_T))
        return columns

    def columns(self, states: Array) -> Array:
        """Columns of any states; -1 where one was not read or lies beyond the last."""
        inside = (states >= 0) & (states < len(self.column_of) - 1)
        found: Array = np.where(inside, self.column_of[np.where(inside, states, -1)], -1)
        return found

    def columns_upto(self, states: Array, after: Array | int = -1) -> Array:
        """Columns of the latest states read up to these; -1 where none lies beyond `after`."""
        at = np.searchsorted(self.states_T, states, side="right") - 1
        found: Array = np.where((at >= 0) & (self.states_T[at] > after), at, -1)
        return found

    def rise(self, items: Items) -> Array:
        """Item mean of y(t) - y(pre): (J, T); pre is the mean of all states before the plan."""
        before = self.states_T <= self.first
        if not before.any():
            raise DataError(
                f"The log holds no state up to step {self.first}, the first injection; gains have "
                "nothing to be counted from."
            )
        base_Q = _mean(items.y_QT[:, before])
        return items.item_means(items.y_QT - base_Q[:, None])


def _mean(values: Array) -> Array:
    present = ~np.isnan(values)
    counts = present.sum(axis=1)
    sums = np.where(present, values, 0).sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0))


SCORE = pl.col("mean_logprob")


def read_cells(
    log: pl.DataFrame, exposures: pl.DataFrame, *, pool: bool = False, score: pl.Expr = SCORE
) -> Iterator[Cell]:
    """Divide a log into its cells: run, arm, depth, language of injection and of the probe.

    Args:
        log: contract `tables.inject.LOG`.
        exposures: run_id, item_id, exposure and step of every exposure.
        pool: put all runs into one cell each, called "all".
        score: what y is; nats per target token by default.

    Yields:
        Cells of injected arms, in the order of their keys. Where no control item has the same
        depth and probe language, `control` is None.

    Raises:
        DataError: an injected item has no exposure, or there is none at all.
    """
    if not exposures.height:
        raise DataError("The plan places nothing, so there is no gain to measure.")
    states_T, probes, y_QT = _matrix(log, score)
    times = _times(exposures)
    limits = exposures.group_by("run_id").agg(
        pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    spans = {run: (first, last) for run, first, last in limits.iter_rows()}
    if pool:
        probes = probes.with_columns(_cell_run=pl.lit(POOLED))
    else:
        probes = probes.with_columns(_cell_run=pl.col("run_id"))
    injected = probes.filter(pl.col("arm") != CONTROL)
    keys = ["_cell_run", *CELL[1:]]
    for key, rows in sorted(injected.group_by(keys), key=lambda found: str(found[0])):
        run, _, depth, _, lang = (str(value) for value in key)
        controls = probes.filter(
            (pl.col("_cell_run") == run)
            & (pl.col("arm") == CONTROL)
            & (pl.col("depth") == depth)
            & (pl.col("probe_lang") == lang)
        )
        here = [spans[r] for r in rows["run_id"].unique() if r in spans]
        items = _items(rows, y_QT, times)
        if (items.times_JN < 0).all(axis=1).any():
            lost = items.names[int(np.flatnonzero((items.times_JN < 0).all(axis=1))[0])]
            raise DataError(f"Item {lost} is in an injected arm, but the plan never places it.")
        yield Cell(
            dict(zip(CELL, (run, *(str(v) for v in key[1:])), strict=True)),
            states_T,
            items,
            _items(controls, y_QT, times) if controls.height else None,
            min(first for first, _ in here),
            max(last for _, last in here),
        )


def _matrix(log: pl.DataFrame, score: pl.Expr) -> tuple[Array, pl.DataFrame, Array]:
    """States, one row per (run, probe) in a fixed order, and the matrix of scores."""
    columns = [*CELL, "probe_id", "item_id"]
    probes = log.select(columns).unique().sort("run_id", "probe_id")
    twice = probes.filter(pl.struct("run_id", "probe_id").is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise DataError(
            f"Probe {row['probe_id']} of run {row['run_id']} changes its arm, item or language "
            "within the log."
        )
    probes = probes.with_row_index("_q")
    states = log["t"].unique().sort()
    places = log.select("run_id", "probe_id", "t", score.cast(pl.Float64).alias("_y")).join(
        probes.select("run_id", "probe_id", "_q"), on=["run_id", "probe_id"], how="left"
    )
    y_QT = np.full((probes.height, len(states)), np.nan)
    columns_ = np.searchsorted(states.to_numpy(), places["t"].to_numpy())
    values = places["_y"].to_numpy()
    y_QT[places["_q"].to_numpy(), columns_] = np.where(np.isfinite(values), values, np.nan)
    return states.to_numpy().astype(np.int64), probes, y_QT


def _times(exposures: pl.DataFrame) -> dict[tuple[str, str], list[int]]:
    grouped = exposures.sort("exposure").group_by("run_id", "item_id", maintain_order=True)
    steps = grouped.agg(pl.col("step").unique(maintain_order=True))
    return {(run, item): list(found) for run, item, found in steps.iter_rows()}


def _items(rows: pl.DataFrame, y_QT: Array, times: dict[tuple[str, str], list[int]]) -> Items:
    units = list(dict.fromkeys(rows.select("run_id", "item_id").sort("run_id", "item_id").rows()))
    row_of = {unit: row for row, unit in enumerate(units)}
    item_Q = np.array([row_of[unit] for unit in rows.select("run_id", "item_id").iter_rows()])
    steps = [sorted(times.get(unit, [])) for unit in units]
    times_JN = np.full((len(units), max(map(len, steps), default=0)), -1, dtype=np.int64)
    for row, found in enumerate(steps):
        times_JN[row, : len(found)] = found
    y = y_QT[rows["_q"].to_numpy()]
    return Items(y, item_Q, tuple(u[1] for u in units), tuple(u[0] for u in units), times_JN)


def pseudo_exposed(cell: Cell) -> Items:
    """The control items as if they had been shown: they take the injected items' times in turn."""
    if cell.control is None:
        raise DataError("A cell without control items has no pseudo-exposures.")
    turns = np.arange(cell.control.n) % cell.injected.n
    return replace(cell.control, times_JN=cell.injected.times_JN[turns])
