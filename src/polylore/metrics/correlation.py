"""How well exposure tells right from wrong facts (specification of `trace`, section 2.1)."""

import numpy as np
import polars as pl

from polylore.metrics.bins import binned_r, paper_edges
from polylore.metrics.bootstrap import Draws, interval
from polylore.metrics.index import Array, with_axis
from polylore.metrics.observations import POOLED, observe, with_pooled
from polylore.metrics.ranking import auc, pearson, spearman, weighted_auc
from polylore.tables.derived import FREQ_CORR


def freq_corr(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame,
    *,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Pointwise correlations of exposure with right/wrong, with and without exposure zero.

    Per language and for all together (language ``all``): Pearson of log10(1 + E), Spearman and AUC
    with mid-ranks; the published binned r stands beside them.

    Returns:
        Table FREQ_CORR; a row that cannot be computed says why.
    """
    data = observe(grades, facts, checkpoints, exposure, draws)
    known_FC = data.known_FC
    if not data.cells.height:
        return FREQ_CORR.empty()
    largest = float(data.e_FC[known_FC].max()) if known_FC.any() else 0.0
    edges = paper_edges(largest)
    columns, members = with_pooled(data.cells)
    weights_FD = None if draws is None else draws.by_fact
    rows = []
    for k, key in enumerate(columns.iter_rows(named=True)):
        own = np.flatnonzero(members[:, k])
        facts_N, cells_N = np.nonzero(known_FC[:, own])
        e_N = data.e_FC[:, own][facts_N, cells_N]
        y_N = data.y_FC[:, own][facts_N, cells_N] == 1
        for subset in ("all", "positive"):
            kept = e_N > 0 if subset == "positive" else np.ones(len(e_N), dtype=bool)
            rows.append(
                key
                | {"subset": subset}
                | _correlations(
                    e_N[kept],
                    y_N[kept],
                    edges,
                    pooled=key["lang"] == POOLED,
                    positive=subset == "positive" and bool(len(e_N)),
                    weights_ND=None if weights_FD is None else weights_FD[facts_N[kept]],
                )
            )
    schema = {name: FREQ_CORR.schema[name] for name in rows[0]}
    return FREQ_CORR.validate(with_axis(pl.DataFrame(rows, schema=schema), checkpoints))


def _correlations(
    e: Array, y: Array, edges: Array, *, pooled: bool, positive: bool, weights_ND: Array | None
) -> dict[str, float | int | str | None]:
    out: dict[str, float | int | str | None] = dict.fromkeys(
        ("pearson", "spearman", "auc", "auc_lo", "auc_hi", "binned_r", "reason")
    )
    out["n"] = len(e)
    reason = None if len(e) else ("no positive exposure" if positive else "no exposure known")
    reason = reason or ("only one class of answers" if y.all() or not y.any() else None)
    reason = reason or ("exposure is constant" if np.ptp(e) == 0 else None)
    out["reason"] = reason
    if reason is not None:
        return out
    out["pearson"] = pearson(np.log10(1 + e), y.astype(np.float64))
    out["spearman"] = spearman(e, y)
    out["auc"] = auc(e, y)
    out["binned_r"] = _number(binned_r(e, y, edges, empty_as_zero=pooled))
    if weights_ND is not None:
        lo, hi = interval(weighted_auc(e, y, weights_ND)[:, None])
        out["auc_lo"], out["auc_hi"] = _number(lo[0]), _number(hi[0])
    return out


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
