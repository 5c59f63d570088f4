"""Which words name which concepts: homographs, colexification, false friends and item flags.

Two words are the same if they agree after NFC, case folding and trimming (`lexicon.key`).
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import polars as pl

from polylore.facts.lexicon.lexicon import Lexicon, key
from polylore.tables.lexicon import LEXICON_FLAGS

NEAR = 4.5
RELATED = 3.0
"""Human similarity from which two concepts are near synonyms, or related (`patch`, section 2)."""


class Flags(NamedTuple):
    """What makes an item (a, b, concept) hard to judge; specification of `patch`, section 2."""

    hom_same: bool
    hom_false: bool
    colex_a: bool
    colex_b: bool
    poly: bool

    @property
    def clean(self) -> bool:
        """None of the five."""
        return not any(self)


class Words:
    """The words of a lexicon, by concept and by string."""

    def __init__(self, lexicon: Lexicon, *, as_given: bool = False) -> None:
        """Index a lexicon.

        Args:
            lexicon: the lexicon.
            as_given: compare forms as the source writes them, glosses included, and nothing else;
                so the published counts are defined. Otherwise every accepted spelling counts.
        """
        self.lexicon = lexicon
        self.of: dict[tuple[str, str], frozenset[str]] = {}
        self.named: dict[str, dict[str, set[str]]] = {lang: {} for lang in lexicon.languages}
        for lang in lexicon.languages:
            for concept in lexicon.concepts:
                forms = lexicon.forms(concept, lang)
                if not forms:
                    continue
                keys = frozenset(
                    one for form in forms for one in ([key(form.given)] if as_given else form.keys)
                )
                self.of[concept, lang] = keys
                for one in keys:
                    self.named[lang].setdefault(one, set()).add(concept)

    @cached_property
    def _senses(self) -> dict[str, int]:
        return {concept: len(self.lexicon.senses(concept)) for concept in self.lexicon.concepts}

    @cached_property
    def _colexified(self) -> dict[str, set[str]]:
        """Language -> concepts with a form that names another concept too."""
        return {
            lang: set().union(*(found for found in words.values() if len(found) > 1))
            for lang, words in self.named.items()
        }

    def both(self, a: str, b: str) -> list[str]:
        """Concepts with a form in both languages."""
        return [c for c in self.lexicon.concepts if (c, a) in self.of and (c, b) in self.of]

    def homographs(self, a: str, b: str) -> list[str]:
        """Concepts that have a form in common in two languages."""
        return [c for c in self.both(a, b) if self.of[c, a] & self.of[c, b]]

    def false_friends(self, a: str, b: str) -> list[str]:
        """Strings of both languages that never name the same concept, sorted."""
        here, there = self.named[a], self.named[b]
        return sorted(word for word in here if word in there and not here[word] & there[word])

    def colexified(self, lang: str) -> dict[str, set[str]]:
        """Strings that name several concepts, with these concepts."""
        return {word: found for word, found in self.named[lang].items() if len(found) > 1}

    def flags(self, concept: str, a: str, b: str) -> Flags:
        """Flags of the item that shows the concept in `a` and asks for it in `b`."""
        own_a, own_b = self.of[concept, a], self.of[concept, b]
        hom_same = bool(own_a & own_b)
        return Flags(
            hom_same,
            not hom_same and any(word in self.named[b] for word in own_a),
            concept in self._colexified[a],
            concept in self._colexified[b],
            len(own_a) > 1 or len(own_b) > 1 or self._senses[concept] > 1,
        )


def flags_table(
    lexicon: Lexicon, pairs: Iterable[tuple[str, str]], *, as_given: bool = False
) -> pl.DataFrame:
    """Flags of every concept for the named pairs of languages; contract LEXICON_FLAGS."""
    words = Words(lexicon, as_given=as_given)
    near, related = _rated(lexicon, NEAR, None), _rated(lexicon, RELATED, NEAR)
    rows = []
    for a, b in pairs:
        for concept in words.both(a, b):
            flags = words.flags(concept, a, b)
            rows.append(
                {
                    "lang_a": a,
                    "lang_b": b,
                    "concept_id": concept,
                    **flags._asdict(),
                    "clean": flags.clean,
                    "multi_word": any(is_multi_word(lexicon, concept, lang) for lang in (a, b)),
                    "near_synonyms": near.get(concept, []),
                    "related": related.get(concept, []),
                }
            )
    return LEXICON_FLAGS.build(rows)


def is_multi_word(lexicon: Lexicon, concept: str, lang: str) -> bool:
    """Whether the first form of a concept holds a space."""
    return " " in lexicon.forms(concept, lang)[0].text


def _rated(lexicon: Lexicon, low: float, high: float | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for a, b, score in lexicon.similarity.iter_rows():
        if score >= low and (high is None or score < high):
            found.setdefault(a, []).append(b)
            found.setdefault(b, []).append(a)
    return {concept: sorted(others) for concept, others in found.items()}


def ordered_pairs(languages: Sequence[str]) -> list[tuple[str, str]]:
    """All ordered pairs of different languages."""
    return [(a, b) for a in languages for b in languages if a != b]
