"""Facts as observations: a score of their states beside two answers (section 10.2).

A direction a->b asks in language b for facts that are right in language a. s_i = par_i - cross_i.
"""

from typing import Literal

import polars as pl

from polylore.metrics.unification.scores import COINCIDING

KNOWN = 30
"""Fewest facts known in the first language."""
EACH = 10
"""Fewest of them right, and fewest wrong, in the second."""
FRESH = "fresh:"
"""How the checkpoints of fresh initialisations begin."""
PLACE = ["layer", "position"]
SERIES = ["model", "ckpt_id", "step", "tokens", "lang_a", "lang_b", "center", "stratum", "score"]
Score = Literal["s_i", "neighbours", "units"]
_PAIR = ["model", "fact_id", "lang_a", "lang_b", *PLACE, "center"]


def scored(items: pl.DataFrame, score: Score = "s_i") -> pl.DataFrame:
    """LINK_ITEMS with s, s_null (the same of a wrong partner), within and the name of the score."""
    par, cross = pl.col("par_i"), pl.col("cross_i")
    return items.with_columns(
        s=par - cross if score == "s_i" else pl.col(f"{score}_i"),
        s_null=pl.col("null_i") - cross,
        within=(pl.col("within_i_a") + pl.col("within_i_b")) / 2,
        score=pl.lit(score),
    )


def is_fresh() -> pl.Expr:
    """Rows of fresh initialisations."""
    return pl.col("ckpt_id").str.starts_with(FRESH)


def fresh_means(frame: pl.DataFrame) -> pl.DataFrame:
    """Means over fresh initialisations: s_fresh, par_fresh and within_fresh of each fact and pair.

    Args:
        frame: rows of fresh initialisations, from `scored`.
    """
    return frame.group_by(_PAIR, maintain_order=True).agg(
        s_fresh=pl.col("s").mean(),
        par_fresh=pl.col("par_i").mean(),
        within_fresh=pl.col("within").mean(),
    )


def observations(
    trained: pl.DataFrame, fresh: pl.DataFrame | None, answers: pl.DataFrame
) -> pl.DataFrame:
    """One row per fact, direction, layer and position, with both answers.

    Args:
        trained: rows of checkpoints, from `scored`.
        fresh: from `fresh_means`; None without fresh initialisations.
        answers: model, ckpt_id, fact_id, lang, right; null `right` is no answer.

    Returns:
        Columns of `scored` with lang_a the language known in and lang_b the one asked, and known,
        right, s_fresh, par_fresh and within_fresh.
    """
    if fresh is None:
        unknown = ("s_fresh", "par_fresh", "within_fresh")
        trained = trained.with_columns(pl.lit(None, dtype=pl.Float64).alias(n) for n in unknown)
    else:
        trained = trained.join(fresh, on=_PAIR, how="left", maintain_order="left")
    back = trained.with_columns(lang_a="lang_b", lang_b="lang_a")
    right = answers.select("model", "ckpt_id", "fact_id", "lang", "right")
    key = ["model", "ckpt_id", "fact_id"]
    both = pl.concat([trained, back])
    both = both.join(right.rename({"lang": "lang_a", "right": "known"}), on=[*key, "lang_a"])
    both = both.join(right.rename({"lang": "lang_b"}), on=[*key, "lang_b"])
    return both.drop_nulls(["known", "right", "s"]).sort(*SERIES, *PLACE, "fact_id")


def item_rows(data: pl.DataFrame) -> pl.DataFrame:
    """Scores and accuracies of every direction at every place, and the AUC of s among known facts.

    Returns:
        Keys of the direction and place, n, n_known, acc, acc_known, u_raw, u_corrected (U_norm,
        and the same minus that of fresh copies and of shuffled pairs), auc and reason.
    """
    keys = [*SERIES, *PLACE]
    ranked = data.with_columns(
        rank=pl.when("known").then(pl.when("known").then("s").rank("average").over(keys))
    )
    known, right = pl.col("known"), pl.col("right")
    wrong = pl.col("n_known") - pl.col("n_right")
    rank_sum = pl.col("rank").filter(known & right).sum()
    found = ranked.group_by(keys, maintain_order=True).agg(
        n=pl.len().cast(pl.Int64),
        acc=right.mean(),
        n_known=known.sum().cast(pl.Int64),
        acc_known=right.filter(known).mean(),
        n_right=(known & right).sum().cast(pl.Int64),
        _ranks=rank_sum,
        u_raw=_u_norm("par_i", "within"),
        _null=_u_norm("null_i", "within"),
        _fresh=_u_norm("par_fresh", "within_fresh"),
    )
    below = pl.col("_ranks") - pl.col("n_right") * (pl.col("n_right") + 1) / 2
    return found.with_columns(reason=too_few(pl.col("n_right"), wrong)).with_columns(
        u_corrected=pl.col("u_raw") - pl.col("_fresh") - pl.col("_null"),
        auc=pl.when(pl.col("reason").is_null()).then(below / (pl.col("n_right") * wrong)),
    ).drop("_ranks", "_null", "_fresh", "n_right")  # fmt: skip


def too_few(n_right: pl.Expr, n_wrong: pl.Expr) -> pl.Expr:
    """Why an AUC among known facts is null; null if it is not."""
    return (
        pl.when(n_right + n_wrong < KNOWN)
        .then(pl.lit(f"fewer than {KNOWN} facts known in lang_a"))
        .when(pl.min_horizontal(n_right, n_wrong) < EACH)
        .then(pl.lit(f"fewer than {EACH} of each outcome"))
    )


def _u_norm(par: str, within: str) -> pl.Expr:
    """(mean par - mean within)/(1 - mean within) of the facts that have both."""
    whole = pl.col(par).is_not_null() & pl.col(within).is_not_null()
    p, w = (pl.col(name).filter(whole).mean() for name in (par, within))
    return pl.when(1 - w >= COINCIDING).then((p - w) / (1 - w))


def name_of(score: str, center: str) -> str:
    """Name of a score in LINK: centring is part of it."""
    return score if center == "none" else f"{score}_{center}"
