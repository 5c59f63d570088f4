"""Arm labels shuffled over items: how large differences of arms get by chance (`inject`, 5)."""

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.measurements import Measurements
from polylore.tables.injection_evidence import PERMUTED

SHUFFLES = 200
Row = dict[str, Any]


def permuted_plan(found: Measurements, *, shuffles: int = SHUFFLES, seed: int = 0) -> pl.DataFrame:
    """Null distribution of the differences of arms.

    The gain of an item is computed under its own schedule; then items trade arms within their
    depth, pair of languages and run.

    Args:
        found: a log, measured.
        shuffles: how often labels are shuffled.
        seed: of the shuffles; the same labels in all quantities.

    Returns:
        Table PERMUTED.
    """
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for measured in found.measured.values():
        key = measured.cell.key
        group = (key["run_id"], key["depth"], key["inject_lang"], key["probe_lang"])
        groups.setdefault(group, []).append(measured)
    rows: list[Row] = []
    for at, arms in groups.items():
        for a, b in combinations(arms, 2):
            for quantity in ("effectivity", "at_peak"):
                values = [m.effect_J if quantity == "effectivity" else m.peak_J for m in (a, b)]
                made = _shuffled(
                    values, [a.cell.injected.runs, b.cell.injected.runs], shuffles, seed
                )
                if made is not None:
                    names = ("run_id", "depth", "inject_lang", "probe_lang")
                    rows.append(
                        dict(zip(names, at, strict=True))
                        | {"arm_a": a.cell.key["arm"], "arm_b": b.cell.key["arm"]}
                        | {"quantity": quantity, "shuffles": shuffles}
                        | made
                    )
    return PERMUTED.build(rows)


def _shuffled(
    values: list[Array], runs: list[tuple[str, ...]], shuffles: int, seed: int
) -> Row | None:
    """Difference of means as it is, its quantiles under shuffled labels, and p."""
    known = [~np.isnan(v) for v in values]
    pool = np.concatenate([v[k] for v, k in zip(values, known, strict=True)])
    n_a = int(known[0].sum())
    if n_a < 2 or len(pool) - n_a < 2:
        return None
    names = np.concatenate([np.array(r)[k] for r, k in zip(runs, known, strict=True)])
    rng = np.random.default_rng(seed)
    order = np.tile(np.arange(len(pool)), (shuffles, 1))
    for run in dict.fromkeys(names.tolist()):
        own = np.flatnonzero(names == run)
        order[:, own] = rng.permuted(np.tile(own, (shuffles, 1)), axis=1)
    drawn = pool[order]
    null = drawn[:, :n_a].mean(axis=1) - drawn[:, n_a:].mean(axis=1)
    seen = float(pool[:n_a].mean() - pool[n_a:].mean())
    lo, hi = np.quantile(null, [0.025, 0.975])
    as_far = int((np.abs(null) >= abs(seen) - 1e-12).sum())
    return {"estimate": seen, "null_lo": float(lo), "null_hi": float(hi),
            "p": (as_far + 1) / (shuffles + 1), "n_items": len(pool)}  # fmt: skip
