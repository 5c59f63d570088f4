"""The pathway analysis of a whole run: every checkpoint and matcher, in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from polylore.metrics.acquisition import timeline
from polylore.metrics.bootstrap import Draws
from polylore.metrics.index import combine_variants, with_axis
from polylore.metrics.pathways.cells import cell_rows
from polylore.metrics.pathways.composition import composition, shares
from polylore.metrics.pathways.course import Course
from polylore.metrics.pathways.curve import fit_curve
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.rate import transfer_rates
from polylore.metrics.pathways.rows import composition_rows, curve_rows, rate_rows
from polylore.metrics.resamples import Resamples
from polylore.tables.contract import Table
from polylore.tables.pathways import CELLS, COMPOSITION, NO_DONOR_CURVE, TRANSFER_RATE

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Pathways:
    """The tables that belong together."""

    cells: pl.DataFrame
    """Table CELLS."""
    curves: pl.DataFrame
    """Table NO_DONOR_CURVE."""
    rates: pl.DataFrame
    """Table TRANSFER_RATE."""
    composition: pl.DataFrame
    """Table COMPOSITION."""


def pathways(
    courses: Sequence[Course],
    checkpoints: pl.DataFrame,
    *,
    draws: Draws | None = None,
    progress: Progress | None = None,
) -> Pathways:
    """Where every right answer may have come from (specification of `trace`, section 2.5).

    Nothing but answers, strings and exposures is read: no design and no truth. For each matcher and
    checkpoint: the no-donor curve, the transfer rate of each language, the composition of right
    cells, and one label per cell with its evidence. Every interval is the cluster bootstrap over
    facts with curve and rates fitted again in every draw.

    Args:
        courses: one per matcher, see `Course.of`.
        checkpoints: table CHECKPOINTS.
        draws: bootstrap draws; without them no interval, and nothing is supported.
        progress: called with (done, total, what).

    Returns:
        Four tables.
    """
    steps = timeline(checkpoints)["step"].to_list()
    total = sum(len(course.ckpt_ids) for course in courses)
    parts: list[_Tables] = []
    for course in courses:
        resamples = Resamples.of(course.index, draws)
        for evidence in course:
            if progress:
                progress(len(parts), total, "following pathways")
            parts.append(_checkpoint(course, evidence, resamples, steps))
    return Pathways(
        cells=_finish(CELLS, [p.cells for p in parts], checkpoints),
        curves=_finish(NO_DONOR_CURVE, [p.curves for p in parts], checkpoints),
        rates=_finish(TRANSFER_RATE, [p.rates for p in parts], checkpoints),
        composition=_finish(COMPOSITION, [p.composition for p in parts], checkpoints),
    )


@dataclass(frozen=True)
class _Tables:
    cells: pl.DataFrame
    curves: pl.DataFrame
    rates: pl.DataFrame
    composition: pl.DataFrame


def _finish(table: Table, parts: list[pl.DataFrame], checkpoints: pl.DataFrame) -> pl.DataFrame:
    return table.validate(with_axis(pl.concat(parts), checkpoints)) if parts else table.empty()


def _checkpoint(
    course: Course,
    evidence: Evidence,
    resamples: Resamples,
    steps: list[int | None],
) -> _Tables:
    rules = course.rules
    curve = fit_curve(evidence, resamples, rules.curve)
    second = fit_curve(evidence, resamples, rules.curve, with_donor=True)
    rates = transfer_rates(evidence, curve, resamples)
    rate_table = rate_rows(evidence, rates, transfer_rates(evidence, second, resamples))
    whole = rate_table.filter(pl.col("relation") == "all")
    cells = cell_rows(
        evidence,
        course.surfaces,
        shares(evidence, curve, rates.own_LD),
        rates.own_LD[:, 0],
        dict(whole.select("lang", "supported").iter_rows()),
        course.guesses.filter(ckpt_id=evidence.ckpt_id),
        rules,
        steps,
    )
    parts = composition(evidence, curve, rates.own_LD, resamples)
    key = {"ckpt_id": pl.lit(evidence.ckpt_id), "matcher": pl.lit(evidence.matcher)}
    tables = _Tables(
        cells=cells,
        curves=pl.concat([curve_rows(evidence, c) for c in (curve, second)]),
        rates=rate_table,
        composition=composition_rows(parts, cells, rules.pivot),
    )
    return _Tables(*(frame.with_columns(**key) for frame in vars(tables).values()))


def with_raw(
    cells: pl.DataFrame,
    *,
    paper: pl.DataFrame | None = None,
    exposure: pl.DataFrame | None = None,
    gold: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Add to the cells what is only carried along.

    Args:
        cells: table CELLS.
        paper: table GRADES by the published matcher.
        exposure: frame of `exposure_at`, for the counts of subject and object alone.
        gold: frame of `gold_evidence`.

    Returns:
        Table CELLS.
    """
    on = ["ckpt_id", "fact_id", "lang"]
    parts: list[pl.DataFrame] = []
    if paper is not None:
        parts.append(combine_variants(paper).select(*on, y_paper="y"))
    if exposure is not None and "n_subj" in exposure.columns:
        parts.append(exposure.select(*on, n_subj_l="n_subj", n_obj_l="n_obj"))
    if gold is not None:
        parts.append(gold)
    for part in parts:
        new = [c for c in part.columns if c not in on]
        cells = cells.drop(new).join(part, on=on, how="left", maintain_order="left")
    return CELLS.validate(cells)
