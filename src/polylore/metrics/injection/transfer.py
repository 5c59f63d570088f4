"""What a fact injected in one language is worth in another (specification of `inject`, 2.7).

All pairs are resampled by the same draws of items, so ratios and differences stay paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.crossfit import Gains, effectivity
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.resample import (
    RESAMPLES,
    ItemDraws,
    divide,
    few,
    limits,
    with_data,
)
from polylore.metrics.injection.spans import suffix_shares, with_suffixed
from polylore.metrics.injection.trajectories import CELL, Cell, read_cells
from polylore.tables.injection import TRANSFER

LAGS = (10, 100, 1000)
CHUNK = 100
"""Resamples that are computed together."""
FACTORS = ("same_script", "name_form", "background_tokens_a", "background_tokens_b",
           "background_loss_a", "background_loss_b")  # fmt: skip
PER_BYTE = pl.col("sum_logprob") / pl.col("n_target_bytes")
SWAP_MARGIN = pl.col("mean_logprob") - pl.col("swap_mean_logprob")
MARGIN = pl.col("margin")
"""Of the target over the best distractor, in nats, both with the suffix where one is scored."""
Row = dict[str, Any]


@dataclass(frozen=True)
class _Value:
    """A number, its resamples, and why it is null."""

    value: float
    samples: Array | None
    items: int
    reason: str | None = None

    def limits(self) -> tuple[float, float]:
        lo, hi = limits(None if self.samples is None else self.samples[:, None], 1)
        return float(lo[0]), float(hi[0])


def transfer(
    log: pl.DataFrame,
    exposures: pl.DataFrame,
    *,
    window: int = 50,
    resamples: int = RESAMPLES,
    seed: int = 0,
    pool: bool = False,
    factors: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Matrices of effectivity and retention, injection language by probe language.

    Args:
        log: contract `tables.inject.LOG`. Values per byte need sum_logprob and n_target_bytes,
            the fact-specific gain needs swap_mean_logprob, margins need margin.
        exposures: run_id, item_id, exposure and step of every exposure.
        window: steps in which a gain may peak.
        resamples: bootstrap resamples of items.
        seed: their seed.
        pool: all runs in one cell, items as clusters.
        factors: inject_lang, probe_lang and any of `FACTORS`, to be written beside.

    Returns:
        Table TRANSFER. Ratios are null (`denominator_not_positive`) unless the 95 % interval of
        the denominator lies above zero.

    Raises:
        DataError: a probe language has no control items.
    """
    found = Measurements.of(
        log, exposures, window=window, resamples=resamples, seed=seed, pool=pool
    )

    def scored(score: pl.Expr) -> Measurements | None:
        rows = log.filter(score.is_not_null())
        if not rows.height:
            return None
        return Measurements.of(
            rows,
            exposures,
            window=window,
            draws=found.draws,
            pool=pool,
            score=score,
            kernels=False,
        )

    margins = scored(MARGIN) if "margin" in log.columns else None
    return transfer_table(found, factors, swaps=scored(SWAP_MARGIN), margins=margins)


def transfer_table(
    found: Measurements,
    factors: pl.DataFrame | None = None,
    *,
    swaps: Measurements | None = None,
    margins: Measurements | None = None,
) -> pl.DataFrame:
    """The table of `transfer`, from a log that was measured already.

    Args:
        found: the log, measured.
        factors: as in `transfer`.
        swaps: the same log measured by `SWAP_MARGIN`; None if swapped subjects were not read.
        margins: the same by `MARGIN`; None if distractors were not read.
    """
    values = {key: _values(one) for key, one in found.measured.items()}
    for key, one in _by_byte(found):
        values[key]["effectivity_per_byte"] = one
    for key, measured in swaps.measured.items() if swaps else ():
        values[key]["fact_specific_gain"] = _value(measured, measured.effect.value_D)
    for key, measured in margins.measured.items() if margins else ():
        values[key] |= _margins(measured)
    for key, own in values.items():
        run, arm, depth, source, target = key
        own |= _compared(
            own,
            values.get((run, arm, depth, source, source)),
            values.get((run, arm, depth, target, target)),
            here=source == target,
        )
    return with_suffixed(TRANSFER, _table(values, factors), suffix_shares(found))


def _by_byte(found: Measurements) -> Iterator[tuple[tuple[str, ...], _Value]]:
    """Gains in nats per UTF-8 byte of the target, of every cell with controls."""
    scored = found.log.filter(PER_BYTE.is_not_null())
    if not scored.height:
        return
    for cell in read_cells(scored, found.exposures, pool=found.pool, score=PER_BYTE):
        if cell.control is not None:
            yield tuple(cell.key.values()), _gain(cell, found.window, found.draws)


