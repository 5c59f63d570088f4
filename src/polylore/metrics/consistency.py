"""Do two languages know the same facts? Jaccard, what it would be by chance, and its relatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.bootstrap import Draws, divide, index_of, interval, weighted_sums
from polylore.metrics.index import (
    Array,
    FactIndex,
    combine_variants,
    ordered_cells,
    with_axis,
)
from polylore.metrics.jaccard import PairCounts, jaccard
from polylore.metrics.rankc import rankc_table
from polylore.tables.derived import CONSISTENCY, CONSISTENCY_SUMMARY

Pairs = Literal["pivot", "all"]


@dataclass(frozen=True)
class _Pairing:
    """Pairs of languages at every (checkpoint, matcher): keys and matrix columns of both sides."""

    keys: pl.DataFrame
    a: Array
    b: Array


def _pairing(
    cells: pl.DataFrame, langs: Sequence[str], pivot: str | None, pairs: Pairs
) -> _Pairing:
    if pairs == "pivot":
        if pivot not in langs:
            raise DataError(
                f"The pivot language '{pivot}' is not among the graded languages "
                f"({', '.join(langs)}); choose one of them, or compare all pairs."
            )
        wanted = [(pivot, other) for other in langs if other != pivot]
    else:
        ordered = sorted(langs, key=lambda code: code != pivot)
        wanted = list(combinations(ordered, 2))
    at = {key: i for i, key in enumerate(cells.select("ckpt_id", "matcher", "lang").iter_rows())}
    rows = []
    for ckpt, matcher in cells.select("ckpt_id", "matcher").unique(maintain_order=True).iter_rows():
        for a, b in wanted:
            if (ckpt, matcher, a) in at and (ckpt, matcher, b) in at:
                rows.append((ckpt, matcher, a, b, at[ckpt, matcher, a], at[ckpt, matcher, b]))
    names = ("ckpt_id", "matcher", "lang_a", "lang_b")
    schema = {n: pl.String() for n in names} | {"_a": pl.Int64(), "_b": pl.Int64()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return _Pairing(frame.select(names), frame["_a"].to_numpy(), frame["_b"].to_numpy())


def consistency(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    pivot: str | None,
    pairs: Pairs = "pivot",
    scores: pl.DataFrame | None = None,
    rankc_kind: str = "softmax",
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Crosslingual consistency of every pair, per relation and over all.

    Only facts with an answer in both languages count. With several wordings a fact is right if at
    least half of them are; `coverlap` and `agree_all` pool the wordings instead. `agree_all` is the
    share of facts answered with the same entity, right or wrong; null for matchers that name no
    entities (``paper``).

    Args:
        grades: table GRADES.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language; it comes first in its pairs.
        pairs: ``pivot`` (each language with the pivot) or ``all``.
        scores: table CANDIDATE_SCORES, for RankC in the rows of candidate matchers.
        rankc_kind: weighting of RankC.
        draws: bootstrap draws; without them the interval columns are null.

    Returns:
        Table CONSISTENCY.

    Raises:
        DataError: pivot pairs without the pivot in the data.
    """
    index = index_of(facts, draws)
    cells = ordered_cells(grades, checkpoints, facts)
    langs = [
        code for code in facts["lang"].unique(maintain_order=True) if code in set(cells["lang"])
    ]
    pairing = _pairing(cells, langs, pivot, pairs)
    if not pairing.keys.height:
        return CONSISTENCY.empty()
    y_FC = _right(index, grades, cells)
    counts_F = _per_fact(y_FC, pairing)
    extras = _agreement(index, grades, cells, pairing)
    extras |= _rankc(index, scores, cells, pairing, rankc_kind)
    frames = []
    for relation, rows in index.slices():
        counts = PairCounts(*(part[rows].sum(axis=0, dtype=np.float64) for part in counts_F))
        columns: dict[str, Array] = {"n": counts.n} | counts.forms()
        if draws is not None:
            columns |= _intervals(draws, counts_F, rows)
        for name, (top_FP, bottom_FP) in extras.items():
            columns[name] = divide(top_FP[rows].sum(axis=0), bottom_FP[rows].sum(axis=0))
        if "rankc" in columns:
            gap = 1 - columns["rankc_chance"]
            columns["rankc_norm"] = divide(columns["rankc"] - columns["rankc_chance"], gap)
        frame = pairing.keys.with_columns(
            pl.lit(relation).alias("relation"),
            *(pl.Series(k, v.astype(np.float64)).fill_nan(None) for k, v in columns.items()),
        )
        frames.append(frame.filter(pl.col("n") > 0))
    whole = pl.concat(frames).with_columns(pl.col("n").cast(pl.Int64()))
    return CONSISTENCY.validate(with_axis(whole, checkpoints))


