"""Every number of the study `inject` that one arm gives, from the log of probes and the plan."""

import polars as pl

from polylore.metrics.injection import rows_default, rows_published
from polylore.metrics.injection.measurements import Measurements, Progress, retention_lags
from polylore.metrics.injection.published import check_complete
from polylore.metrics.injection.resample import RESAMPLES
from polylore.metrics.injection.spans import suffix_shares, with_suffixed
from polylore.tables import injection

PRESETS = ("default", "paper", "repo")


def analyse_injection(
    log: pl.DataFrame,
    exposures: pl.DataFrame,
    *,
    window: int = 50,
    presets: tuple[str, ...] = PRESETS,
    resamples: int = RESAMPLES,
    form_resamples: int | None = 200,
    seed: int = 0,
    pool: bool = False,
    no_control: bool = False,
    paper_on_gaps: bool = False,
    tokens_per_step: float | None = None,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Effectivity, retention, decay, kernels, gains and forms of every cell.

    Args:
        log: contract `tables.inject.LOG`.
        exposures: run_id, item_id, exposure and step of every exposure.
        window: steps in which a gain may peak (`published.window_of(beta1)`).
        presets: which forms: default, paper, repo.
        resamples: bootstrap resamples of items; 0 for no intervals.
        form_resamples: how many of them the comparison of forms uses; None: no comparison.
        seed: seed of the resamples.
        pool: all runs in one cell, items as clusters; otherwise one cell per run.
        no_control: allow languages without control items: their default estimates are null.
        paper_on_gaps: where states are missing, take the published maximum over those read, and
            say so as the reason.
        tokens_per_step: tokens of a batch without padding, for intercepts in tokens.
        progress: called with (done, total, what).

    Returns:
        inject_effectivity, inject_retention, inject_decay, inject_kernels, inject_kernel_gains and
        inject_forms, by name.

    Raises:
        DataError: the plan places nothing, a probe language has no control items, or a published
            form is asked for without the default one and states are missing, which are listed.
    """
    found = Measurements.of(
        log,
        exposures,
        window=window,
        resamples=resamples,
        seed=seed,
        pool=pool,
        no_control=no_control,
        progress=progress,
    )
    return arm_tables(
        found,
        presets=presets,
        form_resamples=form_resamples,
        paper_on_gaps=paper_on_gaps,
        tokens_per_step=tokens_per_step,
        progress=progress,
    )


def arm_tables(
    found: Measurements,
    *,
    presets: tuple[str, ...] = PRESETS,
    form_resamples: int | None = 200,
    paper_on_gaps: bool = False,
    tokens_per_step: float | None = None,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """The tables of `analyse_injection`, from a log that was measured already.

    Raises:
        DataError: a published form is asked for without the default one, and states are missing.
    """
    if rows_default.PRESET not in presets and not paper_on_gaps:
        for cell in found.cells.values():
            check_complete(cell)
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
    for done, (key, cell) in enumerate(found.cells.items()):
        if progress:
            progress(done, len(found.cells), "cells")
        lags = retention_lags(max(cell.tails))
        for preset in presets:
            if preset == rows_default.PRESET:
                measured = found.measured.get(key)
                effects = rows_default.effectivity_rows(cell, measured)
                kept = rows_default.retention_rows(cell, measured, lags)
                kernels, gains, forms = rows_default.kernel_rows(
                    cell, measured, found.draws, form_resamples
                )
                rows["inject_kernels"] += kernels
                rows["inject_kernel_gains"] += gains
                rows["inject_forms"] += forms
            else:
                effects = rows_published.effectivity_rows(
                    cell, preset, found.window, found.draws, sparse=paper_on_gaps
                )
                kept, decay = rows_published.retention_rows(
                    cell, preset, found.window, lags, found.draws, tokens_per_step
                )
                rows["inject_decay"].append(decay)
            rows["inject_effectivity"] += effects
            rows["inject_retention"] += kept
    if progress:
        progress(len(found.cells), len(found.cells), "cells")
    shares = suffix_shares(found)
    tables = {name: getattr(injection, name.removeprefix("inject_").upper()) for name in rows}
    return {
        name: with_suffixed(table, table.build(rows[name]), shares)
        for name, table in tables.items()
    }
