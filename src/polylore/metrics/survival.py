"""Kaplan-Meier curves of acquisition: all facts, also those never acquired."""

import numpy as np
import polars as pl

from polylore.metrics.acquisition import timeline
from polylore.metrics.bootstrap import Draws, interval, weighted_sums
from polylore.metrics.index import Array, FactIndex, cells_of
from polylore.tables.derived import SURVIVAL


def survival(
    acquired: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    event: str = "sustained",
    variant: int | None = None,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Share of facts acquired by each step, 1 - Kaplan-Meier survival (`trace`, section 2.4).

    A fact leaves the risk set at its event, or after the last step by which it had surely not
    happened. Left-censored events count at their first observation.

    Args:
        acquired: table ACQUISITION.
        checkpoints: table CHECKPOINTS.
        event: event whose curve is drawn.
        variant: wording; the smallest number present if null.
        draws: bootstrap draws; without them the interval is null.

    Returns:
        Table SURVIVAL: a row per language, matcher and step of the timeline.
    """
    own = acquired.filter(pl.col("event") == event)
    if not own.height:
        return SURVIVAL.empty()
    chosen = own["variant"].min() if variant is None else variant
    own = own.filter(pl.col("variant") == chosen)
    times = timeline(checkpoints)
    steps_T = times["step"].to_numpy()
    cells = cells_of(own, ["lang", "matcher"])
    index = FactIndex.of(own) if draws is None else draws.index
    end = own.with_columns(
        pl.coalesce("step_hi", "step_lo").alias("_end"),
        (pl.col("censoring") != "right").cast(pl.Float64()).alias("_seen"),
    )
    end_FC = index.dense(end, "_end", cells)
    seen_FC = np.nan_to_num(index.dense(end, "_seen", cells)) == 1
    frames = []
    for c, (lang, matcher) in enumerate(cells.iter_rows()):
        at_risk_FT = end_FC[:, c, None] >= steps_T
        events_FT = (end_FC[:, c, None] == steps_T) & seen_FC[:, c, None]
        curve = times.select("step", "tokens").with_columns(
            pl.lit(lang).alias("lang"),
            pl.lit(matcher).alias("matcher"),
            pl.Series("at_risk", at_risk_FT.sum(axis=0)),
            pl.Series("events", events_FT.sum(axis=0)),
            pl.Series("share_acquired", _acquired(events_FT.sum(axis=0), at_risk_FT.sum(axis=0))),
        )
        if draws is not None:
            sampled = [weighted_sums(draws, m) for m in (events_FT, at_risk_FT)]
            lo, hi = interval(_acquired(sampled[0], sampled[1]))
            curve = curve.with_columns(pl.Series("lo", lo), pl.Series("hi", hi))
        frames.append(curve)
    return SURVIVAL.validate(pl.concat(frames))


def _acquired(events: Array, at_risk: Array) -> Array:
    """1 - product of (1 - events/at_risk) along the last axis; nobody at risk changes nothing."""
    risk = at_risk.astype(np.float64)
    hazard = np.divide(events, risk, out=np.zeros_like(risk), where=risk > 0)
    return np.asarray(1 - np.cumprod(1 - hazard, axis=-1))
