"""Every number of the study `inject` that one arm gives, from the log of probes and the plan."""

from collections.abc import Callable

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.injection import rows_default, rows_published
from polylore.metrics.injection.resample import RESAMPLES, ItemDraws
from polylore.metrics.injection.trajectories import CONTROL, Cell, read_cells
from polylore.tables import injection

Progress = Callable[[int, int, str], None]
PRESETS = ("default", "paper", "repo")
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


def analyse_injection(
    log: pl.DataFrame,
    exposures: pl.DataFrame,
    *,
    window: int = 50,
    presets: tuple[str, ...] = PRESETS,
    resamples: int = RESAMPLES,
    form_resamples: int = 200,
    seed: int = 0,
    pool: bool = False,
    no_control: bool = False,
    paper_on_gaps: bool = False,
    tokens_per_step: int | None = None,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Effectivity, retention, decay, kernels, gains and forms of every cell.

    Args:
        log: contract `tables.inject.LOG`.
        exposures: run_id, item_id, exposure and step of every exposure.
        window: steps in which a gain may peak (`published.window_of(beta1)`).
        presets: which forms: default, paper, repo.
        resamples: bootstrap resamples of items; 0 for no intervals.
        form_resamples: how many of them the comparison of forms uses.
        seed: seed of the resamples.
        pool: all runs in one cell, items as clusters; otherwise one cell per run.
        no_control: allow languages without control items: their default estimates are null.
        paper_on_gaps: where states are missing, take the published maximum over those read.
        tokens_per_step: rows times length of a batch, for intercepts in tokens.
        progress: called with (done, total, what).

    Returns:
        inject_effectivity, inject_retention, inject_decay, inject_kernels, inject_kernel_gains and
        inject_forms, by name.

    Raises:
        DataError: the plan places nothing, or a probe language has no control items.
    """
    cells = list(read_cells(log, exposures, pool=pool))
    if not no_control:
        check_controls(cells)
    draws = item_draws(log, resamples, seed) if resamples else None
    rows: dict[str, list[dict[str, object]]] = {
        table.name: []
        for table in (
            injection.EFFECTIVITY,
            injection.RETENTION,
            injection.DECAY,
            injection.KERNELS,
            injection.KERNEL_GAINS,
            injection.FORMS,
        )
    }
    for done, cell in enumerate(cells):
        if progress:
            progress(done, len(cells), "cells")
        lags = retention_lags(int(cell.states_T[-1]) - cell.last)
        for preset in presets:
            if preset == rows_default.PRESET:
                found = rows_default.effectivity_rows(cell, window, draws)
                kept = rows_default.retention_rows(cell, window, lags, draws)
                kernel, gains, forms = rows_default.kernel_rows(cell, window, draws, form_resamples)
                rows["inject_kernels"].append(kernel)
                rows["inject_kernel_gains"] += gains
                rows["inject_forms"] += forms
            else:
                found = rows_published.effectivity_rows(
                    cell, preset, window, draws, sparse=paper_on_gaps
                )
                kept, decay = rows_published.retention_rows(
                    cell, preset, window, lags, draws, tokens_per_step
                )
                rows["inject_decay"].append(decay)
            rows["inject_effectivity"] += found
            rows["inject_retention"] += kept
    if progress:
        progress(len(cells), len(cells), "cells")
    return {
        name: getattr(injection, name.removeprefix("inject_").upper()).build(found)
        for name, found in rows.items()
    }


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
