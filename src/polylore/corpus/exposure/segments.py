"""Sentences and words of folded text: simple, language-independent, and exactly defined."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from polylore.corpus.exposure.boundaries import FREE, SPACED, UNSPACED, classes
from polylore.corpus.exposure.matcher import Hits

Numbers = NDArray[np.int64]

_CLOSING = "[\"'»”’)\\]」』）】]*"
_STRONG = "[。।॥؟۔]"


@cache
def _sentence_end() -> re.Pattern[str]:
    """A line break; a mark that needs no space behind it; or . ! ? … with closing quotes and
    brackets, before white space or a letter of a script without spaces."""
    unspaced = classes() == UNSPACED
    edges = np.flatnonzero(np.diff(unspaced.astype(np.int8), prepend=0, append=0)).tolist()
    letters = "".join(
        f"{chr(first)}-{chr(end - 1)}" for first, end in zip(edges[::2], edges[1::2], strict=True)
    )
    return re.compile(f"\n+|{_STRONG}+{_CLOSING}|[.!?…]+{_CLOSING}(?=[\\s{letters}])")


def sentence_ends(text: str) -> Numbers:
    """Byte offsets (UTF-8) just behind every sentence end inside a text."""
    ends = np.fromiter((m.end() for m in _sentence_end().finditer(text)), dtype=np.int64)
    return byte_offsets(text)[ends]


def byte_offsets(text: str) -> Numbers:
    """Byte offset (UTF-8) of every character, and of the end."""
    if text.isascii():
        return np.arange(len(text) + 1)
    code = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    width = 1 + (code >= 0x80) + (code >= 0x800).astype(np.int64) + (code >= 0x10000)
    return np.concatenate([[0], np.cumsum(width)])


def word_starts(text: str) -> Numbers:
    """Byte offsets (UTF-8) at which words begin.

    A word is a run of letters, digits and marks of scripts that write spaces, or a single letter or
    digit of a script that does not; marks of such scripts belong to the letter before them.
    """
    code = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    kind = classes()[code]
    before = np.concatenate([[np.uint8(FREE)], kind[:-1]])
    starts = (kind == SPACED) & (before != SPACED)
    single = np.flatnonzero(kind == UNSPACED)
    starts[single] = [text[i].isalnum() for i in single.tolist()]
    return byte_offsets(text)[np.flatnonzero(starts)]


def in_sentences(hits: Hits, borders: Numbers) -> tuple[Hits, Numbers]:
    """Hits and the number of the sentence each lies in.

    A name that runs over a sentence end ("St. Louis") lies in both sentences, so it comes twice.
    """
    first = np.searchsorted(borders, hits.start, side="right")
    last = np.searchsorted(borders, hits.end, side="left")
    twice = np.flatnonzero(last > first)
    again = hits.take(twice)
    both = Hits(
        np.append(hits.pattern, again.pattern),
        np.append(hits.start, again.start),
        np.append(hits.end, again.end),
    )
    order = np.lexsort((both.start, both.pattern))
    return both.take(order), np.append(first, last[twice])[order]
