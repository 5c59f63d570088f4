"""What is lost without the pivot's documents (specification of `trace`, section 4.8)."""

from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import Array, combine_variants, with_axis
from polylore.metrics.pathways.labels import LABELS, MISSING, TRANSFER
from polylore.metrics.ranking import weighted_auc
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.referee import COUNTERFACTUAL


def counterfactual(
    cells: pl.DataFrame,
    removed: pl.DataFrame,
    treated: Collection[str],
    checkpoints: pl.DataFrame,
    *,
    pivot: str,
    arm: str,
    seed: int,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Compare a run with its twin that never read the pivot's documents about some facts.

    Lost: right in the full run, wrong in its twin. Of each label, l1 is the share lost among
    treated facts and l0 among the untouched; causal precision = clip((l1 - l0)/(1 - l0), 0, 1) is
    near 1 for what really came from the pivot. Causal recall = (lost and labelled - l0 of the label
    x labelled)/(lost - l0 of all x all), over treated right cells. Effect = drop of the share right
    among treated facts minus that among untouched ones.

    Args:
        cells: table CELLS of the full run; cells of the pivot are left out.
        removed: table GRADES of the twin at the same checkpoints (equal ckpt_id).
        treated: facts whose pivot documents the twin never read; all others are untouched.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language.
        arm: name of the treated group.
        seed: seed of the two runs.
        draws: bootstrap draws; without them no intervals.

    Returns:
        Table COUNTERFACTUAL: a row per label and one over all right cells (``all``), for each
        language and for all together.
    """
    on = ["ckpt_id", "fact_id", "lang", "matcher"]
    twin = combine_variants(removed).select(*on, _twin="y")
    joined = (
        cells.filter(pl.col("lang") != pivot)
        .join(twin, on=on, how="inner", maintain_order="left")
        .drop_nulls(["y", "_twin"])
        .with_columns(_treated=pl.col("fact_id").is_in(list(treated)))
    )
    index = index_of(joined, draws)
    resamples = Resamples.of(index, draws)
    place = {fact: row for row, fact in enumerate(index.fact_ids)}
    rows: list[dict[str, Any]] = []
    for (ckpt, matcher), group in joined.group_by("ckpt_id", "matcher", maintain_order=True):
        for lang in (*group["lang"].unique(maintain_order=True).to_list(), "all"):
            scope = group if lang == "all" else group.filter(lang=lang)
            key = {"arm": arm, "seed": seed, "ckpt_id": ckpt, "matcher": matcher, "lang": lang}
            facts_N = np.array([place[f] for f in scope["fact_id"].to_list()], dtype=np.int64)
            rows += [key | row for row in _rows(scope, resamples.weights_FD[facts_N])]
    frame = COUNTERFACTUAL.build(rows).drop("step", "tokens")
    return COUNTERFACTUAL.validate(with_axis(frame, checkpoints))


def _rows(cells: pl.DataFrame, weights_ND: Array) -> list[dict[str, Any]]:
    right = cells["y"].to_numpy()
    lost = right & ~cells["_twin"].to_numpy()
    treated = cells["_treated"].to_numpy()
    whole = _losses(right, lost, treated, weights_ND)
    made = []
    for label in (*(name for name in LABELS if name != MISSING), "all"):
        labelled = right if label == "all" else right & (cells["label"] == label).to_numpy()
        own = _losses(labelled, lost, treated, weights_ND)
        n1, lost1, n0, lost0 = (int(v[0]) for v in own)
        l1, l0 = divide(own[1], own[0]), divide(own[3], own[2])
        causal_D = np.clip(divide(l1 - l0, 1 - l0), 0, 1)
        row: dict[str, Any] = {
            "label": label,
            "n_treated": n1,
            "lost_treated": lost1,
            "n_untouched": n0,
            "lost_untouched": lost0,
            "l1": _number(l1[0]),
            "l0": _number(l0[0]),
        }
        value, lo, hi = (_number(v[0]) for v in ends(causal_D[None]))
        row |= {"causal_precision": value, "causal_precision_lo": lo, "causal_precision_hi": hi}
        if label == TRANSFER:
            row["causal_recall"] = _recall(own, whole)
        if label == "all":
            row |= _effect(cells, weights_ND) | _aucs(cells, right, lost, treated)
        made.append(row)
    return made


def _losses(inside: Array, lost: Array, treated: Array, weights_ND: Array) -> list[Array]:
    """Cells and lost cells of the treated, then of the untouched: (D,) each."""
    masks = (inside & treated, inside & treated & lost, inside & ~treated, inside & ~treated & lost)
    return [mask @ weights_ND for mask in masks]


def _recall(own: list[Array], whole: list[Array]) -> float | None:
    """Null where no more is lost than in the untouched group."""
    chance, chance_all = divide(own[3], own[2])[0], divide(whole[3], whole[2])[0]
    beyond = whole[1][0] - chance_all * whole[0][0]
    if not beyond > 0 or np.isnan(chance):
        return None
    return float((own[1][0] - chance * own[0][0]) / beyond)


def _effect(cells: pl.DataFrame, weights_ND: Array) -> dict[str, Any]:
    drop = cells["y"].to_numpy().astype(float) - cells["_twin"].to_numpy()
    treated = cells["_treated"].to_numpy()
    means = [
        divide((drop * group) @ weights_ND, group @ weights_ND) for group in (treated, ~treated)
    ]
    value, lo, hi = (_number(v[0]) for v in ends((means[0] - means[1])[None]))
    return {"effect": value, "effect_lo": lo, "effect_hi": hi}


def _aucs(cells: pl.DataFrame, right: Array, lost: Array, treated: Array) -> dict[str, Any]:
    share = cells["e_transfer"].to_numpy()
    found = {}
    for name, group in (("auc", treated), ("auc_untouched", ~treated)):
        kept = right & group & ~np.isnan(share)
        auc = weighted_auc(share[kept], lost[kept], np.ones((int(kept.sum()), 1)))
        found[name] = _number(auc[0])
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
