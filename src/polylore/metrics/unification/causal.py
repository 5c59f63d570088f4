"""Patching and edit transfer: does recall in one language use what the other stores? (2.8)"""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide, interval
from polylore.metrics.index import Array
from polylore.metrics.unification.resampling import DRAWS, cluster_weights, weighted_means
from polylore.tables.unify_results import CAUSAL

INFORMATIVE = 0.5
"""hit_same - hit_rand below this leaves nothing to divide by."""
ARMS = ("cross", "rand", "same")


def causal(
    patches: pl.DataFrame, edits: pl.DataFrame, *, draws: int = DRAWS, seed: int = 0
) -> pl.DataFrame:
    """Table CAUSAL from tables PATCHES and EDITS; intervals resample entities.

    The interval is that of CU for patches, of ET for edits.
    """
    rows = []
    for key, own in patches.group_by(
        ["run_hash", "step", "layer", "position"], maintain_order=True
    ):
        names = dict(zip(("run_hash", "step", "layer", "position"), key, strict=True))
        rows.append(names | {"check": "patch", "set": "x"} | _patch(own, draws, seed))
    for (run, step), own in edits.group_by(["run_hash", "step"], maintain_order=True):
        retained = own.filter(set="retention")["old_after"].mean()
        for (which,), part in own.filter(pl.col("set") != "retention").group_by(
            ["set"], maintain_order=True
        ):
            names = {"run_hash": run, "step": step, "check": "edit", "set": which}
            rows.append(names | {"retention": retained} | _edit(part, draws, seed))
    return CAUSAL.build(rows)


def _patch(own: pl.DataFrame, draws: int, seed: int) -> dict[str, Any]:
    """Hit rates of the arms over the facts that have all of them, and CU."""
    on = ["item", "lang", "source_lang"]
    wide = own.pivot(on="arm", index=[*on, "entity"], values="hit", aggregate_function="first")
    there = [arm for arm in ARMS if arm in wide.columns]
    rates = {f"hit_{arm}": own.filter(arm=arm)["hit"].mean() for arm in there}
    row: dict[str, Any] = {**rates, "hit_src": own.filter(arm="cross")["hit_src"].mean()}
    if set(there) != set(ARMS):
        return row | {"n": 0, "reason": "no fact has an arm `same`, `rand` and `cross`"}
    whole = wide.drop_nulls(list(ARMS))
    row["n"] = whole.height
    if not whole.height:
        return row | {"reason": "no fact has an arm `same`, `rand` and `cross`"}
    hits_NA = whole.select(ARMS).cast(pl.Float64).to_numpy()
    row |= {f"hit_{arm}": float(v) for arm, v in zip(ARMS, hits_NA.mean(axis=0), strict=True)}
    if row["hit_same"] - row["hit_rand"] < INFORMATIVE:
        return row | {"reason": "uninformative: hit_same - hit_rand is below .5"}
    row["cu"] = float(_cu(hits_NA.mean(axis=0)[None])[0])
    if draws:
        weights = cluster_weights(whole["entity"].to_list(), draws=draws, seed=seed)
        row |= _ends(_cu(weighted_means(hits_NA, weights)))
    return row


def _cu(hits_DA: Array) -> Array:
    """(cross - rand)/(same - rand), unclipped."""
    cross, rand, same = hits_DA.T
    return divide(cross - rand, same - rand)


def _edit(part: pl.DataFrame, draws: int, seed: int) -> dict[str, Any]:
    """ET among edits that took in their own language."""
    took = part.filter(pl.col("source_new"))
    row: dict[str, Any] = {
        "n": part.height,
        "source_new": part["source_new"].mean(),
        "old_kept": part["old_after"].mean(),
    }
    if not took.height:
        return row | {"reason": "no edit took in its own language"}
    row["et"] = took["target_new"].mean()
    if draws:
        weights = cluster_weights(took["entity"].to_list(), draws=draws, seed=seed)
        carried_N1 = took["target_new"].cast(pl.Float64).to_numpy()[:, None]
        row |= _ends(weighted_means(carried_N1, weights)[:, 0])
    return row


def _ends(values_D: Array) -> dict[str, float | None]:
    lo, hi = interval(values_D[:, None])
    return {"lo": _number(lo[0]), "hi": _number(hi[0])}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
