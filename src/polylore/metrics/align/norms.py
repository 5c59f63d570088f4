"""Log-probabilities of option texts, normalised in four ways (specification of `align`, 4.2)."""

import polars as pl

from polylore.tables.align import OPTION_SCORES

TEXT = "text_ll"
NORMS = {
    "": pl.col("logp"),
    "_token": pl.col("logp") / pl.col("n_tokens"),
    "_byte": pl.col("logp") / pl.col("n_bytes"),
    "_pmi": pl.col("logp") - pl.col("logp_null"),
}
"""What is added to the mode's name, and the score it stands for."""


def with_norms(option_scores: pl.DataFrame) -> pl.DataFrame:
    """Option scores with a mode of its own for each normalisation of texts.

    `text_ll` is the sum over tokens, `text_ll_token` and `text_ll_byte` are means per token and
    UTF-8 byte, `text_ll_pmi` is the sum minus that after a content-free cue.

    Args:
        option_scores: table ALIGN_OPTION_SCORES.

    Returns:
        The same table; rows without what a normalisation needs are not in it.
    """
    texts = option_scores.filter(pl.col("mode") == TEXT)
    made = [option_scores.filter(pl.col("mode") != TEXT)]
    for name, score in NORMS.items():
        rows = texts.with_columns(logp=score, mode=pl.lit(TEXT + name))
        made.append(rows.filter(pl.col("logp").is_not_null()))
    return OPTION_SCORES.validate(pl.concat(made))
