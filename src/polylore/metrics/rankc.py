"""RankC: do two languages rank the same candidates alike? (specification of `trace`, 2.2)"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.metrics.candidates import codes, rank_candidates
from polylore.metrics.index import Array

WEIGHTS = ("softmax", "norm1", "norm2")


def rankc_weights(n: int, kind: str = "softmax") -> Array:
    """Weights w_1..w_n of the overlap of the top j.

    ``softmax``: softmax of (n, n-1, ..., 1); ``norm1``: proportional to n-j+1; ``norm2``: to its
    square.

    Raises:
        ConfigError: unknown kind.
    """
    falling = np.arange(n, 0, -1, dtype=np.float64)
    if kind == "softmax":
        raw = np.exp(falling - n)
    elif kind == "norm1":
        raw = falling
    elif kind == "norm2":
        raw = falling**2
    else:
        raise ConfigError(f"'{kind}' is not a RankC weighting; use {', '.join(WEIGHTS)}.")
    return np.asarray(raw / raw.sum())


def rankc_chance(n: int, kind: str = "softmax") -> float:
    """Expected RankC of two independent random rankings: the sum of w_j * j / n."""
    return float(rankc_weights(n, kind) @ np.arange(1, n + 1) / n)


def tail_weights(n: int, kind: str = "softmax") -> Array:
    """Sum of w_j / j over j >= k, for k = 1..n."""
    terms = rankc_weights(n, kind) / np.arange(1, n + 1)
    return np.asarray(np.cumsum(terms[::-1])[::-1])


def rankc(places_a: Array, places_b: Array, kind: str = "softmax") -> Array:
    """RankC of pairs of rankings of n candidates.

    sum_j w_j |top_j(a) & top_j(b)| / j. A candidate is in both top j iff j >= the worse of its two
    places, so each contributes the tail sum of w_j / j from there.

    Args:
        places_a, places_b: integers 1..n, shape (..., n), same candidate order in both.
        kind: weighting.

    Returns:
        float64 (...).
    """
    tails = tail_weights(places_a.shape[-1], kind)
    return np.asarray(tails[np.maximum(places_a, places_b) - 1].sum(axis=-1))


def rankc_table(
    scores: pl.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    matcher: str = "candidates",
    kind: str = "softmax",
) -> pl.DataFrame:
    """RankC of every fact in pairs of languages.

    Candidates are compared by candidate_id, over those common to all languages in which the fact
    was asked; a fact with fewer than two common candidates, or an undefined score, is left out.

    Args:
        scores: table CANDIDATE_SCORES.
        pairs: pairs of language codes.
        matcher: score that ranks, one of `candidates.SCORES`.
        kind: weighting.

    Returns:
        ckpt_id, fact_id, variant, lang_a, lang_b, n_candidates, rankc, rankc_chance.
    """
    if not scores.height:
        return _EMPTY
    rankings = _common_rankings(scores, matcher)
    width = rankings.places_QLC.shape[2]
    # tails[n, k] is what a candidate adds whose worse place among n is k; nothing if k > n.
    tails, chances = np.zeros((width + 1, width + 1)), np.zeros(width + 1)
    for n in range(1, width + 1):
        tails[n, 1 : n + 1] = tail_weights(n, kind)
        chances[n] = rankc_chance(n, kind)
    known = [(a, b) for a, b in pairs if a in rankings.langs and b in rankings.langs]
    return pl.concat([_EMPTY, *(_pair(rankings, tails, chances, a, b) for a, b in known)])


ASKED = ["ckpt_id", "fact_id", "variant"]
_EMPTY = pl.DataFrame(
    schema={
        "ckpt_id": pl.String(),
        "fact_id": pl.String(),
        "variant": pl.Int32(),
        "lang_a": pl.String(),
        "lang_b": pl.String(),
        "n_candidates": pl.Int64(),
        "rankc": pl.Float64(),
        "rankc_chance": pl.Float64(),
    }
)


@dataclass(frozen=True)
class _Rankings:
    """All rankings over the candidates that a question's languages have in common."""

    keys: pl.DataFrame
    """ASKED, one row per question."""
    langs: list[str]
    asked_QL: Array
    """Whether the question was asked in the language, and has rankings that can be compared."""
    n_Q: Array
    """Common candidates."""
    places_QLC: Array
    """Places 1..n of the common candidates, larger than n for all others."""


def _common_rankings(scores: pl.DataFrame, matcher: str) -> _Rankings:
    ranking = rank_candidates(scores, matcher)
    rows = ranking.rows
    _, first, question_N = np.unique(codes(rows, ASKED), return_index=True, return_inverse=True)
    names, lang_N = np.unique(rows["lang"].to_numpy(), return_inverse=True)
    candidate_N = codes(rows, ["candidate_id"])
    pairs, slot_N = np.unique(
        question_N * (candidate_N.max() + 1) + candidate_N, return_inverse=True
    )
    of_pair = pairs // (candidate_N.max() + 1)
    slot_N = slot_N - np.searchsorted(of_pair, question_N)
    place_N = np.arange(rows.height) - np.repeat(ranking.starts_Q, ranking.sizes_Q) + 1
    places_QLC = np.zeros((len(first), len(names), int(slot_N.max()) + 1), dtype=np.int64)
    places_QLC[question_N, lang_N, slot_N] = place_N
    asked_QL = places_QLC.any(axis=2)
    common_QC = (places_QLC > 0).sum(axis=1) == asked_QL.sum(axis=1, keepdims=True)
    n_Q = common_QC.sum(axis=1)
    others_last = np.where(common_QC[:, None, :], places_QLC, rows.height)
    undefined_Q = np.zeros(len(first), dtype=bool)
    undefined_Q[question_N[np.isnan(ranking.score_N)]] = True
    return _Rankings(
        keys=rows.select(ASKED)[first],
        langs=[str(name) for name in names],
        asked_QL=asked_QL & (~undefined_Q & (n_Q > 1))[:, None],
        n_Q=n_Q,
        places_QLC=others_last.argsort(axis=2).argsort(axis=2) + 1,
    )


def _pair(rankings: _Rankings, tails: Array, chances: Array, a: str, b: str) -> pl.DataFrame:
    i, j = rankings.langs.index(a), rankings.langs.index(b)
    rows = np.flatnonzero(rankings.asked_QL[:, i] & rankings.asked_QL[:, j])
    n = rankings.n_Q[rows]
    worse_RC = np.maximum(rankings.places_QLC[rows, i], rankings.places_QLC[rows, j])
    return rankings.keys[rows].with_columns(
        pl.lit(a).alias("lang_a"),
        pl.lit(b).alias("lang_b"),
        pl.Series("n_candidates", n, dtype=pl.Int64()),
        pl.Series("rankc", tails[n[:, None], worse_RC].sum(axis=1), dtype=pl.Float64()),
        pl.Series("rankc_chance", chances[n], dtype=pl.Float64()),
    )
