"""Share right by exposure (specification of `trace`, sections 2.1 and 2.3)."""

from typing import Literal

import numpy as np
import polars as pl

from polylore.metrics.bins import bin_numbers, log_edges, paper_edges
from polylore.metrics.bootstrap import Draws, divide, ratio_interval
from polylore.metrics.index import Array, with_axis
from polylore.metrics.observations import POOLED, observe, with_pooled
from polylore.tables.derived import EXPOSURE_CURVE

Bins = Literal["log", "paper"]


def freq_curve(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame,
    *,
    bins: Bins = "log",
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Share right by exposure, per language and for all together (language ``all``).

    All languages and checkpoints share their edges. ``log``: bin -1 holds exposure zero, then 1, 3,
    10, 30, ...; an empty bin has p null. ``paper``: 30 edges logspace(0, log10(max + 1)), facts
    with exposure zero fall out, and the pooled curve gives an empty bin p = 0.

    Args:
        grades: table GRADES.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        exposure: frame of `exposure_at`.
        bins: ``log`` or ``paper``.
        draws: bootstrap draws; without them the interval is null.

    Returns:
        Table EXPOSURE_CURVE; empty without any known exposure.
    """
    data = observe(grades, facts, checkpoints, exposure, draws)
    known_FC = data.known_FC
    if not known_FC.any():
        return EXPOSURE_CURVE.empty()
    positive = data.e_FC[known_FC & (data.e_FC > 0)]
    edges = (
        paper_edges(float(data.e_FC[known_FC].max())) if bins == "paper" else log_edges(positive)
    )
    place_FC = bin_numbers(np.where(known_FC, data.e_FC, np.nan), edges)
    right_FC = known_FC & (data.y_FC == 1)
    columns, members = with_pooled(data.cells)
    frames = []
    for number in range(-1 if bins == "log" else 0, len(edges) - 1):
        inside_FC = known_FC & (place_FC == number)
        n_FK = inside_FC.astype(np.float32) @ members
        right_FK = (inside_FC & right_FC).astype(np.float32) @ members
        n, right = n_FK.sum(axis=0), right_FK.sum(axis=0)
        p = divide(right, n)
        if bins == "paper":
            p = np.where((columns["lang"] == POOLED).to_numpy(), np.nan_to_num(p), p)
        lo, hi = np.full(len(n), np.nan), np.full(len(n), np.nan)
        if draws is not None:
            lo, hi = (np.where(n > 1, v, np.nan) for v in ratio_interval(draws, right_FK, n_FK))
        frames.append(
            columns.with_columns(
                pl.lit(number, dtype=pl.Int32()).alias("bin"),
                pl.lit(0.0 if number < 0 else float(edges[number])).alias("lo_edge"),
                pl.lit(_end(edges, number)).alias("hi_edge"),
                pl.Series("n", n.astype(np.int64)),
                pl.Series("right", right.astype(np.int64)),
                *(
                    pl.Series(k, v.astype(np.float64)).fill_nan(None)
                    for k, v in (("p", p), ("lo", lo), ("hi", hi))
                ),
            )
        )
    return EXPOSURE_CURVE.validate(with_axis(pl.concat(frames), checkpoints))


def _end(edges: Array, number: int) -> float:
    """End of a bin; that of zero is the smallest positive exposure that could follow it."""
    return float(edges[number + 1]) if number >= 0 else float(edges[0])
