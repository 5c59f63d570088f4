"""What else may say who is right across languages: columns of the adjusted fit (section 10.2)."""

from itertools import permutations

import polars as pl

from polylore.text import language, normalise
from polylore.text.similarity import similarity


def link_covariates(
    prompts: pl.DataFrame, answers: pl.DataFrame, exposure: pl.DataFrame | None = None
) -> list[pl.DataFrame]:
    """Frames for `link`: each is joined on those key columns that it has.

    Args:
        prompts: table LINK_PROMPTS.
        answers: model, ckpt_id, fact_id, lang, right.
        exposure: ckpt_id, fact_id, lang and exposure, from `metrics.exposure_at`; None if unknown.

    Returns:
        same_script and subject_similarity (1 - Levenshtein distance / length) of a direction;
        tokens_per_word and prompt_length of the prompt in the language asked; source_accuracy of
        the relation in the language known; log_exposure_a and log_exposure_b: log10(1 + E).
    """
    found = [_strings(prompts), _lengths(prompts), _source_accuracy(prompts, answers)]
    if exposure is not None:
        level = pl.col("exposure").log1p() / pl.lit(10.0).log()
        own = exposure.select("ckpt_id", "fact_id", "lang", level=level)
        for side in ("a", "b"):
            found.append(own.rename({"lang": f"lang_{side}", "level": f"log_exposure_{side}"}))
    return found


def _strings(prompts: pl.DataFrame) -> pl.DataFrame:
    """Whether two languages share a script, and how alike a subject is written in them."""
    subjects: dict[str, dict[str, str]] = {}
    rows = prompts.select("fact_id", "lang", "subject").unique(maintain_order=True)
    for fact_id, lang, subject in rows.iter_rows():
        subjects.setdefault(fact_id, {})[lang] = normalise(subject)
    made = [
        (fact_id, a, b, float(language(a).script == language(b).script), similarity(own[a], own[b]))
        for fact_id, own in subjects.items()
        for a, b in permutations(own, 2)
    ]
    schema = {
        "fact_id": pl.String,
        "lang_a": pl.String,
        "lang_b": pl.String,
        "same_script": pl.Float64,
        "subject_similarity": pl.Float64,
    }
    return pl.DataFrame(made, schema=schema, orient="row")


def _lengths(prompts: pl.DataFrame) -> pl.DataFrame:
    words = [
        _words(text, lang) for text, lang in prompts.select("prompt", "lang").iter_rows()
    ]  # fmt: skip
    tokens = pl.col("n_tokens").cast(pl.Float64)
    return prompts.select(
        "ckpt_id",
        "fact_id",
        lang_b="lang",
        tokens_per_word=tokens / pl.Series(words, dtype=pl.Float64),
        prompt_length=tokens,
    )


def _words(text: str, lang: str) -> int:
    """Words between spaces; of languages written without spaces, letters."""
    if language(lang).delimiter:
        return max(1, len(text.split()))
    return max(1, sum(letter.isalnum() for letter in text))


def _source_accuracy(prompts: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    relation = prompts.select("fact_id", "relation").unique()
    joined = answers.drop_nulls("right").join(relation, on="fact_id")
    return joined.group_by("model", "ckpt_id", "relation", lang_a="lang").agg(
        source_accuracy=pl.col("right").mean()
    )
