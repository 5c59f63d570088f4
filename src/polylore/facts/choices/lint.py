"""The linter of parallel multiple-choice sets (specification of `align`, section 3.8).

Errors make results wrong, warnings make them misleading, notes are properties to know about.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from polylore.tables import align_lint

Row = dict[str, Any]
MESSAGES = {
    "id_differs": ("error", "items are not parallel: the id differs from the pivot's"),
    "gold_differs": ("error", "another option is right than in the pivot, so answers disagree"),
    "item_missing": ("error", "the language lacks an item of the pivot; pairs lose it"),
    "kind_differs": ("error", "another kind of question than in the pivot; compare without it"),
    "empty_option": ("error", "an option without text; nobody can choose it for what it says"),
    "duplicate_options": ("warning", "two options say the same; letters tell them apart by luck"),
    "duplicate_options_folded": ("warning", "two options differ only in case or outer space"),
    "gold_duplicated": ("warning", "the right option is also a wrong one"),
    "gold_duplicated_folded": ("warning", "the right option also is a wrong one in other case"),
    "gold_in_question": ("warning", "the question contains the right answer; copying is enough"),
    "duplicate_question": ("warning", "the same question and options twice count twice"),
    "language_field": ("note", "rows claim another language than the file; its name is believed"),
    "options_as_pivot": ("note", "all options are written as in the pivot: no target language is "
                                 "needed to answer"),
    "question_as_pivot": ("warning", "the question is written as in the pivot: not translated"),
    "bc_year": ("note", "an option is an English-style year such as 69 BC"),
}  # fmt: skip
"""Severity and meaning of every check."""


def lint(questions: pl.DataFrame, pivot: str = "en") -> pl.DataFrame:
    """Findings of every set and language.

    Args:
        questions: table ALIGN_QUESTIONS.
        pivot: language that the others are compared with.

    Returns:
        Table ALIGN_LINT, in the order of the questions.
    """
    made: list[Row] = []
    for (dataset,), group in questions.group_by(["dataset"], maintain_order=True):
        by_lang = {
            str(lang): rows.to_dicts()
            for (lang,), rows in group.group_by(["lang"], maintain_order=True)
        }
        of_pivot = {row["item"]: row for row in by_lang.get(pivot, [])}
        for lang, rows in by_lang.items():
            found = [*_file(rows, of_pivot), *_items(rows)]
            if lang != pivot:
                found += _against(rows, of_pivot)
            found.sort(key=lambda one: -1 if one["item"] is None else one["item"])
            made += [{"dataset": dataset, "lang": lang} | one for one in found]
    return align_lint.LINT.build(made)


def summary(findings: pl.DataFrame, messages: dict[str, tuple[str, str]]) -> pl.DataFrame:
    """Count findings per set, language and check.

    Args:
        findings: table ALIGN_LINT.
        messages: severity and meaning by check.

    Returns:
        Table ALIGN_LINT_SUMMARY.
    """
    keys = ["dataset", "lang", "check", "severity"]
    counts = findings.group_by(keys, maintain_order=True).agg(pl.len().alias("n"))
    texts = [messages[check][1] for check in counts["check"]]
    return align_lint.LINT_SUMMARY.validate(
        counts.with_columns(pl.Series("message", texts, dtype=pl.String()))
    )


def _finding(check: str, item: int | None, evidence: str) -> Row:
    return {
        "item": item,
        "check": check,
        "severity": MESSAGES[check][0],
        "evidence": evidence,
    }


def _file(rows: list[Row], of_pivot: dict[int, Row]) -> Iterator[Row]:
    lang = rows[0]["lang"]
    claimed = Counter(row["lang_in_file"] for row in rows if row["lang_in_file"] is not None)
    if set(claimed) - {lang}:
        shown = ", ".join(f"'{name}' in {n} rows" for name, n in sorted(claimed.items()))
        yield _finding("language_field", None, f"the file is '{lang}', its rows say {shown}")
    there = {row["item"] for row in rows}
    for item in of_pivot:
        if item not in there:
            yield _finding("item_missing", item, "only the pivot has it")


def _items(rows: list[Row]) -> Iterator[Row]:
    asked = Counter(_asked(row) for row in rows)
    for row in rows:
        item, options, gold = row["item"], row["options"], row["object"]
        if any(not option.strip() for option in options):
            yield _finding("empty_option", item, f"option {options.index('') + 1} is empty"
                           if "" in options else "an option is white space")  # fmt: skip
        folded = [option.strip().lower() for option in options]
        at = row["gold_index"]
        for suffix, texts in (("", options), ("_folded", folded)):
            twice = sorted(text for text, n in Counter(texts).items() if n > 1)
            if twice:
                yield _finding(f"duplicate_options{suffix}", item, "; ".join(twice))
            if texts[at] in twice:
                yield _finding(f"gold_duplicated{suffix}", item, texts[at])
        if gold.strip() and gold.lower() in row["question"].lower():
            yield _finding("gold_in_question", item, gold)
        if asked[_asked(row)] > 1:
            yield _finding("duplicate_question", item, row["question"])
        years = [option for option in options if _is_bc(option)]
        if years:
            yield _finding("bc_year", item, "; ".join(years))


def _asked(row: Row) -> tuple[Any, ...]:
    return row["question"], row["kind"], *row["options"]


def _is_bc(option: str) -> bool:
    number, _, era = option.strip().rpartition(" ")
    return era == "BC" and number.isdecimal()


def _against(rows: Iterable[Row], of_pivot: dict[int, Row]) -> Iterator[Row]:
    for row in rows:
        item, other = row["item"], of_pivot.get(row["item"])
        if other is None:
            continue
        for check, name in (
            ("id_differs", "source_id"),
            ("gold_differs", "gold_index"),
            ("kind_differs", "kind"),
        ):
            if row[name] != other[name]:
                yield _finding(check, item, f"{other[name]} in the pivot, {row[name]} here")
        if row["options"] == other["options"]:
            yield _finding("options_as_pivot", item, "; ".join(row["options"]))
        if row["question"] == other["question"]:
            yield _finding("question_as_pivot", item, row["question"])
