"""Which questions two or more runs share, and what else differs between them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.studies.compare.side import Side

QUESTION = ["fact_id", "lang", "variant"]
_SAME = ["sha256", "object", "aliases", "candidate_ids", "candidates"]


def shared_questions(sides: Sequence[Side]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The questions that every side was asked in the same words, with the same right answers.

    Returns:
        fact_id, lang, variant; and what differs between the sides, in sentences.

    Raises:
        DataError: there are no such questions.
    """
    first, *others = sides
    asked = [_asked(side) for side in sides]
    common = reduce(
        lambda left, right: left.join(right, on=[*QUESTION, *_SAME], how="semi",
                                      maintain_order="left"),
        asked,
    )  # fmt: skip
    remarks = []
    for other, questions in zip(others, asked[1:], strict=True):
        remarks += _unshared(first.name, asked[0], other.name, questions)
        remarks += _settings(first, other)
    if not common.height:
        raise DataError(
            f"The runs share no question. {' '.join(remarks) or 'They have none.'} Trace the same "
            "facts with the same wordings and demonstrations."
        )
    return common.select(QUESTION), tuple(remarks)


def _asked(side: Side) -> pl.DataFrame:
    """Every question with all that makes it the same question; lists as text, to be joined on."""
    lists = ("aliases", "candidate_ids", "candidates")
    facts = side.facts.select(
        "fact_id", "lang", "object", *(pl.col(c).list.join("\x1f") for c in lists)
    )
    prompts = side.prompts.select(*QUESTION, "sha256")
    return prompts.join(facts, on=["fact_id", "lang"], how="inner", maintain_order="left")


def _unshared(name: str, first: pl.DataFrame, other_name: str, other: pl.DataFrame) -> list[str]:
    """Questions that only one of two sides was asked, or that the two were asked differently."""
    found = []
    for who, mine, yours in ((name, first, other), (other_name, other, first)):
        alone = mine.join(yours, on=QUESTION, how="anti")
        if alone.height:
            found.append(f"{_count(alone)} only {who} was asked{_where(alone)}.")
    both = first.join(other, on=QUESTION, how="inner", suffix="_other")
    for what, columns in (
        ("another prompt (wording or demonstrations)", ["sha256"]),
        ("other accepted answers", ["object", "aliases"]),
        ("other candidates", ["candidate_ids", "candidates"]),
    ):
        changed = both.filter(pl.any_horizontal(pl.col(c) != pl.col(f"{c}_other") for c in columns))
        if changed.height:
            found.append(
                f"{_count(changed)} had {what} in {name} than in {other_name}{_where(changed)}."
            )
    return found


def _count(questions: pl.DataFrame) -> str:
    n = questions.height
    return "1 question" if n == 1 else f"{n:,} questions"


def _where(questions: pl.DataFrame) -> str:
    langs = questions["lang"].unique(maintain_order=True).to_list()
    return f" (in {', '.join(langs[:6])}{', ...' if len(langs) > 6 else ''})"


def _settings(first: Side, other: Side) -> list[str]:
    """Settings that decide answers and are not the same."""
    mine, yours = (dict(_leaves(side.run.manifest["config"])) for side in (first, other))
    return [
        f"The setting {key} is {mine.get(key, 'not set')} for {first.name} and "
        f"{yours.get(key, 'not set')} for {other.name}."
        for key in sorted({*mine, *yours})
        if mine.get(key) != yours.get(key)
    ]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
