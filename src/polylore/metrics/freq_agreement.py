"""Do two sources of counts agree (specification of `trace`, section 3.2)?

Counts of different units measure different things: their ranks can be compared, their sum or mean
means nothing, and nothing here makes one.
"""

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.bootstrap import Draws, interval
from polylore.metrics.index import Array
from polylore.metrics.ranking import pearson, spearman
from polylore.tables.quality import FREQ_AGREEMENT, FREQ_DISAGREEMENTS

ALL = "all"
_BLOCK = 64
_SOURCE = ("source_a", "source_b", "unit_a", "unit_b")


def paired(a: pl.DataFrame, b: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Totals of two exposure tables, side by side, for the cells in which both have a count.

    Args:
        a: table EXPOSURE from one source and unit; steps and document languages are added up.
        b: the same from the other.
        facts: table FACTS.

    Returns:
        fact_id, lang, relation, subject, object, a, b and the names of sources and units.

    Raises:
        DataError: a table mixes sources or units, or the two have no cell in common.
    """
    sides = []
    for side, exposure in (("a", a), ("b", b)):
        names = {}
        for column in ("source", "unit"):
            values = exposure[column].unique().to_list()
            if len(values) != 1:
                raise DataError(
                    f"Exposure {side} must hold one {column}, not {len(values)}; filter it first."
                )
            names[f"{column}_{side}"] = pl.lit(values[0])
        total = pl.when(pl.col("count").is_not_null().all()).then(pl.col("count").sum())
        counts = exposure.group_by("fact_id", "lang").agg(total.alias(side))
        sides.append(counts.filter(pl.col(side).is_not_null()).with_columns(**names))
    cells = facts.select("fact_id", "lang", "relation", "subject", "object")
    both = cells.join(sides[0], on=["fact_id", "lang"], maintain_order="left").join(
        sides[1], on=["fact_id", "lang"], maintain_order="left"
    )
    if both.is_empty():
        raise DataError("The two sources have no fact and language in common; compare fact_ids.")
    return both


def freq_agreement(
    pairs: pl.DataFrame, *, draws: Draws | None = None, corpus_documents: int | None = None
) -> pl.DataFrame:
    """Agreement per language and relation.

    Args:
        pairs: frame of `paired`.
        draws: bootstrap draws over facts, for the interval of the rank correlation.
        corpus_documents: documents of the corpus: no document count can be larger.

    Returns:
        Table FREQ_AGREEMENT: all together first, then each language, then their relations.
    """
    names = {name: pairs[name][0] for name in _SOURCE}
    groups = [((ALL, ALL), pairs)]
    groups += [
        ((str(key[0]), ALL), rows) for key, rows in pairs.group_by("lang", maintain_order=True)
    ]
    groups += [
        ((str(key[0]), str(key[1])), rows)
        for key, rows in pairs.group_by("lang", "relation", maintain_order=True)
    ]
    rows = [
        names | {"lang": lang, "relation": relation} | _one(frame, draws, corpus_documents)
        for (lang, relation), frame in groups
    ]
    return FREQ_AGREEMENT.validate(pl.DataFrame(rows, schema=FREQ_AGREEMENT.schema))


def _one(
    rows: pl.DataFrame, draws: Draws | None, corpus_documents: int | None
) -> dict[str, float | int | None]:
    a, b = (rows[side].to_numpy().astype(np.float64) for side in ("a", "b"))
    positive = (a > 0) & (b > 0)
    log_ratio = np.log(b[positive] / a[positive])
    lo = hi = float("nan")
    if draws is not None and rows.height > 2:
        place = {fact_id: i for i, fact_id in enumerate(draws.index.fact_ids)}
        weights = draws.by_fact[[place[fact_id] for fact_id in rows["fact_id"]]]
        ends = interval(weighted_spearman(a, b, weights)[:, None])
        lo, hi = float(ends[0][0]), float(ends[1][0])
    found: dict[str, float | int | None] = {
        "n": rows.height,
        "spearman": _number(spearman(a, b)),
        "lo": _number(lo),
        "hi": _number(hi),
        "pearson_log1p": _number(pearson(np.log10(1 + a), np.log10(1 + b))),
        "pearson_raw": _number(pearson(a, b)),
        "ratio": float(np.exp(log_ratio.mean())) if positive.any() else None,
        "exactly_equal": int((a == b).sum()),
        "within_2x_both_positive": int((np.abs(log_ratio) <= np.log(2) + 1e-12).sum()),
        "a0_b_positive": int(((a == 0) & (b > 0)).sum()),
        "b0_a_positive": int(((b == 0) & (a > 0)).sum()),
        "above_corpus_docs": None,
    }
    if corpus_documents is not None:
        found["above_corpus_docs"] = int(
            (a > corpus_documents).sum() + (b > corpus_documents).sum()
        )
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def weighted_spearman(x: Array, y: Array, weights_ND: Array) -> Array:
    """Spearman's rho of items repeated as often as each column of weights says: float64 (D,).

    NaN where either variable is constant in a draw.
    """
    out = np.full(weights_ND.shape[1], np.nan)
    for start in range(0, weights_ND.shape[1], _BLOCK):
        w = weights_ND[:, start : start + _BLOCK].astype(np.float64)
        rx, ry = _mid_ranks(x, w), _mid_ranks(y, w)
        total = w.sum(axis=0)
        rx -= (rx * w).sum(axis=0) / total
        ry -= (ry * w).sum(axis=0) / total
        spread = (w * rx**2).sum(axis=0) * (w * ry**2).sum(axis=0)
        known = spread > 0
        out[start : start + _BLOCK][known] = (w * rx * ry).sum(axis=0)[known] / np.sqrt(
            spread[known]
        )
    return out


def _mid_ranks(values: Array, weights_ND: Array) -> Array:
    """Mid-rank of every item among all repeated items."""
    distinct, at = np.unique(values, return_inverse=True)
    sums = np.zeros((len(distinct), weights_ND.shape[1]))
    np.add.at(sums, at, weights_ND)
    middle: Array = (np.cumsum(sums, axis=0) - sums / 2)[at]
    return middle


def disagreements(pairs: pl.DataFrame, worst: int = 50) -> pl.DataFrame:
    """The cells whose counts differ by the largest factor; ties by the larger count, then in order.

    Returns:
        Table FREQ_DISAGREEMENTS; equal counts are left out.
    """
    rows = (
        pairs.with_columns(
            log10_ratio=((1 + pl.col("b")) / (1 + pl.col("a"))).log10(),
            _most=pl.max_horizontal("a", "b"),
        )
        .filter(pl.col("a") != pl.col("b"))
        .sort(pl.col("log10_ratio").abs(), "_most", descending=[True, True], maintain_order=True)
        .head(worst)
        .rename({"a": "count_a", "b": "count_b"})
    )
    return FREQ_DISAGREEMENTS.validate(rows.select(list(FREQ_DISAGREEMENTS.schema)))
