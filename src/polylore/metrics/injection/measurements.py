"""A log, divided into its cells and measured once: what every table is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.injection.measured import Measured, measure
from polylore.metrics.injection.resample import RESAMPLES, ItemDraws
from polylore.metrics.injection.trajectories import CONTROL, SCORE, Cell, read_cells

Progress = Callable[[int, int, str], None]
Key = tuple[str, ...]
_PER_DECADE = 12


def retention_lags(longest: int) -> list[int]:
    """Lags at which retention is shown: 0, and 12 per decade, rounded."""
    if longest < 1:
        return [0]
    n = int(np.floor(np.log10(longest) * _PER_DECADE)) + 1
    return [0, *sorted({round(10 ** (k / _PER_DECADE)) for k in range(n)})]


def item_draws(log: pl.DataFrame, n: int = RESAMPLES, seed: int = 0) -> ItemDraws:
    """Bootstrap draws of the items of a log."""
    control = pl.col("arm") == CONTROL
    names = [log.filter(which)["item_id"].unique().to_list() for which in (~control, control)]
    return ItemDraws.of(names[0], names[1], n, seed)


def check_controls(cells: list[Cell]) -> None:
    """Refuse cells that nothing can be held against.

    Raises:
        DataError: a probe language has no control items.
    """
    for cell in cells:
        if cell.control is None:
            raise DataError(
                f"No never-injected item is probed in {cell.key['probe_lang']} "
                f"({cell.key['depth']}), so gains there cannot be corrected; add control items, or "
                "set no_control to have null in their place."
            )


@dataclass(frozen=True)
class Measurements:
    """Every cell of a log; those with controls are measured."""

    log: pl.DataFrame
    exposures: pl.DataFrame
    window: int
    draws: ItemDraws | None
    pool: bool
    cells: dict[Key, Cell]
    measured: dict[Key, Measured] = field(default_factory=dict)
    """Cells without controls are absent."""

    @classmethod
    def of(
        cls,
        log: pl.DataFrame,
        exposures: pl.DataFrame,
        *,
        window: int = 50,
        resamples: int = 0,
        seed: int = 0,
        draws: ItemDraws | None = None,
        pool: bool = False,
        no_control: bool = False,
        score: pl.Expr = SCORE,
        kernels: bool = True,
        progress: Progress | None = None,
    ) -> "Measurements":
        """Measure a log.

        Args:
            log: contract `tables.inject.LOG`.
            exposures: run_id, item_id, exposure and step of every exposure.
            window: steps in which a gain may peak (`published.window_of(beta1)`).
            resamples: bootstrap resamples of items; 0 for none.
            seed: seed of the resamples.
            draws: instead, resamples that serve other logs as well.
            pool: all runs in one cell, items as clusters; otherwise one cell per run.
            no_control: allow languages without control items.
            score: what y is.
            kernels: whether kernels are fitted.
            progress: called with (done, total, what).

        Raises:
            DataError: the plan places nothing, or a probe language has no control items.
        """
        cells = {tuple(cell.key.values()): cell
                 for cell in read_cells(log, exposures, pool=pool, score=score)}  # fmt: skip
        if not no_control:
            check_controls(list(cells.values()))
        if draws is None and resamples:
            draws = item_draws(log, resamples, seed)
        found = cls(log, exposures, window, draws, pool, cells)
        for done, (key, cell) in enumerate(cells.items()):
            if progress:
                progress(done, len(cells), "measuring")
            if cell.control is not None and cell.injected.n:
                lags = retention_lags(max(cell.tails))
                found.measured[key] = measure(cell, window, draws, lags, kernels=kernels)
        return found