def _right(index: FactIndex, grades: pl.DataFrame, cells: pl.DataFrame) -> Array:
    return index.dense(combine_variants(grades), "y", cells)


def _per_fact(y_FC: Array, pairing: _Pairing) -> tuple[Array, Array, Array, Array]:
    """Common, right in a, right in b, right in both: float32 (F, P) each."""
    a_FP, b_FP = y_FC[:, pairing.a], y_FC[:, pairing.b]
    common_FP = ~(np.isnan(a_FP) | np.isnan(b_FP))
    a_FP, b_FP = np.where(common_FP, a_FP, 0), np.where(common_FP, b_FP, 0)
    parts = [p.astype(np.float32) for p in (common_FP, a_FP, b_FP, a_FP * b_FP)]
    return parts[0], parts[1], parts[2], parts[3]


CHUNK = 1024
"""Pair columns whose draws are held in memory at once."""


def _sampled(
    draws: Draws, counts_F: tuple[Array, Array, Array, Array], rows: slice, columns: slice
) -> PairCounts:
    # Sums of zeros and ones are exact in float32; their ratios should not be rounded to it.
    sums = [weighted_sums(draws, part[rows, columns], rows) for part in counts_F]
    return PairCounts(*(s.astype(np.float64) for s in sums))


def _intervals(
    draws: Draws, counts_F: tuple[Array, Array, Array, Array], rows: slice
) -> dict[str, Array]:
    width = counts_F[0].shape[1]
    ends = {k: np.full(width, np.nan) for k in ("lo", "hi", "j_norm_lo", "j_norm_hi")}
    several = counts_F[0][rows].sum(axis=0) > 1
    for start in range(0, width, CHUNK):
        columns = slice(start, start + CHUNK)
        forms = _sampled(draws, counts_F, rows, columns).forms()
        for prefix, name in (("", "jaccard"), ("j_norm_", "j_norm")):
            lo, hi = interval(forms[name])
            ends[f"{prefix}lo"][columns] = np.where(several[columns], lo, np.nan)
            ends[f"{prefix}hi"][columns] = np.where(several[columns], hi, np.nan)
    return ends


def _agreement(
    index: FactIndex, grades: pl.DataFrame, cells: pl.DataFrame, pairing: _Pairing
) -> dict[str, tuple[Array, Array]]:
    """Numerators and denominators per fact of the two forms that pool wordings."""
    names = grades["answer_id"].drop_nulls().unique().sort().to_list()
    shape = (index.n, pairing.keys.height)
    same, common, both, either = (np.zeros(shape, dtype=np.float32) for _ in range(4))
    for variant in grades["variant"].unique().sort().to_list():
        one = grades.filter(pl.col("variant") == variant)
        y_FC = index.dense(one, "y", cells)
        a, b = y_FC[:, pairing.a], y_FC[:, pairing.b]
        present = ~(np.isnan(a) | np.isnan(b))
        right_a, right_b = present & (a == 1), present & (b == 1)
        both += right_a & right_b
        either += right_a | right_b
        codes = index.codes(one, "answer_id", cells, names)
        a, b = codes[:, pairing.a], codes[:, pairing.b]
        same += present & (a == b) & (a >= 0)
        common += present
    # A matcher that names nobody, or only right answers, cannot tell agreement from both right.
    named = grades.filter(pl.col("answer_id").is_not_null() & (pl.col("matcher") != "paper"))
    entities = pairing.keys["matcher"].is_in(named["matcher"].unique().to_list()).to_numpy()
    return {"agree_all": (same, common * entities), "coverlap": (both, either)}


