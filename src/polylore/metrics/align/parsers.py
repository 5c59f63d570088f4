"""From an answer's text to an option: three parsers (specification of `align`, section 2.2).

`first_char` is the published one: the first character after stripping is the answer. `robust` is
the default. `lenient` accepts more and only says how sensitive a result is to parsing.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from polylore.text import normalise

PARSERS = ("first_char", "robust", "lenient")
LETTERS = "ABCDE"
EMPTY_HEAD = "F"
"""What the published parser reads from an empty answer."""
UNREAD = ("out_of_range", "word_start", "empty", "unparsed")
"""Statuses that name no option: such an answer is wrong."""

# Only letters without accents count as Latin: the published counts read "Aéroport" as A.
_LATIN = "A-Za-z"
_MARKS = re.compile(r"</?s>|<\|.*?\|>", re.DOTALL)
_START = re.compile(rf"[(\[（【\"'“]?\s*([A-E])(?![{_LATIN}])")
_CUE = re.compile(
    rf"(?:answer|Answer|ANSWER|答案|选项|option|Option)\D{{0,12}}?([A-E])(?![{_LATIN}])"
)
_ENUMERATION = re.compile(rf"\s*[,/，、]\s*[A-E](?![{_LATIN}])")
_LOOKALIKES = str.maketrans("АВСЕabcde", "ABCEABCDE")  # the first four are Cyrillic
_SERIES = {letter: i for series in ("אבגדה", "أبجده") for i, letter in enumerate(series)}
_PREFIX = 4
"""Characters from which on the beginning of an option's text counts as that option."""


class Parsed(NamedTuple):
    """What was read."""

    option: int | None
    """The option by its place, from 0; None if none."""
    status: str


def head(text: str) -> str:
    """The first character after stripping white space; F if there is none."""
    return text.strip()[:1] or EMPTY_HEAD


def first_char(text: str, k: int) -> int | None:
    """The published parser: the first character, if it is one of the first k letters."""
    at = LETTERS[:k].find(head(text))
    return None if at < 0 else at


def robust(text: str, k: int) -> Parsed:
    """The default parser for k options."""
    return _read(text, k, enumerations=True)


def lenient(text: str, k: int, options: Sequence[str] = ()) -> Parsed:
    """`robust`, but it refuses enumerations and accepts local letters and the text of an option."""
    found = _read(text, k, enumerations=False)
    if found.option is not None:
        return found
    cleaned = _clean(text)
    alone = cleaned.strip("().[]:،。 ")
    place = _SERIES.get(alone)
    if place is not None and place < k:
        return Parsed(place, "text")
    said = normalise(cleaned)
    if said:
        keys = [_normalised(option) for option in options]
        equal = [i for i, key in enumerate(keys) if key == said]
        if len(said) >= _PREFIX and not equal:
            equal = [i for i, key in enumerate(keys) if key.startswith(said)]
        if len(equal) == 1:
            return Parsed(equal[0], "text")
    return found


@lru_cache(maxsize=1 << 16)
def _normalised(option: str) -> str:
    return normalise(option)


def _clean(text: str) -> str:
    """Steps 1 and 2: NFKC, no marks of a tokenizer, no outer white space."""
    return _MARKS.sub("", unicodedata.normalize("NFKC", text).strip()).strip()


def _read(text: str, k: int, *, enumerations: bool) -> Parsed:
    cleaned = _clean(text)
    if not cleaned:
        return Parsed(None, "empty")
    mapped = cleaned
    if len(cleaned) == 1 or not cleaned[1].isalpha():
        mapped = cleaned[0].translate(_LOOKALIKES) + cleaned[1:]
    start = _START.match(mapped)
    if start is not None:
        place = LETTERS.index(start[1])
        if place < k:
            return Parsed(place, "ok" if mapped == cleaned else "lookalike")
    late = _CUE.search(mapped)
    if late is not None and (enumerations or not _ENUMERATION.match(mapped, late.end())):
        place = LETTERS.index(late[1])
        if place < k:
            return Parsed(place, "late")
    if start is not None:
        return Parsed(None, "out_of_range")
    if mapped[0] in LETTERS[:k]:
        # A letter that `_START` refused, so a Latin letter follows.
        return Parsed(None, "word_start")
    return Parsed(None, "unparsed")
