"""Free-form sets: what answers name, and right or wrong as a layout of its own.

Specification of `align`, section 2.3. Chance is 0 for free answers, and 1/n for a ranking of n
candidates (the mean where items differ). A ranking of one candidate says nothing and does not
count; a set that has no other has chance 1 and no chance-corrected accuracy.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.metrics.align.freeform import Matcher
from polylore.metrics.align.layout import Layout, layouts
from polylore.metrics.align.rotation import averaged_scores
from polylore.tables.align import FREE_GRADES, SYSTEM_KEY
from polylore.text import normalise

NAMES = "names"
RANKS = "scores"
"""What stands for a parser: names found in an answer, and scores of candidates."""
_ASKED = ["dataset", "item", "lang"]
Row = dict[str, Any]


def grade_free(
    answers: pl.DataFrame,
    items: pl.DataFrame,
    questions: pl.DataFrame,
    facts: pl.DataFrame | None = None,
    option_scores: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Classify free answers and rankings of all candidates.

    Args:
        answers: table ALIGN_ANSWERS.
        items: table ALIGN_ITEMS; only sets without options take part.
        questions: table ALIGN_QUESTIONS of these sets.
        facts: table FACTS, for other accepted names.
        option_scores: table ALIGN_OPTION_SCORES.

    Returns:
        Table ALIGN_FREE.

    Raises:
        DataError: an answer to a question that is not there.
    """
    free = items.filter(pl.col("n_options") == 0)
    texts = answers.join(free.select("dataset", "item"), on=["dataset", "item"], how="semi")
    rows = _graded_texts(texts.filter(pl.col("raw_output").is_not_null()), free, questions, facts)
    made = [FREE_GRADES.build(rows)]
    if option_scores is not None:
        ranked = option_scores.join(
            free.select("dataset", "item", "relation"), on=["dataset", "item"], how="inner"
        )
        if ranked.height:
            made.append(_graded_ranks(ranked, questions))
    return FREE_GRADES.validate(pl.concat(made))


def _graded_texts(
    answers: pl.DataFrame, items: pl.DataFrame, questions: pl.DataFrame, facts: pl.DataFrame | None
) -> list[Row]:
    about = {
        (row["dataset"], row["item"]): (row["fact_id"], row["relation"])
        for row in items.iter_rows(named=True)
    }
    own = questions.join(items.select("dataset", "item"), on=["dataset", "item"], how="semi")
    golds = _entities(own)
    matchers = _matchers(own, about, golds, facts)
    rows: list[Row] = []
    keys = [*SYSTEM_KEY, *_ASKED]
    for *key, output in answers.select(*keys, "raw_output").iter_rows():
        *_, dataset, item, lang = key
        if (dataset, item) not in golds:
            raise DataError(f"An answer is about item {item} of {dataset}, which has no question.")
        relation = about[dataset, item][1]
        found = matchers[dataset, relation].classify(output, lang, golds[dataset, item])
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "relation": relation,
                "answer_class": found.cls,
                "right": found.right,
                "said": normalise(output.strip().split("\n", 1)[0]),
                "candidates": 0,
            }
        )
    return rows


def _entities(questions: pl.DataFrame) -> dict[tuple[str, int], int]:
    """Number of the answer to every item: items with equal names in all languages share it."""
    names: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for dataset, item, lang, name in questions.select(*_ASKED, "object").iter_rows():
        names.setdefault((dataset, item), []).append((lang, name))
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    return {key: numbers.setdefault(tuple(sorted(own)), len(numbers)) for key, own in names.items()}


def _matchers(
    questions: pl.DataFrame,
    about: dict[tuple[str, int], tuple[str, str]],
    golds: dict[tuple[str, int], int],
    facts: pl.DataFrame | None,
) -> dict[tuple[str, str], Matcher]:
    """One matcher per set and relation: objects of a relation are each other's alternatives."""
    aliases: dict[tuple[str, str], list[str]] = {}
    if facts is not None:
        for fact_id, lang, names in facts.select("fact_id", "lang", "aliases").iter_rows():
            aliases[fact_id, lang] = names
    groups: dict[tuple[str, str], dict[str, dict[int, list[str]]]] = {}
    for dataset, item, lang, name in questions.select(*_ASKED, "object").iter_rows():
        fact_id, relation = about[dataset, item]
        own = groups.setdefault((dataset, relation), {}).setdefault(lang, {})
        forms = own.setdefault(golds[dataset, item], [])
        forms += [name, *aliases.get((fact_id, lang), ())]
    return {key: Matcher(names) for key, names in groups.items()}


