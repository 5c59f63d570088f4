"""The true transfer rate of a language, and how far an estimate is from it."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.referee.clusters import Clusters, ends, share, total
from polylore.tables.referee import TRUE_RATES

ALL = "all"
_KEYS = ["ckpt_id", "lang", "matcher"]


def true_rates(
    truths: pl.DataFrame,
    estimates: pl.DataFrame,
    checkpoints: pl.DataFrame,
    clusters: Clusters,
    *,
    pivot: str,
) -> pl.DataFrame:
    """T = (acc(pivot_only) - acc(none))/(1 - acc(none)) beside each estimated rate t.

    Only facts whose object is spelled differently from the pivot's (`surface` disjoint). Relations
    weigh in acc(none) as they do in acc(pivot_only); relations without untaught facts are left out
    of both.

    Args:
        truths: table TRUTH with the column seed.
        estimates: seed, ckpt_id, lang (`all` for the pooled rate), matcher, info_level, t, t_lo,
            t_hi; seed is null for an estimate over all runs.
        checkpoints: table CHECKPOINTS.
        clusters: weights of facts and runs.
        pivot: the pivot.

    Returns:
        Table TRUE_RATES: a row per estimate.
    """
    usable = truths.filter(
        (pl.col("lang") != pivot) & (pl.col("surface") == "disjoint") & pl.col("y").is_not_null()
    )
    rows: list[dict[str, Any]] = []
    for key, group in estimates.group_by("seed", *_KEYS, maintain_order=True):
        seed, ckpt, lang, matcher = key
        own = usable.filter(ckpt_id=ckpt, matcher=matcher)
        own = own if lang == ALL else own.filter(lang=lang)
        own = own if seed is None else own.filter(seed=seed)
        weights = clusters if seed is None else clusters.alone(int(str(seed)))
        found = _rate(own, weights)
        keys = dict(zip(["seed", *_KEYS], key, strict=True))
        columns = ("info_level", "t", "t_lo", "t_hi")
        for estimate in group.select(columns).iter_rows(named=True):
            rows.append(keys | found | estimate | _distance(found["true_rate"], estimate))
    frame = pl.DataFrame(rows, schema=_schema(TRUE_RATES.schema), strict=False)
    return TRUE_RATES.validate(_with_axis(frame, checkpoints))


def _rate(own: pl.DataFrame, clusters: Clusters) -> dict[str, Any]:
    untaught = own.filter(condition="none")
    own = own.filter(pl.col("relation").is_in(untaught["relation"].unique().to_list()))
    told, untaught = own.filter(condition="pivot_only"), own.filter(condition="none")
    common = told["relation"].unique().to_list()
    untaught = untaught.filter(pl.col("relation").is_in(common))
    found: dict[str, Any] = {"n_pivot_only": told.height, "n_none": untaught.height}
    if not told.height or not untaught.height:
        nothing = np.array([np.nan])
        for name in ("acc_pivot_only", "acc_none", "true_rate"):
            found |= ends(name, nothing)
        reason = "no fact told in the pivot alone, or none told nowhere, with another spelling"
        return found | {"guess_contamination": None, "reason": reason}
    heard, floor = transfer_accuracies(told, untaught, clusters)
    found |= ends("acc_pivot_only", heard) | ends("acc_none", floor)
    found |= ends("true_rate", divide(heard - floor, 1 - floor))
    found["guess_contamination"] = float(floor[0] / heard[0]) if heard[0] else None
    return found | {"reason": None}


def transfer_accuracies(
    told: pl.DataFrame, untaught: pl.DataFrame, clusters: Clusters
) -> tuple[Array, Array]:
    """acc(pivot_only), and acc(none) with the relations weighted as there: (1 + draws,) each."""
    weights = clusters.weights(told)
    y = told["y"].to_numpy().astype(bool)
    heard = share(weights, y, np.ones(len(y), dtype=bool))
    below = clusters.weights(untaught)
    right = untaught["y"].to_numpy().astype(bool)
    floor, mass = np.zeros_like(heard), np.zeros_like(heard)
    for relation in told["relation"].unique(maintain_order=True):
        here = (untaught["relation"] == relation).to_numpy()
        acc = share(below, right, here)
        size = total(weights, (told["relation"] == relation).to_numpy())
        known = ~np.isnan(acc)
        floor += np.where(known, np.nan_to_num(acc) * size, 0)
        mass += np.where(known, size, 0)
    return heard, divide(floor, mass)


def _distance(rate: float | None, estimate: dict[str, Any]) -> dict[str, Any]:
    t, lo, hi = estimate["t"], estimate["t_lo"], estimate["t_hi"]
    known = rate is not None and t is not None
    inside = None if rate is None or lo is None or hi is None else lo <= rate <= hi
    return {"error": t - rate if known else None, "covered": inside}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: dtype for name, dtype in schema.items() if name not in ("step", "tokens")}


def _with_axis(frame: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    axis = checkpoints.select("ckpt_id", "step", "tokens")
    return frame.join(axis, on="ckpt_id", how="left", maintain_order="left")
