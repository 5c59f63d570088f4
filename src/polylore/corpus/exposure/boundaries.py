"""Where a name stands as a word of its own.

Letters, digits and marks (Unicode classes L, N, M) next to a name make it part of a longer word,
so "Paris" does not occur in "Parisian". Scripts that are written without spaces, or that attach
particles to names, have no such mark of a word's end: between a character of theirs and any other
no boundary is asked for (specification of `trace`, sections 2.2 and 2.3).
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["script", "always", "never"]

# Scripts of zh, ja, ko, th, lo, km and my, as first and last code points of their blocks.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # ideographic iteration mark, zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x30FF),  # kana and their iteration marks
    (0x3100, 0x318F),  # Bopomofo, Hangul compatibility
    (0x31A0, 0x31BF),  # Bopomofo extended
    (0x31F0, 0x31FF),  # small kana
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA960, 0xA97F),  # Hangul Jamo extended A
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFFDC),  # halfwidth kana and Hangul
    (0x1AFF0, 0x1B16F),  # kana extensions
    (0x20000, 0x3FFFF),  # Han extensions
)
_LAST = 0x110000

FREE, SPACED, UNSPACED = 0, 1, 2
"""Classes of characters: no part of a word; of a word in a spaced script; in an unspaced one."""


@cache
def classes() -> NDArray[np.uint8]:
    """Class of every code point: `FREE`, `SPACED` or `UNSPACED`."""
    table = np.zeros(_LAST, dtype=np.uint8)
    # Beyond the third plane lie only tags, selectors and private use.
    for code in (*range(0x323B0), *range(0xE0000, 0xE01F0)):
        if unicodedata.category(chr(code))[0] in "LNM":
            table[code] = SPACED
    for first, last in _UNSPACED:
        block = table[first : last + 1]
        block[block == SPACED] = UNSPACED
    table.flags.writeable = False
    return table


def edges(names: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes of the first and of the last character of names."""
    texts = [name.decode() for name in names]
    first = classes()[np.array([ord(text[0]) for text in texts], dtype=np.int64)]
    last = classes()[np.array([ord(text[-1]) for text in texts], dtype=np.int64)]
    return first, last


def neighbours(
    data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes of the characters before and behind data[start:end], which is valid UTF-8."""
    view = np.frombuffer(data, dtype=np.uint8)
    before = np.full(len(starts), FREE, dtype=np.uint8)
    after = np.full(len(ends), FREE, dtype=np.uint8)
    inner = np.flatnonzero(starts > 0)
    before[inner] = _ending(view, starts[inner])
    inner = np.flatnonzero(ends < len(data))
    after[inner] = _starting(view, ends[inner])
    return before, after


def stand_alone(
    before: NDArray[np.uint8],
    first: NDArray[np.uint8],
    last: NDArray[np.uint8],
    after: NDArray[np.uint8],
    rule: Rule,
) -> NDArray[np.bool_]:
    """Whether occurrences are no part of a longer word.

    Args:
        before: class of the character before each occurrence.
        first: class of its first character.
        last: class of its last character.
        after: class of the character behind it.
        rule: `never` asks for nothing; `always` for no letter, digit or mark on either side;
            `script` for the same wherever both the name's outermost character and its neighbour
            belong to scripts that write spaces.
    """
    alone: NDArray[np.bool_] = (before == FREE) & (after == FREE)
    if rule == "script":
        alone = ((before != SPACED) | (first == UNSPACED)) & (
            (after != SPACED) | (last == UNSPACED)
        )
    return alone


def _starting(data: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Class of the character that begins at each offset."""
    lead = data[at]
    code = lead.astype(np.int32)
    wide = np.flatnonzero(lead >= 0x80)
    if len(wide):
        place, lead = at[wide], lead[wide]
        # What lies behind the end belongs to no character that is looked at.
        b1, b2, b3 = (data.take(place + k, mode="clip").astype(np.int32) & 0x3F for k in (1, 2, 3))
        head = lead.astype(np.int32)
        two = (head & 0x1F) << 6 | b1
        three = (head & 0x0F) << 12 | b1 << 6 | b2
        four = (head & 0x07) << 18 | b1 << 12 | b2 << 6 | b3
        code[wide] = np.where(lead < 0xE0, two, np.where(lead < 0xF0, three, four))
    return classes()[code]


def _ending(data: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Class of the character that ends at each offset."""
    place = at - 1
    for _ in range(3):
        inside = (data[place] & 0xC0) == 0x80
        if not inside.any():
            break
        place = place - inside
    return _starting(data, place)
