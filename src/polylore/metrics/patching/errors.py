"""Table `errors`: the class of every answer (specification of `patch`, sections 2 and 6)."""

import polars as pl

from polylore.errors import DataError
from polylore.metrics.patching.classify import CORRECT, Question, Rules, classify
from polylore.metrics.patching.forms import Forms
from polylore.metrics.patching.keys import answer_of
from polylore.tables.patch_derived import ERRORS

NATURAL_TARGET = "tgt_unpatched"
"""The one setting in which the target concept is asked for."""
FLAGS = ("hom_same", "hom_false", "colex_a", "colex_b", "poly", "clean")

# Equal answers to equal questions occur in many settings and at many onsets; each is judged once.
_SAME = ["lang_a", "lang_b", "pair_id", "_asked", "_patched", "raw_text"]


def intended() -> pl.Expr:
    """The concept that an answer should name: t of the natural target prompt, else s."""
    target = pl.col("setting") == NATURAL_TARGET
    return pl.when(target).then("fact_id_target").otherwise("fact_id")


def clean_items(flags: pl.DataFrame) -> pl.DataFrame:
    """lang_a, lang_b, fact_id and the flags of table LEXICON_FLAGS."""
    return flags.select("lang_a", "lang_b", pl.col("concept_id").alias("fact_id"), *FLAGS)


def error_classes(
    answers: pl.DataFrame,
    pairs: pl.DataFrame,
    forms: Forms,
    flags: pl.DataFrame,
    *,
    prompts: pl.DataFrame | None = None,
    rules: Rules | None = None,
    manual: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Classify answers.

    Args:
        answers: table ANSWERS of `patch`; rows without an answer are left out.
        pairs: table PAIRS, for the demonstrations.
        forms: the lexicon of the plan.
        flags: table LEXICON_FLAGS of the language pairs that were asked.
        prompts: table PROMPTS; without it a target leak is never known to be of a sub-word.
        rules: senses, similarity and related words.
        manual: codes given by people, by lang_a, lang_b, fact_id (the concept asked for) and
            answer_key, column `code` (`coding.merge_codes`); they stand beside the automatic ones.

    Returns:
        Table ERRORS.

    Raises:
        DataError: answers of a pair that the plan does not hold, or to an item without flags.
    """
    asked = answers.filter(pl.col("raw_text").is_not_null()).with_columns(
        _asked=intended(), _patched=pl.col("intervention") != "none"
    )
    unknown = asked.join(pairs, on="pair_id", how="anti")
    if unknown.height:
        raise DataError(
            f"Answers name the pair '{unknown['pair_id'][0]}', which the plan does not hold; use "
            "the plan of the same run."
        )
    judged = _judge(asked, pairs, forms, prompts, rules or Rules())
    table = asked.join(judged, on=_SAME, how="left", maintain_order="left").join(
        clean_items(flags).rename({"fact_id": "_asked"}),
        on=["_asked", "lang_a", "lang_b"],
        how="left",
        maintain_order="left",
    )
    bare = table.filter(pl.col("clean").is_null())
    if bare.height:
        concept, a, b = bare.select("_asked", "lang_a", "lang_b").row(0)
        raise DataError(
            f"The lexicon has no flags for '{concept}' from {a} to {b}; make them for all language "
            "pairs of the plan."
        )
    keys = ["lang_a", "lang_b", "_asked", "answer_key"]
    if manual is None:
        table = table.with_columns(manual=pl.lit(None, pl.String))
    else:
        codes = manual.select("lang_a", "lang_b", _asked="fact_id", answer_key="answer_key",
                              manual="code")  # fmt: skip
        table = table.join(codes, on=keys, how="left", maintain_order="left")
    return ERRORS.validate(table.select(ERRORS.schema.keys()))


def _judge(
    asked: pl.DataFrame,
    pairs: pl.DataFrame,
    forms: Forms,
    prompts: pl.DataFrame | None,
    rules: Rules,
) -> pl.DataFrame:
    distinct = asked.select(*_SAME, "fact_id_target").unique(_SAME, maintain_order=True)
    shots = {
        pair: tuple(dict.fromkeys((*target, *source)))
        for pair, source, target in pairs.select("pair_id", "source_shots", "target_shots").rows()
    }
    split = _split_targets(prompts)
    rows = []
    for a, b, pair, concept, patched, raw, target in distinct.iter_rows():
        question = Question(
            lang_a=a,
            lang_b=b,
            asked=concept,
            visible=target if patched else concept,
            target=target if patched else None,
            subword=(a, b, pair) in split,
            shots=shots[pair],
        )
        verdict = classify(answer_of(raw)[0], question, forms, rules)
        rows.append((verdict.key, verdict.category, verdict.subtype, verdict.loose))
    schema = {"answer_key": pl.String, "category": pl.String, "subtype": pl.String,
              "loose": pl.Boolean}  # fmt: skip
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return pl.concat([distinct.drop("fact_id_target"), found], how="horizontal")


def _split_targets(prompts: pl.DataFrame | None) -> set[tuple[str, str, str]]:
    """(lang_a, lang_b, pair_id) whose target word has several tokens."""
    if prompts is None:
        return set()
    several = prompts.filter((pl.col("role") == "target") & (pl.col("n_object_tokens") > 1))
    return {(a, b, p) for a, b, p in several.select("lang_a", "lang_b", "pair_id").iter_rows()}


def category_of(errors: pl.DataFrame) -> pl.DataFrame:
    """The table with `category` as people have it, where they have coded it, and `right`."""
    final = pl.coalesce("manual", "category")
    return errors.with_columns(category=final, right=final.is_in(list(CORRECT)))
