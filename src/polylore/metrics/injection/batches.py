"""Small batch against large batch, at equal or unequal dose (`inject`, section 2.8).

The effect of the batch is the difference at `share`, where a passage has the same share of the loss
weight in both; the gap between `none` and `share` is what dose can explain. Loss weights under Adam
act only relative to the rest of the batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.contrasts import DEPTHS, as_row
from polylore.metrics.injection.number import Number
from polylore.metrics.injection.reach import LONGEST
from polylore.metrics.injection.readout import (
    OTHER,
    OWN,
    Reading,
    Readout,
    at_peak,
    decay,
    gain,
)
from polylore.metrics.injection.resample import divide
from polylore.tables.injection_evidence import BATCH_CONTRAST

NONE, SHARE, COUNT = "none", "share", "count"
DOSE = "none_minus_share"
ZERO = "zero_tokens_log10"
Row = dict[str, Any]
_READINGS: tuple[tuple[str, Reading], ...] = (
    ("effectivity", gain), ("at_peak", at_peak), ("a_kernel", decay),
)  # fmt: skip
_SIDES = {NONE: (NONE, NONE), SHARE: (SHARE, NONE), COUNT: (NONE, COUNT)}
"""Which small and which large runs a matching compares: what two matchings share is run once."""


@dataclass(frozen=True)
class BatchRuns:
    """Runs that differ in their seed alone."""

    match: str
    lr_rule: str
    optimizer: str
    batch: int
    length: float
    """Tokens of a row, padding left out; the mean."""
    dose_share: float
    """Mean share of the loss weight in steps with passages."""
    readout: Readout


def batch_contrast(groups: Sequence[BatchRuns]) -> pl.DataFrame:
    """Differences between batch sizes.

    Args:
        groups: runs measured with the same draws of items.

    Returns:
        Table BATCH_CONTRAST; `none_minus_share` is the part of the difference that dose explains.
    """
    rows: list[Row] = []
    found: dict[tuple[Any, ...], Number] = {}
    for key, small, large in _pairs(groups):
        for cell, quantity, one, two in _numbers(small, large):
            made = one - two
            found[(*key, *cell, quantity)] = made
            rows.append(_row(key, cell, quantity, one, two, made) | _doses(small, large))
    for (match, *rest), number in list(found.items()):
        share = found.get((SHARE, *rest))
        if match == NONE and share is not None:
            key, cell, quantity = (DOSE, *rest[:4]), tuple(rest[4:7]), rest[7]
            doses = next(r for r in rows if _same(r, (NONE, *rest)))
            own = {name: doses[name] for name in ("dose_share_small", "dose_share_large")}
            rows.append(_row(key, cell, quantity, None, None, number - share) | own)
    return BATCH_CONTRAST.build(rows)


def zero_differences(
    groups: Sequence[BatchRuns],
) -> dict[tuple[Any, ...], Number]:
    """log10 of the tokens at which the kernel is zero, small minus large batch.

    Returns:
        By match, lr_rule, optimizer, batch_small, batch_large, arm, depth and direction.
    """
    return {
        (*key, *cell): one - two
        for key, small, large in _pairs(groups)
        for cell, quantity, one, two in _numbers(small, large)
        if quantity == ZERO
    }


_KEY = ("match", "lr_rule", "optimizer", "batch_small", "batch_large")
_CELL = ("arm", "depth", "direction")


def _same(row: Row, key: tuple[Any, ...]) -> bool:
    return tuple(row[name] for name in (*_KEY, *_CELL, "quantity")) == key


def _pairs(
    groups: Sequence[BatchRuns],
) -> Iterator[tuple[tuple[Any, ...], BatchRuns, BatchRuns]]:
    sizes = sorted({g.batch for g in groups})
    for size in sizes[1:]:
        for match, (small_match, large_match) in _SIDES.items():
            for large in groups:
                if (large.batch, large.match) != (size, large_match):
                    continue
                for small in groups:
                    fits = (small.batch, small.match) == (sizes[0], small_match)
                    if fits and small.optimizer == large.optimizer:
                        key = (match, large.lr_rule, large.optimizer, small.batch, large.batch)
                        yield key, small, large


def _numbers(
    small: BatchRuns, large: BatchRuns
) -> Iterator[tuple[tuple[str, ...], str, Number, Number]]:
    arms = sorted({key[1] for key in small.readout.pooled.measured})
    for arm in arms:
        for depth in DEPTHS:
            for direction in (OWN, OTHER):
                for quantity, reading in _READINGS:
                    pair = [side.readout.number(reading, arm, depth, direction)
                            for side in (small, large)]  # fmt: skip
                    if pair[0] is None or pair[1] is None:
                        continue
                    yield (arm, depth, direction), quantity, pair[0], pair[1]
                    if reading is decay:
                        zeros = _zero(small, pair[0]), _zero(large, pair[1])
                        yield (arm, depth, direction), ZERO, *zeros


def _zero(runs: BatchRuns, a: Number) -> Number:
    """log10 of the tokens at which the kernel is zero: 1 / a + log10(tokens per step).

    Where nothing is lost there is no such number. A resample in which nothing is lost counts as the
    longest lag that means anything; left out, it would make zero look sooner, and surer.
    """
    per_step = float(np.log10(runs.batch * runs.length))

    def zero(values: Array) -> Array:
        lag = np.minimum(divide(np.ones_like(values), values), LONGEST)
        return np.where(values > 0, lag, np.nan) + per_step

    rows = zero(a.rows_R)
    rows[1:] = np.where(a.rows_R[1:] <= 0, LONGEST + per_step, rows[1:])
    return replace(a, rows_R=rows, runs_S=zero(a.runs_S))


def _row(
    key: tuple[Any, ...],
    cell: tuple[str, ...],
    quantity: str,
    small: Number | None,
    large: Number | None,
    difference: Number,
) -> Row:
    return (
        dict(zip(_KEY, key, strict=True))
        | dict(zip(_CELL, cell, strict=True))
        | {
            "quantity": quantity,
            "small": None if small is None else small.value,
            "large": None if large is None else large.value,
            "signs_by_seed": difference.signs,
        }
        | as_row(difference)
    )


def _doses(small: BatchRuns, large: BatchRuns) -> Row:
    return {"dose_share_small": small.dose_share, "dose_share_large": large.dose_share}
