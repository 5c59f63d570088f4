"""Score against transfer over runs (specification of `unify`, section 2.10)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.ranking import pearson
from polylore.metrics.unification.linear import half_of
from polylore.metrics.unification.ranks import isotonic_mae, spearman_draws
from polylore.metrics.unification.resampling import DRAWS, cluster_weights
from polylore.tables.unify_results import CORRELATION

FEWEST = 3
"""Fewer runs or conditions make no correlation."""
GIVEN = ("u_step0", "i_design", "i_uni", "p")
KEPT = ("done",)
_SCORE = ["score", "layer", "position"]


def correlation(
    scores: pl.DataFrame,
    *,
    given: Sequence[str] = GIVEN,
    leaky: bool = False,
    statuses: Sequence[str] = KEPT,
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Correlate each score with acc_x over runs: pooled, within families, without each family.

    Bootstrap draws resample conditions. Then half of the conditions chooses layer and position of
    each score by its Spearman, and both halves are reported.

    Args:
        scores: one row per run, score, layer and position, at the final checkpoint: run_hash,
            condition, family, status, leaky, score, layer, position, value, acc_x and the columns
            of `given`. Trivial grid cells must have a null value.
        given: what the partial correlation holds constant; columns that are constant or have
            nulls among the runs of a row are left out of it.
        leaky: whether leaky runs count; they are counted in n_leaky in any case.
        statuses: runs of which status count.
        draws: bootstrap draws; 0 for no intervals.
        seed: seed of the draws and of the halves.

    Returns:
        Table CORRELATION; a constant score or outcome is null with the reason.
    """
    used = scores.filter(pl.col("status").is_in(list(statuses)))
    n_leaky = used.filter(pl.col("leaky"))["run_hash"].n_unique()
    used = used if leaky else used.filter(~pl.col("leaky"))
    rows = []
    for key, own in used.group_by(_SCORE, maintain_order=True):
        names: dict[str, Any] = dict(zip(_SCORE, key, strict=True)) | {"selected_on": "none"}
        for reading, family, part in _readings(own):
            rows.append(
                names
                | {"reading": reading, "family": family}
                | _correlate(part, given, draws, seed)
            )
    for (score,), own in used.group_by(["score"], maintain_order=True):
        rows += [{"score": score} | row for row in _chosen(own, given, draws, seed)]
    return CORRELATION.build([row | {"n_leaky": n_leaky} for row in rows])


def _readings(own: pl.DataFrame) -> Iterator[tuple[str, str, pl.DataFrame]]:
    yield "pooled", "all", own
    families = own["family"].unique(maintain_order=True).to_list()
    for family in families:
        yield "family", family, own.filter(family=family)
    if len(families) > 1:
        for family in families:
            yield "without", family, own.filter(pl.col("family") != family)


def _correlate(own: pl.DataFrame, given: Sequence[str], draws: int, seed: int) -> dict[str, Any]:
    data = own.filter(pl.col("value").is_not_nan() & pl.col("acc_x").is_not_nan())
    data = data.drop_nulls(["value", "acc_x"])
    x, y = (data[name].cast(pl.Float64).to_numpy() for name in ("value", "acc_x"))
    conditions = data["condition"].to_list()
    row: dict[str, Any] = {
        "n": data.height,
        "n_conditions": len(set(conditions)),
        "given": "",
        "reason": _reason(x, y, "score", "acc_x"),
    }
    if row["reason"] is not None:
        return row
    held = [name for name in given if _varies(data, name)]
    row["given"] = ",".join(held)
    given_NG = data.select(held).cast(pl.Float64).to_numpy() if held else None
    row["pearson"] = pearson(x, y)
    one = np.ones((1, len(x)))
    many = draws > 0 and row["n_conditions"] >= FEWEST
    weights = np.concatenate(
        [one, cluster_weights(conditions, draws=draws, seed=seed)] if many else [one]
    )
    row |= _with_ends("spearman", "", spearman_draws(x, y, weights))
    if given_NG is not None and len(x) > given_NG.shape[1] + 2:
        row |= _with_ends("partial", "partial_", spearman_draws(x, y, weights, given_NG))
    if row["n_conditions"] >= 2 * FEWEST:
        row["isotonic_mae"] = _number(isotonic_mae(x, y, half_of(np.asarray(conditions), seed)))
    return row


def _reason(x: Array, y: Array, score: str, outcome: str) -> str | None:
    if len(x) < FEWEST:
        return f"fewer than {FEWEST} runs with both values"
    for values, name in ((x, score), (y, outcome)):
        if np.ptp(values) == 0:
            return f"{name} is constant"
    return None


def _varies(data: pl.DataFrame, name: str) -> bool:
    if name not in data.columns or data[name].null_count() or not data.height:
        return False
    return data[name].n_unique() > 1


def _with_ends(name: str, prefix: str, values_D: Array) -> dict[str, float | None]:
    """Estimate from the first column, interval from the others."""
    row = {name: _number(values_D[0])}
    if len(values_D) > 1 and row[name] is not None:
        lo, hi = interval(values_D[1:, None])
        row |= {f"{prefix}lo": _number(lo[0]), f"{prefix}hi": _number(hi[0])}
    return row


def _chosen(
    own: pl.DataFrame, given: Sequence[str], draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The layer and position with the largest Spearman on half of the conditions, on each half."""
    conditions = own["condition"].unique().sort()
    places = own.select("layer", "position").unique(maintain_order=True)
    if len(conditions) < 2 * FEWEST or places.height < 2:
        return
    half = conditions.filter(pl.Series(half_of(conditions.to_numpy(), seed)))
    chooses = pl.col("condition").is_in(half.to_list())
    best, found = None, -np.inf
    for place in places.iter_rows(named=True):
        value = _correlate(own.filter(**place).filter(chooses), (), 0, seed).get("spearman")
        if value is not None and value > found:
            best, found = place, value
    if best is None:
        return
    for name, part in (("chosen_half", chooses), ("other_half", ~chooses)):
        row = _correlate(own.filter(**best).filter(part), given, draws, seed)
        yield best | {"reading": "pooled", "family": "all", "selected_on": name} | row


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
