"""A lexicon as the classifier of answers asks it: who is named by this word in that language."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from polylore.errors import DataError
from polylore.metrics.patching.keys import loose_key, strict_key
from polylore.tables.lexicon import LEXICON

Senses = Literal["same", "any"]
"""Which words of a concept are right: those of the prompt form's sense row, or all."""


@dataclass(frozen=True)
class Word:
    """A word form of a concept, by its strict key."""

    rank: int
    senses: frozenset[str]
    """Sense rows that it stands in; empty if the lexicon has none."""


class Forms:
    """Word forms of a lexicon by concept, language and key.

    Args:
        lexicon: table LEXICON.
        folding: see `keys.loose_key`.

    Raises:
        DataError: the table breaks its contract.
    """

    def __init__(self, lexicon: pl.DataFrame, folding: Mapping[int, str] | None = None) -> None:
        self.folding = folding
        self._words: dict[tuple[str, str], dict[str, Word]] = {}
        self._first: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._named: dict[tuple[str, str], set[str]] = {}
        self.langs: tuple[str, ...] = tuple(sorted(lexicon["lang"].unique()))
        ordered = LEXICON.validate(lexicon).sort("concept_id", "lang", "rank")
        columns = ("concept_id", "lang", "rank", "form", "aliases", "sense_id", "senses")
        for concept, lang, rank, form, aliases, sense, senses in ordered.select(columns).rows():
            self._add(concept, lang, Word(rank, frozenset(senses)), [form, *aliases])
            self._first.setdefault((concept, lang), (form, sense))
        self._loose: dict[tuple[str, str], set[str]] = {}
        self._named_loose: dict[tuple[str, str], set[str]] = {}
        for (concept, lang), words in self._words.items():
            keys = {loose_key(key, lang, folding) for key in words}
            self._loose[concept, lang] = keys
            for key in keys:
                self._named_loose.setdefault((lang, key), set()).add(concept)

    def _add(self, concept: str, lang: str, word: Word, spellings: list[str]) -> None:
        words = self._words.setdefault((concept, lang), {})
        for key in filter(None, map(strict_key, spellings)):
            # The same string in two ranks counts as the earlier one, with the senses of both.
            old = words.get(key)
            words[key] = Word(old.rank, old.senses | word.senses) if old else word
            self._named.setdefault((lang, key), set()).add(concept)

    def has(self, concept: str, lang: str) -> bool:
        """Whether the concept has a word in the language."""
        return (concept, lang) in self._words

    def words(self, concept: str, lang: str) -> Mapping[str, Word]:
        """Words of a concept by strict key; empty if it has none."""
        return self._words.get((concept, lang), {})

    def keys(self, concept: str, lang: str, *, loose: bool = False) -> set[str]:
        """Keys of a concept's words."""
        if loose:
            return self._loose.get((concept, lang), set())
        return set(self.words(concept, lang))

    def first(self, concept: str, lang: str) -> str:
        """The word shown in prompts, as written.

        Raises:
            DataError: the concept has none in this language.
        """
        found = self._first.get((concept, lang))
        if found is None:
            raise DataError(
                f"Concept '{concept}' has no word in '{lang}' in the lexicon; use the lexicon that "
                "the plan was made from."
            )
        return found[0]

    def named_by(self, key: str, lang: str, *, loose: bool = False) -> set[str]:
        """Concepts that a word of a language names."""
        return (self._named_loose if loose else self._named).get((lang, key), set())

    def accepted(
        self, concept: str, lang: str, lang_a: str, senses: Senses = "same"
    ) -> dict[str, Word]:
        """Words in `lang` that translate the word shown in `lang_a`, by strict key.

        With `senses="same"`, words that share the sense row of the shown word; a word, or a shown
        word, without a sense row is taken as it is (specification of `patch`, section 2).
        """
        words = self.words(concept, lang)
        shown = self._first.get((concept, lang_a), ("", None))[1]
        if senses == "any" or shown is None:
            return dict(words)
        return {k: w for k, w in words.items() if not w.senses or shown in w.senses}
