"""Pairs of languages and checkpoints as units: the upper levels of LINK (section 10.2)."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.unification.ranks import spearman_draws
from polylore.metrics.unification.resampling import cluster_weights

FEWEST = 8
"""Fewest pairs of languages, and fewest intervals between checkpoints."""


def pair_level(overall: pl.DataFrame, *, draws: int, seed: int) -> list[dict[str, Any]]:
    """Spearman over directions of U with P(right in b | right in a), within a checkpoint.

    Pairs of languages are drawn, both directions of one together.

    Args:
        overall: rows of the item level.
        draws: bootstrap draws; 0 for no intervals.
        seed: seed of the draws.
    """
    group = ["model", "ckpt_id", "step", "tokens", "layer", "position", "center", "stratum"]
    rows = []
    for values, own in overall.group_by(group, maintain_order=True):
        keys = dict(zip(group, values, strict=True))
        for score in ("u_raw", "u_corrected"):
            there = own.filter(pl.col("n_known") > 0).drop_nulls([score, "acc_known"])
            pairs = [
                "-".join(sorted(pair)) for pair in there.select("lang_a", "lang_b").iter_rows()
            ]
            x, y = (there[c].cast(pl.Float64).to_numpy() for c in (score, "acc_known"))
            row: dict[str, Any] = {"n": len(set(pairs)), "acc_known": there["acc_known"].mean()}
            row["reason"] = _reason(x, y, row["n"], "pairs of languages")
            if row["reason"] is None:
                row |= _spearman(x, y, pairs, draws, seed)
            rows.append(keys | _named("pair", _score(score, keys), "all", "all") | row)
    return rows


def time_level(overall: pl.DataFrame, order: list[str]) -> list[dict[str, Any]]:
    """Within a direction over checkpoints: first differences, and whether U leads.

    `differences`: Spearman of the change of U with that of acc. `lead`: rank correlation of U(t)
    with acc(t') - acc(t) given acc(t), t' the next checkpoint.

    Args:
        overall: rows of the item level.
        order: checkpoints in their order of training; steps may start anew with a stage.
    """
    place = {ckpt: k for k, ckpt in enumerate(order)}
    group = ["model", "lang_a", "lang_b", "layer", "position", "center", "stratum"]
    rows = []
    for values, own in overall.group_by(group, maintain_order=True):
        keys = dict(zip(group, values, strict=True))
        there = own.drop_nulls(["u_raw", "acc"])
        there = there.sort(pl.col("ckpt_id").replace_strict(place, return_dtype=pl.Int64))
        u, acc = (there[c].cast(pl.Float64).to_numpy() for c in ("u_raw", "acc"))
        change = np.diff(acc)
        for score, x, given in (
            ("differences", np.diff(u), None),
            ("lead", u[:-1], acc[:-1, None]),
        ):
            row: dict[str, Any] = {"n": len(change), "ckpt_id": "all"}
            row["reason"] = _reason(x, change, len(change), "intervals between checkpoints")
            if row["reason"] is None:
                value = spearman_draws(x, change, np.ones((1, len(x))), given)[0]
                row["spearman"] = None if np.isnan(value) else float(value)
            name = _score(score, keys)
            rows.append(keys | _named("time", name, keys["lang_a"], keys["lang_b"]) | row)
    return rows


def _named(level: str, score: str, lang_a: str, lang_b: str) -> dict[str, str]:
    return {"level": level, "control": "none", "score": score, "lang_a": lang_a,
            "lang_b": lang_b, "given": "", "selected_on": "none"}  # fmt: skip


def _score(score: str, keys: dict[str, Any]) -> str:
    return score if keys["center"] == "none" else f"{score}_{keys['center']}"


def _reason(x: Array, y: Array, n: int, what: str) -> str | None:
    if n < FEWEST:
        return f"fewer than {FEWEST} {what}"
    return "score or accuracy is constant" if np.ptp(x) == 0 or np.ptp(y) == 0 else None


def _spearman(x: Array, y: Array, clusters: list[str], draws: int, seed: int) -> dict[str, Any]:
    weights = [np.ones((1, len(x)))]
    if draws:
        weights.append(cluster_weights(clusters, draws=draws, seed=seed))
    values = spearman_draws(x, y, np.concatenate(weights))
    row: dict[str, Any] = {"spearman": float(values[0])}
    if draws:
        lo, hi = interval(values[1:, None])
        row |= {"lo": float(lo[0]), "hi": float(hi[0])}
    return row