def _values(found: Measured) -> dict[str, _Value]:
    """E, a, R at some lags and kappa, with the resamples of all of them."""
    values = {"effectivity": _value(found, found.effect.value_D)}
    if found.by_exposure is not None:
        values["a_kernel"] = _decay(found)
    if found.interval is not None:
        single = _value(found, divide(found.left.bottom_DL, found.left.weight_DL)[:, 0])
        values["kappa"] = _if_positive(_value(found, found.left.share_DL[:, 0]), single)
    for lag in LAGS:
        at = found.at(lag)
        if at is not None:
            whole = _value(found, found.kept.bottom_DL[:, at])
            share = _value(found, found.kept.share_DL[:, at])
            values[f"retention_{lag}"] = _if_positive(share, whole)
    return values


def _margins(found: Measured) -> dict[str, _Value]:
    """E and D at the last peak of the margin over distractors."""
    made = {"margin_gain": _value(found, found.effect.value_D)}
    at = found.at(0)
    if at is not None:
        whole, weight = found.kept.bottom_DL[:, at], found.kept.weight_DL[:, at]
        made["margin_at_peak"] = _value(found, divide(whole, weight))
    return made


def _value(found: Measured, rows_R: Array) -> _Value:
    drawn = found.rows > 1 and not found.few
    reason = "few_items" if found.few else None
    return _Value(float(rows_R[0]), rows_R[1:] if drawn else None, found.n_items, reason)


def _decay(found: Measured) -> _Value:
    """a with a gain for every exposure; null with the reason where it is no number."""
    value = _value(found, found.decay_R)
    if found.kernel_reason is None:
        return value
    return _Value(float("nan"), None, value.items, found.kernel_reason)


def _if_positive(value: _Value, denominator: _Value) -> _Value:
    if denominator.samples is None:
        return _Value(float("nan"), None, value.items, denominator.reason)
    if not denominator.limits()[0] > 0:
        return _Value(float("nan"), None, value.items, "denominator_not_positive")
    return value


def _gain(cell: Cell, window: int, draws: ItemDraws | None) -> _Value:
    gains = Gains.of(cell, window)
    drawn = with_data(cell, None if few(cell) else draws)
    parts = [effectivity(gains, part).value_D for part in drawn.chunks(CHUNK)]
    rows = np.concatenate(parts)
    reason = "few_items" if few(cell) else None
    samples = rows[1:] if len(rows) > 1 else None
    return _Value(float(rows[0]), samples, cell.injected.n, reason)


def _compared(
    own: dict[str, _Value],
    source: dict[str, _Value] | None,
    target: dict[str, _Value] | None,
    *,
    here: bool,
) -> dict[str, _Value]:
    """Ratios to the diagonal of the source and of the target, and the difference of decay."""
    if here:
        return {}
    n = own["effectivity"].items
    absent = _Value(float("nan"), None, n, "no_diagonal")
    found = {
        "source_normalised": absent,
        "target_normalised": absent,
        "retention_transfer": absent,
    }
    for name, diagonal in (("source_normalised", source), ("target_normalised", target)):
        if diagonal is not None:
            found[name] = _ratio(own["effectivity"], diagonal["effectivity"])
    if source is not None and "a_kernel" in own and "a_kernel" in source:
        a, b = own["a_kernel"], source["a_kernel"]
        samples = None
        if a.samples is not None and b.samples is not None:
            samples = a.samples - b.samples
        found["retention_transfer"] = _Value(a.value - b.value, samples, n, a.reason or b.reason)
    return found


def _ratio(top: _Value, bottom: _Value) -> _Value:
    if top.samples is None or bottom.samples is None:
        return _Value(float("nan"), None, top.items, "few_items")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _Value(top.value / bottom.value, top.samples / bottom.samples, top.items)
    return _if_positive(ratio, bottom)


def _table(
    values: dict[tuple[str, ...], dict[str, _Value]], factors: pl.DataFrame | None
) -> pl.DataFrame:
    rows: list[Row] = []
    for key, found in values.items():
        for quantity, value in found.items():
            lo, hi = value.limits()
            numbers = {"value": value.value, "lo": lo, "hi": hi}
            rows.append(
                dict(zip(CELL, key, strict=True))
                | {k: v if np.isfinite(v) else None for k, v in numbers.items()}
                | {
                    "quantity": quantity,
                    "n_items": value.items,
                    "reason_null": value.reason,
                }
            )
    table = TRANSFER.build(rows)
    if factors is None:
        return table
    known = [name for name in FACTORS if name in factors.columns]
    pairs = factors.select("inject_lang", "probe_lang", *known)
    return TRANSFER.validate(
        table.drop(known).join(
            pairs, on=["inject_lang", "probe_lang"], how="left", maintain_order="left"
        )
    )