def _graded_ranks(option_scores: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    sizes = pl.col("place").count().over([*SYSTEM_KEY, *_ASKED]).cast(pl.Int32())
    best = (
        averaged_scores(option_scores.drop("relation"))
        .with_columns(candidates=sizes)
        .filter(pl.col("place") == 1)
    )
    asked = questions.select(*_ASKED, "gold_index")
    relations = option_scores.select("dataset", "item", "relation").unique()
    joined = best.join(asked, on=_ASKED, how="left", maintain_order="left").join(
        relations, on=["dataset", "item"], how="left", maintain_order="left"
    )
    right = pl.col("option_index") == pl.col("gold_index")
    label = pl.when(right).then(pl.lit("correct")).otherwise(pl.lit("other_candidate"))
    columns = [*SYSTEM_KEY, *_ASKED, "relation", "candidates"]
    return FREE_GRADES.validate(joined.select(*columns, right=right, answer_class=label))


def left_out(grades: pl.DataFrame) -> dict[str, int]:
    """How many items do not count by set, as their one option was ranked beside real choices.

    Only runs of older versions hold such rows; today nobody is asked for such a choice.

    Args:
        grades: table ALIGN_FREE.
    """
    mixed = grades.filter((pl.col("candidates") > 1).any().over("dataset"), candidates=1)
    lone = mixed.select("dataset", "item").unique(maintain_order=True)
    return dict(lone.group_by("dataset", maintain_order=True).len().iter_rows())


def free_layouts(
    grades: pl.DataFrame, items: pl.DataFrame, languages: Sequence[str] | None = None
) -> list[Layout]:
    """One layout per set and kind of answer (named or ranked): right, wrong, or nothing named.

    Args:
        grades: table ALIGN_FREE.
        items: table ALIGN_ITEMS.
        languages: order of languages; by default that of first appearance.
    """
    two = items.with_columns(
        n_options=pl.lit(2, dtype=pl.Int32()), gold_index=pl.lit(0, dtype=pl.Int32())
    )
    made = []
    ranked = pl.col("candidates") > 0
    for parser, kind in ((NAMES, ~ranked), (RANKS, ranked)):
        for (dataset,), rows in grades.filter(kind).group_by(["dataset"], maintain_order=True):
            own = two.filter(pl.col("dataset") == dataset)
            choices = rows.filter(pl.col("candidates") != 1)
            rows = choices if choices.height else rows
            nothing = pl.col("answer_class").is_in(["other", "empty"])
            code = pl.when("right").then(0).when(~nothing).then(1).cast(pl.Int32())
            read = rows.select(
                *SYSTEM_KEY,
                *_ASKED,
                code.alias("robust"),
                code.alias(NAMES),
                rotation=pl.lit(None, dtype=pl.Int32()),
                status=pl.lit("scored" if parser == RANKS else "ok"),
            )
            sizes = rows["candidates"].to_numpy()
            chance = float((1 / sizes).mean()) if parser == RANKS else 0.0
            made += [
                replace(layout, guess=chance) for layout in layouts(read, own, parser, languages)
            ]
    return made


def habits(grades: pl.DataFrame) -> pl.DataFrame:
    """The most frequent answer of every cell of free answers, and its share.

    Returns:
        SYSTEM columns, dataset, lang, top_letter, top_share: as letters flag habits elsewhere.
    """
    keys = [*SYSTEM_KEY, "dataset", "lang"]
    said = grades.filter(pl.col("said").is_not_null())
    counts = said.group_by([*keys, "said"], maintain_order=True).agg(
        pl.len().alias("count"), pl.col("item").min().alias("first")
    )
    return (
        counts.sort(["count", "first"], descending=[True, False], maintain_order=True)
        .group_by(keys, maintain_order=True)
        .agg(
            top_letter=pl.col("said").first(),
            top_share=pl.col("count").first() / pl.col("count").sum(),
        )
    )
