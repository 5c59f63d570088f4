"""What kind of answer this is: the automatic error taxonomy (specification of `patch`, section 2).

Categories 1 to 8 are tried with strict keys, then with loose ones, then 9 to 12; the first that
fits wins.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from polylore.metrics.patching.forms import Forms, Senses
from polylore.metrics.patching.keys import is_variant, loose_key, strict_key

CORRECT = ("correct_homograph", "correct_first", "correct_alt")
"""Categories that count as right."""
CATEGORIES = (
    *CORRECT,
    "copy",
    "other_sense",
    "target_leak",
    "near_synonym",
    "related",
    "wrong_language",
    "shot_leak",
    "form_variant",
    "lexicon_other",
    "fragment",
    "other",
)
"""All categories, in the order in which they are tried."""

NEAR, RELATED = 4.5, 3.0
"""Human similarity from which on two concepts are near-synonyms, or related."""

Relation = Callable[[str, str, str], str | None]
"""(right word, language, answer) -> what the answer is to it, such as hypernym; None: nothing."""
Similarity = Mapping[tuple[str, str], float]
"""Human similarity by two concepts, the smaller identity first."""


@dataclass(frozen=True)
class Question:
    """What an answer is judged against."""

    lang_a: str
    lang_b: str
    asked: str
    """Concept q that should be named in lang_b."""
    visible: str
    """Concept whose word the query line shows."""
    target: str | None = None
    """Target concept t of a patched run; None where nothing was patched."""
    subword: bool = False
    """Whether t's word has several tokens, the first of which are never patched."""
    shots: tuple[str, ...] = ()
    """Concepts of the demonstrations of the target and the source prompt."""


@dataclass(frozen=True)
class Rules:
    """What the classifier may use beside the lexicon."""

    senses: Senses = "same"
    """`any` is the published form: every sense of the word is right."""
    similarity: Similarity | None = None
    relation: Relation | None = None
    """Plug-in for hyper- and hyponyms and other associations."""


@dataclass(frozen=True)
class Verdict:
    """The class of an answer."""

    key: str
    """Strict key of the answer."""
    category: str
    subtype: str | None
    loose: bool
    """Found only without its article, or after folding."""


def similarity_of(table: pl.DataFrame | None) -> Similarity:
    """Table SIMILARITY as a mapping; empty without one."""
    if table is None:
        return {}
    return {(a, b): s for a, b, s in table.select("concept_a", "concept_b", "score").rows()}


def classify(text: str, question: Question, forms: Forms, rules: Rules | None = None) -> Verdict:
    """Class of an answer, already cut at its quote (`keys.answer_of`).

    Args:
        text: the answer.
        question: what was asked.
        forms: the lexicon.
        rules: which senses are right, and what is known about related words.
    """
    rules = rules or Rules()
    key = strict_key(text)
    if key:
        for loose in (False, True):
            found = _Judge(key, loose, question, forms, rules).named()
            if found:
                return Verdict(key, *found, loose)
    return Verdict(key, _unnamed(key, question, forms, rules), None, False)


