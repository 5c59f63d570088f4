"""Graded answers about invented facts, and where the way from one language to another breaks.

Hops (specification of `align`, section 2.6): h1 the name, target to source; h2 the fact in the
source; h3 the answer, source to target.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.align.freeform import Match, Matcher, contains
from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array

UNNAMED = -1
_WRONG = ("wrong_source_gold", "wrong_target_other", "wrong_source_other", "wrong_other")
_BROKEN = ("broken_h1", "broken_h2", "broken_h3", "broken_none")


@dataclass(frozen=True)
class Graded:
    """Facts of type 1 of one run, one entry per fact: (N,) each."""

    fact_ids: tuple[str, ...]
    gold: Array
    right_s: Array
    right_t: Array
    named_t: Array
    """Answer named in the target language; UNNAMED if none."""
    ranked_t: Array | None
    """Best-scored answer in the target language."""
    wrong: Array
    """Index into _WRONG of answers in the target language; -1 where right."""
    hops: Array | None
    """bool (N, 3): h1, h2, h3; None if translations were not asked."""
    chance: float
    """1 / number of answers that are possible, the mean over facts."""

    def only(self, fact_ids: Set[str]) -> "Graded":
        """The same for some of the facts."""
        kept = np.array([fact_id in fact_ids for fact_id in self.fact_ids], dtype=bool)
        chosen = tuple(f for f, k in zip(self.fact_ids, kept, strict=True) if k)
        return replace(
            self,
            fact_ids=chosen,
            gold=self.gold[kept],
            right_s=self.right_s[kept],
            right_t=self.right_t[kept],
            named_t=self.named_t[kept],
            ranked_t=None if self.ranked_t is None else self.ranked_t[kept],
            wrong=self.wrong[kept],
            hops=None if self.hops is None else self.hops[kept],
        )


class Book:
    """Names of everything in a world, in two languages."""

    def __init__(self, facts: pl.DataFrame, source: str, target: str) -> None:
        """Args: facts: table FICTION_FACTS. Raises DataError if it lacks one of the languages."""
        self.source, self.target = source, target
        self.subjects: dict[tuple[str, str], str] = {}
        self.objects: dict[tuple[int, str], str] = {}
        self.golds: dict[str, int] = {}
        self.types: dict[str, int] = {}
        kinds: dict[int, str] = {}
        columns = ("fact_id", "lang", "subject", "object", "answer", "type", "relation")
        for fact_id, lang, subject, object_, answer, kind, relation in facts.select(
            columns
        ).iter_rows():
            kinds[answer] = relation
            self.subjects[fact_id, lang] = subject
            self.objects[answer, lang] = object_
            self.golds[fact_id] = answer
            self.types[fact_id] = kind
        langs = {lang for _, lang in self.subjects}
        if not {source, target} <= langs:
            raise DataError(
                f"Answers are about {source} and {target}, but the facts are told in "
                f"{', '.join(sorted(langs))}."
            )
        self.answers = sorted(set(self.golds.values()))
        self.rivals = {
            answer: tuple(other for other in self.answers if kinds[other] == kinds[answer])
            for answer in self.answers
        }
        """Answers of the same relation, by answer; itself among them."""
        self._terms: dict[tuple[str, str], Matcher] = {}
        self.matcher = Matcher(
            {
                lang: {a: [self.objects[a, lang]] for a in self.answers}
                for lang in dict.fromkeys((source, target))
            }
        )

    def check(self, answers: pl.DataFrame) -> None:
        """Refuse answers about facts that are not in the book.

        Raises:
            DataError: with the first five unknown facts.
        """
        unknown = sorted(set(answers["fact_id"].drop_nulls()) - set(self.golds))
        if unknown:
            raise DataError(f"Answers are about unknown facts, such as {', '.join(unknown[:5])}.")

    def fact(self, fact_id: str, lang: str, output: str | None, scoring: str) -> Match:
        """An answer to a question about a fact."""
        gold = self.golds[fact_id]
        found = self.matcher.classify(output or "", lang, gold, self.subjects[fact_id, lang])
        if scoring == "default" or output is None:
            return found
        right = contains(output, self.objects[gold, lang])
        return Match("correct", gold, lang) if right else replace(
            found, cls="other" if found.right else found.cls)  # fmt: skip

    def translated(
        self, fact_id: str | None, answer: int | None, output: str | None, lang: str
    ) -> bool:
        """Whether a translation into a language names what it should: a subject or an answer."""
        if fact_id is not None:
            expected = self.subjects[fact_id, lang]
        else:
            expected = self.objects[-1 if answer is None else answer, lang]
        if (expected, lang) not in self._terms:
            self._terms[expected, lang] = Matcher({lang: {0: [expected]}})
        return self._terms[expected, lang].classify(output or "", lang, 0).right


def grade(answers: pl.DataFrame, book: Book, scoring: str) -> Graded:
    """Grade one run.

    Args:
        answers: rows of FICTION_ANSWERS of one run.
        book: names in the run's source and target.
        scoring: ``default`` or ``paper``.

    Raises:
        DataError: unknown facts, or no answers in one of the two languages.
    """
    source, target = book.source, book.target
    book.check(answers)
    asked: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    terms: dict[int, bool] = {}
    names: dict[str, bool] = {}
    for row in answers.iter_rows(named=True):
        if row["probe"] == "fact":
            asked.setdefault(("fact", row["lang"]), {})[row["fact_id"]] = row
        elif row["probe"] == "translate_ts" and row["fact_id"] is not None:
            names[row["fact_id"]] = book.translated(row["fact_id"], None, row["raw_output"], source)
        elif row["probe"] == "translate_st" and row["fact_id"] is None:
            terms[row["answer"]] = book.translated(None, row["answer"], row["raw_output"], target)
    in_s, in_t = (asked.get(("fact", lang), {}) for lang in (source, target))
    chosen = [f for f, kind in book.types.items() if kind == 1 and f in in_s and f in in_t]
    if not chosen:
        raise DataError(
            f"The run has no facts of type 1 that were asked in both {source} and {target}."
        )
    matches_s = [book.fact(f, source, in_s[f]["raw_output"], scoring) for f in chosen]
    matches_t = [book.fact(f, target, in_t[f]["raw_output"], scoring) for f in chosen]
    ranked = [in_t[f]["ranked"] for f in chosen]
    right_s = np.array([match.right for match in matches_s])
    hops = None
    if names and terms:
        h1 = [names.get(f, False) for f in chosen]
        h3 = [terms.get(book.golds[f], False) for f in chosen]
        hops = np.stack([np.array(h1), right_s, np.array(h3)], axis=1)
    return Graded(
        fact_ids=tuple(chosen),
        gold=np.array([book.golds[f] for f in chosen]),
        right_s=right_s,
        right_t=np.array([match.right for match in matches_t]),
        named_t=np.array([_named(match, target) for match in matches_t]),
        ranked_t=None if None in ranked else np.array(ranked),
        wrong=np.array([_wrong(match, source, target) for match in matches_t]),
        hops=hops,
        chance=float(np.mean([1 / len(book.rivals[book.golds[f]]) for f in chosen])),
    )


def _named(match: Match, target: str) -> int:
    return UNNAMED if match.answer is None or match.lang != target else match.answer


def _wrong(match: Match, source: str, target: str) -> int:
    """Which kind of wrong answer: index into _WRONG."""
    if match.right:
        return -1
    if match.cls == "right_entity_wrong_language":
        return 0
    if match.cls == "other_candidate" and match.lang == target:
        return 1
    return 2 if match.cls == "other" and match.lang == source else 3


def books(facts: pl.DataFrame) -> Callable[[str, str], Book]:
    """A function that gives the book of a source and a target, made once."""

    @cache
    def find(source: str, target: str) -> Book:
        return Book(facts, source, target)

    return find


def hop_columns(graded: Graded) -> dict[str, float | None]:
    """Hops, what they predict, and what wrong answers are: columns of ALIGN_CONDUCTIVITY."""
    made: dict[str, float | None] = {}
    wrong: Array = np.logical_not(graded.right_t)
    for at, name in enumerate(_WRONG):
        made[name] = _mean(np.equal(graded.wrong, at)[wrong])
    if graded.hops is None:
        return made
    every: Array = np.all(graded.hops, axis=1)
    p_all, acc_t = _mean(every), _mean(graded.right_t)
    for at, name in enumerate(("p_h1", "p_h2", "p_h3")):
        made[name] = _mean(graded.hops[:, at])
    made |= {
        "p_all": p_all,
        "cd_all": _mean(graded.right_t[every]),
        "cd_broken": _mean(graded.right_t[np.logical_not(every)]),
    }
    if p_all is not None and acc_t is not None:
        predicted = p_all + (1 - p_all) * _shuffled(graded)
        made |= {"predicted": predicted, "gap": acc_t - predicted}
    first = np.where(every, 3, np.argmin(graded.hops, axis=1))
    for at, name in enumerate(_BROKEN):
        made[name] = _mean(np.equal(first, at)[wrong])
    return made


def _shuffled(graded: Graded) -> float:
    """c*: accuracy of the named answers if they were shuffled over the facts."""
    n = len(graded.gold)
    return float(
        sum(
            (graded.named_t == answer).sum() * (graded.gold == answer).sum() / n**2
            for answer in np.unique(graded.gold)
        )
    )


def _mean(values: Array) -> float | None:
    share = divide(np.array([values.sum()], float), np.array([len(values)], float))[0]
    return None if np.isnan(share) else float(share)
