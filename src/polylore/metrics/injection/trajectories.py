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

    def some(self, which: Array) -> "Items":
        """Some of the items, by a mask."""
        kept = which[self.item_Q]
        place = np.cumsum(which) - 1
        names, runs = (
            tuple(v for v, keep in zip(values, which, strict=True) if keep)
            for values in (self.names, self.runs)
        )
        y, items = self.y_QT[kept], place[self.item_Q[kept]]
        return Items(y, items, names, runs, self.times_JN[which])

    def item_means(self, values_QT: Array) -> Array:
        """Mean over each item's probes, NaN left out: (J, T)."""
        present = ~np.isnan(values_QT)
        sums = np.zeros((self.n, values_QT.shape[1]))
        counts = np.zeros_like(sums)
        np.add.at(sums, self.item_Q, np.where(present, values_QT, 0))
        np.add.at(counts, self.item_Q, present)
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


@dataclass(frozen=True)
class Read:
    """Which states each row was read at: runs have their own, on one grid of all of them."""

    states_T: Array
    known_JT: Array
    """Whether a row has a reading at a state."""

    @cached_property
    def _column_of(self) -> Array:
        """Column of state t; -1 if no run was read then. One entry more than the last state."""
        columns = np.full(int(self.states_T[-1]) + 2, -1, dtype=np.int64)
        columns[self.states_T] = np.arange(len(self.states_T))
        return columns

    @cached_property
    def _latest_JT(self) -> Array:
        """Column of the latest reading up to each state; -1 before the first."""
        columns = np.where(self.known_JT, np.arange(len(self.states_T)), -1)
        return np.maximum.accumulate(columns, axis=1)

    @cached_property
    def last_J(self) -> Array:
        """Last state that each row was read at; -1 if there is none."""
        column_J = self._latest_JT[:, -1]
        return np.asarray(np.where(column_J < 0, -1, self.states_T[column_J]))

    def at(self, states: Array, rows: Array) -> Array:
        """Columns of any states of some rows; -1 where the row was not read then."""
        inside = (states >= 0) & (states < len(self._column_of) - 1)
        column = self._column_of[np.where(inside, states, -1)]
        return np.asarray(np.where(self.known_JT[rows, column] & (column >= 0), column, -1))

    def upto(self, states: Array, rows: Array, after: Array | int = -1) -> Array:
        """Columns of the rows' latest readings up to states; -1 if none is beyond `after`."""
        place = np.searchsorted(self.states_T, states, side="right") - 1
        column = np.where(place < 0, -1, self._latest_JT[rows, place])
        found: Array = np.where((column >= 0) & (self.states_T[column] > after), column, -1)
        return found


@dataclass(frozen=True)
class Cell:
    """One condition: injected items, and the control items they are held against."""

    key: dict[str, str]
    """Values of `CELL`."""
    states_T: Array
    """States that some run of the cell was read at, ascending."""
    injected: Items
    control: Items | None
    spans: dict[str, tuple[int, int]]
    """First and last injection of each run's plan: states up to the first are its baseline."""

    @cached_property
    def tails(self) -> list[int]:
        """Steps from the last injection of each run's plan to the run's last reading."""
        ends = Read(self.states_T, ~np.isnan(self.injected.y_QT)).last_J
        runs = np.array(self.injected.runs)[self.injected.item_Q]
        return [int(ends[runs == run].max()) - last for run, (_, last) in self.spans.items()]

    def baseline(self, items: Items) -> Array:
        """Whether a state lies before the plan of each item's run: (J, T)."""
        first_J = np.array([self.spans[run][0] for run in items.runs], dtype=np.int64)
        return np.asarray(self.states_T <= first_J[:, None])

    def rise(self, items: Items) -> Array:
        """Item mean of y(t) - y(pre): (J, T); pre is the mean of all states before the plan."""
        before_JT = self.baseline(items)
        if not before_JT.any(axis=1).all():
            raise DataError(
                f"The log holds no state up to step {min(f for f, _ in self.spans.values())}, the "
                "first injection; gains have nothing to be counted from."
            )
        base_Q = mean_of(np.where(before_JT[items.item_Q], items.y_QT, np.nan))
        return items.item_means(items.y_QT - base_Q[:, None])


def mean_of(values: Array) -> Array:
    """Mean of each row, NaN left out."""
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
    read = _read(log, states_T)
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
        runs = rows["run_id"].unique().sort()
        controls = probes.filter(
            pl.col("run_id").is_in(runs.implode())
            & (pl.col("arm") == CONTROL)
            & (pl.col("depth") == depth)
            & (pl.col("probe_lang") == lang)
        )
        here = np.any([read[r] for r in runs], axis=0)
        items = _items(rows, y_QT[:, here], times)
        if (items.times_JN < 0).all(axis=1).any():
            lost = items.names[int(np.flatnonzero((items.times_JN < 0).all(axis=1))[0])]
            raise DataError(f"Item {lost} is in an injected arm, but the plan never places it.")
        yield Cell(
            dict(zip(CELL, (run, *(str(v) for v in key[1:])), strict=True)),
            states_T[here],
            items,
            _items(controls, y_QT[:, here], times) if controls.height else None,
            {r: spans[r] for r in runs},
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


def _read(log: pl.DataFrame, states_T: Array) -> dict[str, Array]:
    """Which states each run was read at: (T,)."""
    found = log.select("run_id", "t").unique().group_by("run_id").agg("t")
    return {run: np.isin(states_T, own) for run, own in found.iter_rows()}


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
    """The control items as if they had been shown, at the times of injected items of their run.

    They take the times of those items in turn.
    """
    if cell.control is None:
        raise DataError("A cell without control items has no pseudo-exposures.")
    own, shown = np.array(cell.control.runs), np.array(cell.injected.runs)
    times = cell.injected.times_JN
    times_KN = np.zeros((cell.control.n, times.shape[1]), dtype=np.int64)
    for run in dict.fromkeys(cell.injected.runs):
        mine = np.flatnonzero(own == run)
        turns = np.flatnonzero(shown == run)
        times_KN[mine] = times[turns[np.arange(len(mine)) % len(turns)]]
    return replace(cell.control, times_JN=times_KN)
