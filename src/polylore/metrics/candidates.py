"""Grades and rankings from candidate scores (specification of `trace`, section 2.2)."""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.metrics.index import Array, check_asked
from polylore.tables.derived import GRADES

_SUM = pl.col("logprob_sum")
SCORES: dict[str, pl.Expr] = {
    "candidates": _SUM,
    "candidates_per_token": _SUM / pl.col("n_tokens").clip(1),
    "candidates_per_byte": _SUM / pl.col("n_bytes").clip(1),
    "candidates_pmi": _SUM - pl.col("content_free_logprob"),
    "candidates_content_free": pl.col("content_free_logprob"),
}
"""Score of a candidate by matcher: log-probability summed over its tokens, the same per token and
per UTF-8 byte, minus that after the content-free prompt, and that one alone (a baseline)."""

QUESTION = ["ckpt_id", "fact_id", "lang", "variant"]


@dataclass(frozen=True)
class Ranking:
    """Candidate scores, question after question, best candidate first."""

    rows: pl.DataFrame
    """Key of CANDIDATE_SCORES, in this order."""
    score_N: Array
    """float64; NaN if undefined, and then last."""
    starts_Q: Array
    """Row at which each question starts."""

    @property
    def question_N(self) -> Array:
        """Number of the question of each row."""
        return np.repeat(np.arange(len(self.starts_Q)), self.sizes_Q)

    @property
    def sizes_Q(self) -> Array:
        """Candidates per question."""
        return np.diff(np.append(self.starts_Q, len(self.score_N)))


def rank_candidates(scores: pl.DataFrame, matcher: str = "candidates") -> Ranking:
    """Order the candidates of each question by score, ties by SHA-256 of candidate_id.

    Raises:
        ConfigError: unknown matcher.
    """
    score = scores.select(_score(matcher).cast(pl.Float64()).fill_null(np.nan)).to_series()
    question = codes(scores, QUESTION)
    order = np.lexsort((_hash_places(scores["candidate_id"]), -score.to_numpy(), question))
    changes = np.flatnonzero(np.diff(question[order])) + 1
    starts = np.concatenate([np.zeros(min(1, len(order)), dtype=np.int64), changes])
    rows = scores.select(*QUESTION, "candidate_id")[order]
    return Ranking(rows, score.to_numpy()[order], starts)


def _score(matcher: str) -> pl.Expr:
    if matcher not in SCORES:
        raise ConfigError(f"'{matcher}' is not a candidate matcher; use {', '.join(SCORES)}.")
    return SCORES[matcher]


def codes(frame: pl.DataFrame, keys: list[str]) -> Array:
    """One integer per distinct combination of keys: int64 (N,)."""
    code = np.zeros(frame.height, dtype=np.int64)
    for key in keys:
        own = frame[key].cast(pl.String()).cast(pl.Categorical()).to_physical().to_numpy()
        code = code * (int(own.max()) + 1 if own.size else 1) + own.astype(np.int64)
    return code


def _hash_places(ids: pl.Series) -> Array:
    """Place of each identity in the order of SHA-256."""
    unique = ids.unique().to_list()
    ordered = sorted(unique, key=lambda i: hashlib.sha256(i.encode()).digest())
    places = pl.DataFrame({"id": ordered}, schema={"id": pl.String()}).with_row_index("place")
    joined = ids.alias("id").to_frame().join(places, on="id", how="left", maintain_order="left")
    return joined["place"].to_numpy()


def grade_candidates(
    scores: pl.DataFrame, facts: pl.DataFrame, *, matcher: str = "candidates"
) -> pl.DataFrame:
    """Rank the gold among the candidates.

    The rank counts ties as half: 1 + better + (equal others)/2. An answer is right iff the gold
    comes first; equal scores are ordered by SHA-256 of candidate_id, never by position in the list,
    because the gold may always stand last there.

    Args:
        scores: table CANDIDATE_SCORES.
        facts: table FACTS with candidate_ids and gold_pos.
        matcher: one of `SCORES`.

    Returns:
        Table GRADES; y, answer_id and gold_rank are null where the fact has no gold candidate, the
        gold was not scored, or any candidate's score is undefined.

    Raises:
        ConfigError: unknown matcher.
        DataError: scores about unknown facts.
    """
    _score(matcher)
    check_asked(scores, facts)
    golds = facts.select(
        "fact_id",
        "lang",
        "relation",
        pl.col("candidate_ids").list.get(pl.col("gold_pos"), null_on_oob=True).alias("_gold"),
    )
    if not scores.height:
        return GRADES.empty()
    ranking = rank_candidates(scores, matcher)
    first = ranking.rows[ranking.starts_Q].rename({"candidate_id": "answer_id"})
    asked = first.join(golds, on=["fact_id", "lang"], how="left", maintain_order="left")
    gold_N = asked["_gold"].gather(ranking.question_N)
    is_gold_N = (ranking.rows["candidate_id"] == gold_N).fill_null(False).to_numpy()
    own_Q = np.full(asked.height, np.nan)
    own_Q[ranking.question_N[is_gold_N]] = ranking.score_N[is_gold_N]
    own_N = own_Q[ranking.question_N]
    better_Q = np.add.reduceat((ranking.score_N > own_N).astype(np.float64), ranking.starts_Q)
    equal_Q = np.add.reduceat((ranking.score_N == own_N).astype(np.float64), ranking.starts_Q)
    undefined_Q = np.logical_or.reduceat(np.isnan(ranking.score_N), ranking.starts_Q)
    whole = pl.lit(pl.Series(~undefined_Q & ~np.isnan(own_Q)))
    return GRADES.validate(
        asked.select(
            *QUESTION,
            "relation",
            pl.lit(matcher).alias("matcher"),
            pl.when(whole).then(pl.col("answer_id") == pl.col("_gold")).alias("y"),
            pl.when(whole).then("answer_id").alias("answer_id"),
            pl.when(whole).then(pl.Series(0.5 + better_Q + 0.5 * equal_Q)).alias("gold_rank"),
            pl.lit(False).alias("truncated"),
        )
    )


def gold_evidence(grades: pl.DataFrame, scores: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """How the candidate scores rank the gold, by cell.

    Returns:
        ckpt_id, fact_id, lang, gold_rank (mean over wordings, matcher ``candidates``) and pmi (log
        P(gold) with the subject minus without; null if not asked).
    """
    on = ["ckpt_id", "fact_id", "lang"]
    ranks = grades.filter(matcher="candidates").group_by(on).agg(pl.col("gold_rank").mean())
    own = facts.select(
        "fact_id",
        "lang",
        candidate_id=pl.col("candidate_ids").list.get(pl.col("gold_pos"), null_on_oob=True),
    ).drop_nulls()
    golds = scores.join(own, on=["fact_id", "lang", "candidate_id"], how="semi")
    pmi = golds.group_by(on).agg(
        pmi=(pl.col("logprob_sum") - pl.col("content_free_logprob")).mean()
    )
    return ranks.join(pmi, on=on, how="full", coalesce=True)
