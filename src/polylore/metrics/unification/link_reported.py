"""A direction at the chosen place: AUC with interval, adjusted fit and controls (section 10.2)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import rankdata

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.ranking import auc, weighted_auc
from polylore.metrics.unification.adjusted import adjusted
from polylore.metrics.unification.link_observations import EACH, KNOWN, item_rows
from polylore.metrics.unification.resampling import cluster_weights
from polylore.metrics.unification.shuffled import permutations

PERMUTATIONS = 200
_KEYS = ("model", "ckpt_id", "fact_id", "relation", "lang_a", "lang_b")
_CONTROLS = {"none": "s", "shuffled_pairs": "s_null", "fresh_init": "s_fresh"}


def directions(part: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """Every direction of every checkpoint, then all of a checkpoint together.

    Where all are together a fact's rows are one cluster.
    """
    for _, own in part.group_by("model", "ckpt_id", "lang_a", "lang_b", maintain_order=True):
        yield item_rows(own).row(0, named=True), own
    if part.select("lang_a", "lang_b").unique().height < 2:
        return
    for _, own in part.group_by("model", "ckpt_id", maintain_order=True):
        pooled = own.with_columns(lang_a=pl.lit("all"), lang_b=pl.lit("all"))
        yield item_rows(pooled).row(0, named=True), own


def reported(
    row: dict[str, Any],
    own: pl.DataFrame,
    covariates: Sequence[pl.DataFrame],
    *,
    draws: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """The row with its interval and adjusted fit, then the same AUC of the controls.

    Args:
        row: from `directions`.
        own: observations behind it.
        covariates: what else is known, see `link`.
        draws: bootstrap draws over facts; 0 for no intervals.
        seed: seed of draws, permutations and folds.
    """
    for control, column in _CONTROLS.items():
        if own["score"][0] != "s_i" and control == "shuffled_pairs":
            continue
        made = row | _auc(own, column) | {"control": control}
        if control == "fresh_init" and made["n_known"] == 0:
            made["reason"] = "no fresh initialisation"
        if made["reason"] is None:
            known = own.filter(pl.col("known")).drop_nulls(column)
            if draws:
                weights = cluster_weights(known["fact_id"].to_list(), draws=draws, seed=seed)
                right = known["right"].to_numpy()
                made |= _ends(weighted_auc(known[column].to_numpy(), right, weights.T))
            if control == "none" and covariates:
                made |= _adjusted(known, covariates, draws, seed)
        yield made
    yield row | _permuted(own, seed)


def _auc(own: pl.DataFrame, column: str) -> dict[str, Any]:
    known = own.filter(pl.col("known")).drop_nulls(column)
    right = known["right"].to_numpy()
    row = {"n_known": known.height, "acc_known": known["right"].mean(), "auc": None,
           "reason": _too_few(right)}  # fmt: skip
    if row["reason"] is None:
        row["auc"] = auc(known[column].to_numpy(), right)
    return row


def _too_few(right: Array) -> str | None:
    if len(right) < KNOWN:
        return f"fewer than {KNOWN} facts known in lang_a"
    few = min(right.sum(), (~right).sum()) < EACH
    return f"fewer than {EACH} of each outcome" if few else None


def _permuted(own: pl.DataFrame, seed: int) -> dict[str, Any]:
    """AUC when outcomes are exchanged among the known facts of a relation and direction."""
    row = _auc(own, "s") | {"control": "permuted_accuracy"}
    if row["reason"] is not None:
        return row
    known = own.filter(pl.col("known"))
    score, right = known["s"].to_numpy(), known["right"].to_numpy()
    group = known.select(pl.struct("relation", "lang_a", "lang_b").rank("dense")).to_series()
    swaps = permutations(group.to_numpy(), draws=PERMUTATIONS, seed=seed)
    # Mann-Whitney: mid-ranks of the right ones, whose number no exchange changes.
    n_right = int(right.sum())
    ranks_K = right[swaps] @ rankdata(score) - n_right * (n_right + 1) / 2
    values = ranks_K / (n_right * (len(right) - n_right))
    return row | {"auc": float(values.mean())} | _ends(values)


def _adjusted(
    known: pl.DataFrame, covariates: Sequence[pl.DataFrame], draws: int, seed: int
) -> dict[str, Any]:
    joined, names = known, []
    for frame in covariates:
        on = [name for name in _KEYS if name in frame.columns]
        names += [name for name in frame.columns if name not in on]
        joined = joined.join(frame, on=on, how="left", maintain_order="left")
    given = [n for n in names if not joined[n].null_count() and joined[n].n_unique() > 1]
    found = adjusted(
        joined["s"].to_numpy(),
        joined["right"].to_numpy(),
        joined.select(given).cast(pl.Float64).to_numpy().reshape(joined.height, len(given)),
        joined["fact_id"].to_list(),
        draws=min(draws, PERMUTATIONS),
        seed=seed,
    )
    numbers = {"coef": found.coef, "coef_lo": found.lo, "coef_hi": found.hi,
               "delta_auc": found.delta_auc}  # fmt: skip
    return {name: None if np.isnan(v) else v for name, v in numbers.items()} | {
        "given": ",".join(given)
    }


def _ends(values_D: Array) -> dict[str, float | None]:
    lo, hi = (float(end[0]) for end in interval(values_D[:, None]))
    return {"lo": None if np.isnan(lo) else lo, "hi": None if np.isnan(hi) else hi}
