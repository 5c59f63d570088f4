"""Checkpoints of one training against each other: the same study begun at several stages.

Conditions that differ in nothing but their checkpoint make a series; every earlier checkpoint is
held against every later one. Items are drawn once for all, so differences are paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import polars as pl

from polylore.metrics.injection.contrasts import DEPTHS, as_row, end_of
from polylore.metrics.injection.evidence import LATER
from polylore.metrics.injection.number import Number
from polylore.metrics.injection.readout import (
    OTHER,
    OWN,
    LostShare,
    Reading,
    Readout,
    at_peak,
    decay,
    first_gain,
    gain,
)
from polylore.tables.injection_evidence import STAGE_CONTRAST

Row = dict[str, Any]


@dataclass(frozen=True)
class StageRuns:
    """Runs from one checkpoint that differ in their seed alone."""

    condition: str
    step: int
    """Step of the checkpoint."""
    lr: float | None
    """First learning rate; None if unknown."""
    optimizer: str
    readout: Readout


def stage_contrast(series: Sequence[Sequence[StageRuns]]) -> pl.DataFrame:
    """Differences between checkpoints.

    Args:
        series: conditions that differ in the checkpoint alone, each series by ascending step, all
            measured with the same draws of items.

    Returns:
        Table STAGE_CONTRAST.
    """
    rows: list[Row] = []
    for one in series:
        for early, late in combinations(one, 2):
            about = {
                "condition_early": early.condition,
                "condition_late": late.condition,
                "step_early": early.step,
                "step_late": late.step,
                "lr_early": early.lr,
                "lr_late": late.lr,
                "optimizer": late.optimizer,
            }
            rows += [about | row for row in _rows(early.readout, late.readout)]
    return STAGE_CONTRAST.build(rows)


def _rows(early: Readout, late: Readout) -> Iterator[Row]:
    readings = list(_readings(early, late))
    for arm in sorted({key[1] for key in early.pooled.measured}):
        for depth in DEPTHS:
            for direction in (OWN, OTHER):
                for quantity, lag, reading in readings:
                    pair = [side.number(reading, arm, depth, direction) for side in (early, late)]
                    if pair[0] is None or pair[1] is None:
                        continue
                    cell = {"arm": arm, "depth": depth, "direction": direction}
                    yield (
                        cell
                        | {"quantity": quantity, "lag": lag}
                        | _side("early", pair[0])
                        | _side("late", pair[1])
                        | _difference(pair[1] - pair[0])
                    )


def _readings(early: Readout, late: Readout) -> Iterator[tuple[str, int | None, Reading]]:
    yield "effectivity", None, gain
    yield "first_effectivity", None, first_gain
    yield "at_peak", None, at_peak
    yield "a_kernel", None, decay
    ends = [end for end in (end_of(early), end_of(late)) if end is not None]
    if len(ends) == 2:
        lag = min(LATER, *ends)
        yield "lost_share", lag, LostShare(lag)


def _side(name: str, number: Number) -> Row:
    lo, hi = number.limits
    return {name: number.value, f"{name}_lo": lo, f"{name}_hi": hi}


def _difference(number: Number) -> Row:
    return {"signs_by_seed": number.signs} | as_row(number)