def _rankc(
    index: FactIndex,
    scores: pl.DataFrame | None,
    cells: pl.DataFrame,
    pairing: _Pairing,
    kind: str,
) -> dict[str, tuple[Array, Array]]:
    if scores is None or not scores.height:
        return {}
    keys = pairing.keys
    shape = (index.n, keys.height)
    sums, chances, counts = (np.zeros(shape) for _ in range(3))
    for matcher in keys["matcher"].unique().sort().to_list():
        if not matcher.startswith("candidates"):
            continue
        own = np.flatnonzero((keys["matcher"] == matcher).to_numpy())
        pairs = keys[own].select("lang_a", "lang_b").unique(maintain_order=True).rows()
        table = rankc_table(scores, pairs, matcher=matcher, kind=kind)
        table = table.filter(pl.col("fact_id").is_in(list(index.fact_ids)))
        on = ["ckpt_id", "lang_a", "lang_b"]
        means = table.group_by("fact_id", *on).agg(
            pl.col("rankc").mean(), pl.col("rankc_chance").mean()
        )
        value_FP = index.dense(means, "rankc", keys[own].select(on))
        chance_FP = index.dense(means, "rankc_chance", keys[own].select(on))
        sums[:, own] = np.nan_to_num(value_FP)
        chances[:, own] = np.nan_to_num(chance_FP)
        counts[:, own] = ~np.isnan(value_FP)
    return {"rankc": (sums, counts), "rankc_chance": (chances, counts)}


def consistency_summary(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    pivot: str | None,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Mean Jaccard per checkpoint in three forms.

    ``paper``: over all languages with the pivot, the pivot's own 1.0 included; ``without_pivot``:
    the same without it; ``all_pairs``: over all pairs of languages. The first two are left out if
    the pivot was not asked.

    Returns:
        Table CONSISTENCY_SUMMARY.
    """
    index = index_of(facts, draws)
    cells = ordered_cells(grades, checkpoints, facts)
    langs = [
        code for code in facts["lang"].unique(maintain_order=True) if code in set(cells["lang"])
    ]
    pairing = _pairing(cells, langs, pivot, "all")
    if not pairing.keys.height:
        return CONSISTENCY_SUMMARY.empty()
    counts_F = _per_fact(_right(index, grades, cells), pairing)
    frames = []
    places = pairing.keys.with_row_index("_at")
    for (ckpt, matcher), group in places.group_by("ckpt_id", "matcher", maintain_order=True):
        at = group["_at"].to_numpy()
        with_pivot = (group["lang_a"] == (pivot or "")).to_numpy()
        own = tuple(part[:, at] for part in counts_F)
        counts = PairCounts(*(part.sum(axis=0, dtype=np.float64) for part in own))
        j_P = jaccard(counts.both, counts.a, counts.b)[None]
        j_DP = None
        if draws is not None:
            counted = (own[0], own[1], own[2], own[3])
            sampled = _sampled(draws, counted, slice(None), slice(None))
            j_DP = jaccard(sampled.both, sampled.a, sampled.b)
        for form, value in _forms(j_P, with_pivot).items():
            row = {"ckpt_id": ckpt, "matcher": matcher, "form": form, "value": float(value[0])}
            if j_DP is not None:
                lo, hi = interval(_forms(j_DP, with_pivot)[form][:, None])
                row |= {"lo": float(lo[0]), "hi": float(hi[0])}
            frames.append(row)
    return CONSISTENCY_SUMMARY.validate(with_axis(pl.DataFrame(frames), checkpoints))


def _forms(j_DP: Array, with_pivot: Array) -> dict[str, Array]:
    pairs = int(with_pivot.sum())
    forms = {"all_pairs": j_DP.mean(axis=1)}
    if pairs:
        own = j_DP[:, with_pivot]
        forms = {
            "paper": (own.sum(axis=1) + 1) / (pairs + 1),
            "without_pivot": own.mean(axis=1),
        } | forms
    return forms
