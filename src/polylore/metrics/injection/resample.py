"""Item bootstrap: all that was read of an item moves together; controls are resampled too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import cluster_draws, interval
from polylore.metrics.index import Array
from polylore.metrics.injection.trajectories import Cell

RESAMPLES = 2000
FEWEST = 10
"""Items below which a cell has no interval (`few_items`)."""


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
    """(stratum, item_id) -> column."""
    weights_DF: Array

    @classmethod
    def of(
        cls, injected: Sequence[str], control: Sequence[str], n: int = RESAMPLES, seed: int = 0
    ) -> "ItemDraws":
        """Draw injected items among themselves and control items among themselves."""
        names = [("injected", i) for i in sorted(set(injected))]
        names += [("control", i) for i in sorted(set(control))]
        # The same item may be a control in another run: the stratum is part of its name here.
        facts = pl.DataFrame(
            {"fact_id": [f"{s}\x1f{i}" for s, i in names], "relation": [s for s, _ in names]},
            schema={"fact_id": pl.String(), "relation": pl.String()},
        )
        draws = cluster_draws(facts, n=n, seed=seed)
        stratum = [str(name).partition("\x1f") for name in draws.index.fact_ids]
        return cls({(s, i): at for at, (s, _, i) in enumerate(stratum)}, draws.weights_DF)

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.weights_DF)

    def bootstrap(self, cell: Cell, statistic: Callable[[Weights], Array]) -> Array:
        """A vector-valued statistic in every draw: (D, V); NaN where a draw holds no item."""
        inside = np.array([self.column["injected", name] for name in cell.injected.names])
        control = cell.control.names if cell.control else ()
        outside = np.array([self.column["control", name] for name in control], dtype=np.int64)
        rows = []
        width = len(statistic(ones(cell)))
        for row in self.weights_DF:
            weights = Weights(row[inside].astype(np.float64), row[outside].astype(np.float64))
            empty = not weights.injected_J.any() or (len(outside) and not weights.control_K.any())
            rows.append(np.full(width, np.nan) if empty else statistic(weights))
        return np.array(rows).reshape(len(self.weights_DF), width)


def few(cell: Cell) -> bool:
    """Whether a cell has too few items for an interval."""
    return len(set(cell.injected.names)) < FEWEST


def limits(samples_DV: Array | None, width: int) -> tuple[Array, Array]:
    """Percentile interval of each value; NaN without samples."""
    if samples_DV is None:
        return np.full(width, np.nan), np.full(width, np.nan)
    return interval(samples_DV)
