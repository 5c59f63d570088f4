"""Free answers matched with names (specification of `align`, sections 2.3 and 2.6)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylore.text import language, normalise

Names = Mapping[int, Sequence[str]]
"""Accepted names of every answer, by its number."""


@dataclass(frozen=True)
class Match:
    """What a free answer names."""

    cls: str
    """correct, right_entity_wrong_language, other_candidate, ambiguous, other or empty."""
    answer: int | None
    """The answer that it names, in whatever language; null if none or several."""
    lang: str | None
    """Language of that name: the asked one if it has the name, too."""

    @property
    def right(self) -> bool:
        """Whether it counts as right."""
        return self.cls == "correct"


class Matcher:
    """Finds names of answers in texts.

    A name must stand between non-letters, except in languages written without spaces; where names
    overlap, the longest wins.
    """

    def __init__(self, names: Mapping[str, Names]) -> None:
        """Args: names: by language."""
        self._by_text: dict[str, dict[str, int]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        for lang, own in names.items():
            texts = {
                normalise(name): answer for answer, forms in own.items() for name in forms if name
            }
            texts.pop("", None)
            self._by_text[lang] = texts
            self._patterns[lang] = _pattern(texts, lang)

    def named(self, text: str, lang: str) -> list[int]:
        """Answers named in a normalised text, without repetition."""
        if not self._by_text[lang]:
            return []
        hits = self._patterns[lang].finditer(text)
        return list(dict.fromkeys(self._by_text[lang][hit[0]] for hit in hits))

    def classify(self, output: str, lang: str, gold: int, subject: str | None = None) -> Match:
        """Class of an answer.

        Args:
            output: text as it came; it counts up to its first newline.
            lang: language asked for.
            gold: the right answer.
            subject: name that is blanked first: answers repeat it, and it may hold another answer's
                name.
        """
        text = normalise(output.strip().split("\n", 1)[0])
        if not text:
            return Match("empty", None, None)
        if subject:
            text = text.replace(normalise(subject), " \N{BULLET} ")
        found = self.named(text, lang)
        if gold in found:
            return (
                Match("correct", gold, lang) if len(found) == 1 else Match("ambiguous", None, lang)
            )
        if found:
            return Match("other_candidate", found[0] if len(found) == 1 else None, lang)
        for other in self._by_text:
            if other == lang:
                continue
            named = self.named(text, other)
            if named == [gold]:
                return Match("right_entity_wrong_language", gold, other)
            if named:
                return Match("other", named[0] if len(named) == 1 else None, other)
        return Match("other", None, None)


def _pattern(texts: Mapping[str, int], lang: str) -> re.Pattern[str]:
    # Alternatives are tried in order, so the longest name comes first.
    body = "|".join(re.escape(text) for text in sorted(texts, key=lambda t: (-len(t), t)))
    if language(lang).bounded:
        return re.compile(rf"(?<![^\W\d_])(?:{body})(?![^\W\d_])")
    return re.compile(body)


def contains(output: str, gold: str) -> bool:
    """The published scoring: the gold's text occurs somewhere in the output."""
    return gold in output
