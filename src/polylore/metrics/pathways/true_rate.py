"""The transfer rate that held-out cells show (specification of `trace`, section 4.8)."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import Array, with_axis
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.referee import TRUE_RATE

_KEY = ["ckpt_id", "fact_id", "lang"]


def true_rate(
    cells: pl.DataFrame,
    exposure: pl.DataFrame,
    rates: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    pivot: str,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """T = (acc(pivot only) - acc(none))/(1 - acc(none)) over cells without a shared string.

    Pivot only: never read in the language, but in the pivot. None: read in no language. Relations
    that have both are compared: acc(none) is weighted by how many pivot-only cells each has.

    Args:
        cells: table CELLS, of which only y and the strings shared are used.
        exposure: frame of `exposure_at`: exact, in documents of the language, up to the checkpoint.
        rates: table TRANSFER_RATE of the same run.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language.
        draws: bootstrap draws; without them no interval of the true rate.

    Returns:
        Table TRUE_RATE; a row that cannot be computed says why.
    """
    index = index_of(cells, draws)
    resamples = Resamples.of(index, draws)
    own = exposure.select(*_KEY, _own="exposure")
    at_home = exposure.filter(lang=pivot).select("ckpt_id", "fact_id", _home="exposure")
    most = exposure.group_by("ckpt_id", "fact_id").agg(_most=pl.col("exposure").max())
    held = (
        cells.filter((pl.col("lang") != pivot) & ~pl.col("shared"))
        .drop_nulls("y")
        .join(own, on=_KEY, how="inner", maintain_order="left")
        .join(at_home, on=["ckpt_id", "fact_id"], how="inner", maintain_order="left")
        .join(most, on=["ckpt_id", "fact_id"], how="inner", maintain_order="left")
        .filter(pl.col("_own") == 0)
    )
    estimates = {
        (r["ckpt_id"], r["matcher"], r["lang"]): r
        for r in rates.filter(relation="all").iter_rows(named=True)
    }
    place = {fact: row for row, fact in enumerate(index.fact_ids)}
    rows: list[dict[str, Any]] = []
    for (ckpt, matcher), group in held.group_by("ckpt_id", "matcher", maintain_order=True):
        langs = group["lang"].unique(maintain_order=True).to_list()
        for lang in (*langs, "all"):
            scope = group if lang == "all" else group.filter(lang=lang)
            key = {"ckpt_id": ckpt, "matcher": matcher, "lang": lang}
            estimate = estimates.get((ckpt, matcher, lang))
            rows.append(key | _row(scope, place, resamples, estimate))
    frame = TRUE_RATE.build(rows).drop("step", "tokens")
    return TRUE_RATE.validate(with_axis(frame, checkpoints))


def _row(
    cells: pl.DataFrame,
    place: dict[str, int],
    resamples: Resamples,
    estimate: dict[str, Any] | None,
) -> dict[str, Any]:
    fact_N = np.array([place[f] for f in cells["fact_id"].to_list()], dtype=np.int64)
    y_N = cells["y"].to_numpy()
    given_N = (cells["_home"] >= 1).to_numpy()
    none_N = (cells["_most"] == 0).to_numpy()
    relation_N = cells["relation"].rank("dense").cast(pl.Int64()).to_numpy() - 1
    groups = int(relation_N.max()) + 1 if len(relation_N) else 0

    def sums(kept: Array) -> Array:
        return resamples.sums(fact_N[kept], relation_N[kept], groups)

    n_given, n_none = sums(given_N), sums(none_N)
    both = (n_given > 0) & (n_none > 0)
    weight = np.where(both, n_given, 0)
    row: dict[str, Any] = {
        "n_pivot_only": int(weight[:, 0].sum()) if groups else 0,
        "n_none": int(np.where(both, n_none, 0)[:, 0].sum()) if groups else 0,
    }
    if not row["n_pivot_only"]:
        return row | {"reason": "no relation has facts read in the pivot only and facts never read"}
    total = weight.sum(axis=0)
    given = divide(np.where(both, sums(given_N & y_N), 0).sum(axis=0), total)
    share = np.nan_to_num(divide(sums(none_N & y_N), n_none))
    none = divide((share * weight).sum(axis=0), total)
    rate_D = divide(given - none, 1 - none)
    value, lo, hi = (_number(v[0]) for v in ends(rate_D[None]))
    row |= {"acc_pivot_only": float(given[0]), "acc_none": float(none[0])}
    row |= {"rate": value, "rate_lo": lo, "rate_hi": hi}
    row["guess_share"] = _number(divide(none[:1], given[:1])[0])
    if estimate is None or estimate["t"] is None or value is None:
        return row
    row |= {"t": estimate["t"], "difference": estimate["t"] - value}
    if estimate["t_lo"] is not None:
        row["held"] = estimate["t_lo"] <= value <= estimate["t_hi"]
    return row


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
