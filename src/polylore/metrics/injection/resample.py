"""Item bootstrap: all that was read of an item moves together; controls are resampled too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import cluster_draws, interval
from polylore.metrics.index import Array
from polylore.metrics.injection.trajectories import Cell

RESAMPLES = 2000
FEWEST = 10
"""Items below which a cell has no interval (`few_items`)."""
_APART = "\x1f"


@dataclass(frozen=True)
class Weights:
    """How often each item of a cell is drawn, draw by draw."""

    injected_DJ: Array
    control_DK: Array

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.injected_DJ)

    def chunks(self, size: int) -> Iterator["Weights"]:
        """The same, at most so many draws at a time."""
        for at in range(0, self.n, size):
            part = slice(at, at + size)
            yield Weights(self.injected_DJ[part], self.control_DK[part])


def ones(cell: Cell) -> Weights:
    """The data as they are: one draw."""
    controls = cell.control.n if cell.control else 0
    return Weights(np.ones((1, cell.injected.n)), np.ones((1, controls)))


@dataclass(frozen=True)
class ItemDraws:
    """Draws of all items of a log: the same draw serves every cell, so differences are paired."""

    column: dict[tuple[str, str], int]
    """(stratum, item_id) -> column; strata are injected and control."""
    weights_DF: Array

    @classmethod
    def of(
        cls, injected: Sequence[str], control: Sequence[str], n: int = RESAMPLES, seed: int = 0
    ) -> "ItemDraws":
        """Draw injected items among themselves and control items among themselves.

        An item of several runs moves together in all of them. An item may be a control in one run
        and injected in another: it is drawn for either.
        """
        names = [("injected", i) for i in sorted(set(injected))]
        names += [("control", i) for i in sorted(set(control))]
        facts = pl.DataFrame(
            {
                "fact_id": [f"{stratum}{_APART}{item}" for stratum, item in names],
                "relation": [stratum for stratum, _ in names],
            },
            schema={"fact_id": pl.String(), "relation": pl.String()},
        )
        draws = cluster_draws(facts, n=n, seed=seed)
        parts = [name.partition(_APART) for name in draws.index.fact_ids]
        columns = {(stratum, item): at for at, (stratum, _, item) in enumerate(parts)}
        return cls(columns, draws.weights_DF)

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.weights_DF)

    def of_cell(self, cell: Cell, n: int | None = None) -> Weights:
        """Weights of the items of a cell in the first n draws (default: all)."""
        control = cell.control.names if cell.control else ()
        inside = [self.column["injected", name] for name in cell.injected.names]
        outside = [self.column["control", name] for name in control]
        rows = self.weights_DF[:n].astype(np.float64)
        return Weights(rows[:, inside], rows[:, outside])


def with_data(cell: Cell, draws: ItemDraws | None) -> Weights:
    """The data as they are in row 0, then every draw."""
    data = ones(cell)
    if draws is None:
        return data
    drawn = draws.of_cell(cell)
    return Weights(
        np.concatenate([data.injected_DJ, drawn.injected_DJ]),
        np.concatenate([data.control_DK, drawn.control_DK]),
    )


def few(cell: Cell) -> bool:
    """Whether a cell has too few items for an interval."""
    return len(set(cell.injected.names)) < FEWEST


def limits(samples_DV: Array | None, width: int) -> tuple[Array, Array]:
    """Percentile interval of each value; NaN without samples."""
    if samples_DV is None:
        return np.full(width, np.nan), np.full(width, np.nan)
    return interval(samples_DV)


def divide(top: Array, bottom: Array) -> Array:
    """Elementwise ratio, NaN where the denominator is zero or undefined."""
    top, bottom = np.broadcast_arrays(top, bottom)
    shape = top.shape
    return np.asarray(np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom != 0))
