"""Item bootstrap: all that was read of an item moves together; controls are resampled too."""

from collections.abc import Callable, Iterator, Sequence
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
    """How often each item of a cell is drawn."""

    injected_J: Array
    control_K: Array


def ones(cell: Cell) -> Weights:
    """The data as they are."""
    return Weights(np.ones(cell.injected.n), np.ones(cell.control.n if cell.control else 0))


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

        An item may be a control in one run and injected in another: it is drawn for either.
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

    def each(self, cell: Cell) -> Iterator[Weights]:
        """Weights of the items of a cell in every draw."""
        inside = [self.column["injected", name] for name in cell.injected.names]
        control = cell.control.names if cell.control else ()
        outside = [self.column["control", name] for name in control]
        for row in self.weights_DF.astype(np.float64):
            yield Weights(row[inside], row[outside])

    def some(self, cell: Cell, n: int) -> list[Weights]:
        """The first n draws that hold an injected item and, if the cell has any, a control."""
        held = (w for w in self.each(cell) if _holds(w))
        return [weights for weights, _ in zip(held, range(n), strict=False)]

    def bootstrap(self, cell: Cell, statistic: Callable[[Weights], Array]) -> Array:
        """A vector-valued statistic in every draw: (D, V); NaN where a draw holds no item."""
        width = len(statistic(ones(cell)))
        nothing = np.full(width, np.nan)
        rows = [statistic(w) if _holds(w) else nothing for w in self.each(cell)]
        return np.array(rows).reshape(len(rows), width)


def _holds(weights: Weights) -> bool:
    return bool(weights.injected_J.any()) and (
        not len(weights.control_K) or bool(weights.control_K.any())
    )


def few(cell: Cell) -> bool:
    """Whether a cell has too few items for an interval."""
    return len(set(cell.injected.names)) < FEWEST


def limits(samples_DV: Array | None, width: int) -> tuple[Array, Array]:
    """Percentile interval of each value; NaN without samples."""
    if samples_DV is None:
        return np.full(width, np.nan), np.full(width, np.nan)
    return interval(samples_DV)