@dataclass(frozen=True)
class _Judge:
    """Categories 1 to 8 with one kind of key."""

    key: str
    loose: bool
    question: Question
    forms: Forms
    rules: Rules

    def named(self) -> tuple[str, str | None] | None:
        """Category and subtype; None if the answer is no word that these categories know."""
        for rule in (self._correct, self._copy, self._other_sense, self._target, self._similar):
            found = rule()
            if found:
                return found
        return self._wrong_language() or self._shot()

    def _own(self, lang: str) -> str:
        return loose_key(self.key, lang, self.forms.folding) if self.loose else self.key

    def _is(self, concept: str, lang: str) -> bool:
        """Whether the answer is a word for the concept in the language."""
        return self._own(lang) in self.forms.keys(concept, lang, loose=self.loose)

    def _others(self) -> Iterator[str]:
        """Other concepts that the answer names in lang_b, by identity."""
        lang = self.question.lang_b
        yield from sorted(
            self.forms.named_by(self._own(lang), lang, loose=self.loose) - {self.question.asked}
        )

    def _correct(self) -> tuple[str, None] | None:
        q = self.question
        if not self._is(q.asked, q.lang_b):
            return None
        if self._is(q.asked, q.lang_a):
            return "correct_homograph", None
        right = self.forms.accepted(q.asked, q.lang_b, q.lang_a, self.rules.senses)
        own = self._own(q.lang_b)
        ranks = [w.rank for k, w in right.items() if self._equal(k, own, q.lang_b)]
        if not ranks:
            return None
        return ("correct_first" if min(ranks) == 0 else "correct_alt"), None

    def _equal(self, form: str, own: str, lang: str) -> bool:
        return (loose_key(form, lang, self.forms.folding) if self.loose else form) == own

    def _copy(self) -> tuple[str, str] | None:
        q = self.question
        if self._is(q.asked, q.lang_a) and not self._is(q.asked, q.lang_b):
            return "copy", "copy_source"
        if q.target is not None:
            shown = strict_key(self.forms.first(q.visible, q.lang_a))
            if self._equal(shown, self._own(q.lang_a), q.lang_a):
                return "copy", "copy_visible"
        return None

    def _other_sense(self) -> tuple[str, None] | None:
        q = self.question
        own_a = self.forms.keys(q.asked, q.lang_a, loose=self.loose)
        shared = (self.forms.keys(c, q.lang_a, loose=self.loose) & own_a for c in self._others())
        # A right word was found before, so a word of q in lang_b belongs to another sense row.
        if self._is(q.asked, q.lang_b) or any(shared):
            return "other_sense", None
        return None

    def _target(self) -> tuple[str, str | None] | None:
        q = self.question
        if q.target is not None and self._is(q.target, q.lang_b):
            return "target_leak", "subword" if q.subword else None
        return None

    def _similar(self) -> tuple[str, str | None] | None:
        q, known = self.question, self.rules.similarity or {}
        scores = [known.get((min(q.asked, c), max(q.asked, c)), 0.0) for c in self._others()]
        best = max(scores, default=0.0)
        if best >= RELATED:
            return ("near_synonym" if best >= NEAR else "related"), None
        if self.rules.relation is not None:
            for word in self.forms.accepted(q.asked, q.lang_b, q.lang_a, self.rules.senses):
                relation = self.rules.relation(word, q.lang_b, self._own(q.lang_b))
                if relation:
                    return "related", relation
        return None

    def _wrong_language(self) -> tuple[str, str | None] | None:
        q = self.question
        langs = [x for x in self.forms.langs if x not in (q.lang_a, q.lang_b)]
        spoken = [lang for lang in langs if self._is(q.asked, lang)]
        return ("wrong_language", "english_pivot" if "en" in spoken else None) if spoken else None

    def _shot(self) -> tuple[str, None] | None:
        q = self.question
        seen = (self._is(c, lang) for c in q.shots for lang in (q.lang_a, q.lang_b))
        return ("shot_leak", None) if any(seen) else None


def _unnamed(key: str, question: Question, forms: Forms, rules: Rules) -> str:
    """Categories 9 to 12."""
    lang = question.lang_b
    loose = loose_key(key, lang, forms.folding)
    for form in forms.words(question.asked, lang):
        if is_variant(key, form) or is_variant(loose, loose_key(form, lang, forms.folding)):
            return "form_variant"
    others = forms.named_by(key, lang) | forms.named_by(loose, lang, loose=True)
    if others - {question.asked}:
        return "lexicon_other"
    if not key or (len(key) == 1 and _is_letter(key)):
        return "fragment"
    return "other"


def _is_letter(char: str) -> bool:
    """A single letter of an alphabet in which one letter is hardly ever a word."""
    name = unicodedata.name(char, "")
    return char.isalpha() and name.startswith(("LATIN", "CYRILLIC"))
