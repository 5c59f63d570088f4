"""The counting policy once more, character by character and as slowly as it reads."""

import unicodedata
from collections import Counter as Bag
from collections.abc import Iterable, Iterator

from polylore.corpus.exposure import CountingPolicy

UNSPACED = ("THAI", "LAO", "KHMER", "MYANMAR", "HANGUL", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO")
UNSPACED_MARKS = "々〆〇ー"
SENTENCE_MARKS = "。।॥؟۔"
CLOSING = "\"'»”’)]」』）】"

Cell = tuple[str, str]
"""fact_id and language."""
Fact = tuple[str, str, str, tuple[str, ...]]
"""fact_id, language, subject, object and aliases."""


def fold(text: str, policy: CountingPolicy) -> str:
    if policy.normalisation != "none":
        text = unicodedata.normalize(policy.normalisation.upper(), text)
    return text.casefold() if policy.casefold else text


def kind(char: str) -> str:
    if unicodedata.category(char)[0] not in "LNM":
        return "free"
    name = unicodedata.name(char, "")
    unspaced = any(script in name for script in UNSPACED) or char in UNSPACED_MARKS
    return "unspaced" if unspaced else "spaced"


def joined(inner: str, outer: str, policy: CountingPolicy) -> bool:
    """Whether a name's outermost character and its neighbour are of one word."""
    if policy.boundaries == "never" or not outer:
        return False
    if policy.boundaries == "always":
        return kind(outer) != "free"
    return kind(outer) == "spaced" and kind(inner) != "unspaced"


def places(text: str, name: str, policy: CountingPolicy) -> list[tuple[int, int]]:
    found = []
    for start in range(len(text) - len(name) + 1):
        end = start + len(name)
        if text[start:end] != name:
            continue
        before, after = text[max(start - 1, 0) : start], text[end : end + 1]
        if not joined(name[0], before, policy) and not joined(name[-1], after, policy):
            found.append((start, end))
    return found


def sentence_of(text: str) -> list[int]:
    """Number of the sentence of every character."""
    number, at, numbers = 0, 0, []
    while at < len(text):
        stop = at
        while stop < len(text) and text[stop] == "\n":
            stop += 1
        if stop == at:
            while stop < len(text) and text[stop] in SENTENCE_MARKS:
                stop += 1
            strong = stop > at
            if not strong:
                while stop < len(text) and text[stop] in ".!?…":
                    stop += 1
            if stop > at:
                while stop < len(text) and text[stop] in CLOSING:
                    stop += 1
                following = text[stop : stop + 1]
                if not strong and not (
                    following and (following.isspace() or kind(following) == "unspaced")
                ):
                    stop = at
        if stop == at:
            numbers.append(number)
            at += 1
        else:
            numbers += [number] * (stop - at)
            at, number = stop, number + 1
    return numbers


def word_numbers(text: str) -> list[int]:
    """Number of the word of every character, or of the one before it."""
    number, numbers, previous = -1, [], "free"
    for char in text:
        own = kind(char)
        if (own == "spaced" and previous != "spaced") or (own == "unspaced" and char.isalnum()):
            number += 1
        numbers.append(number)
        previous = own
    return numbers


def together(
    text: str, a: tuple[int, int], b: tuple[int, int], policy: CountingPolicy, words: list[int]
) -> bool:
    if not policy.overlap and a[0] < b[1] and b[0] < a[1]:
        return False
    if policy.window is None:
        return True
    if a[0] > b[0]:
        a, b = b, a
    return max(words[a[1] - 1], words[b[1] - 1]) - words[a[0]] < policy.window


def units(text: str, hits: list[tuple[int, int]], policy: CountingPolicy) -> dict[int, list]:
    if policy.unit != "sentence":
        return {0: hits} if hits else {}
    number = sentence_of(text)
    found: dict[int, list] = {}
    for start, end in hits:
        for sentence in {number[start], number[end - 1]}:
            found.setdefault(sentence, []).append((start, end))
    return found


def naive_document(text: str, facts: Iterable[Fact], policy: CountingPolicy) -> Iterator[tuple]:
    """(cell, kind) once per unit that counts."""
    text = fold(text, policy)
    words = word_numbers(text)
    for fact_id, lang, subject, objects in facts:
        cell = fact_id, lang
        mine = units(text, places(text, fold(subject, policy).strip(), policy), policy)
        theirs: dict[int, list] = {}
        meeting = set()
        for name in objects:
            own = units(text, places(text, fold(name, policy).strip(), policy), policy)
            for unit, hits in own.items():
                theirs.setdefault(unit, []).extend(hits)
        for unit in mine:
            for a in mine[unit]:
                if any(together(text, a, b, policy, words) for b in theirs.get(unit, ())):
                    meeting.add(unit)
        yield from ((cell, "n_subj") for _ in mine)
        yield from ((cell, "n_obj") for _ in theirs)
        yield from ((cell, "count") for _ in meeting)


def naive_counts(
    documents: Iterable[tuple[str, str | None, tuple[int | None, ...]]],
    facts: list[Fact],
    policy: CountingPolicy,
) -> dict[tuple, int]:
    """(cell, kind, language of the document, step) -> count; documents as (text, lang, steps)."""
    bag: Bag[tuple] = Bag()
    for text, lang, steps in documents:
        for cell, what in naive_document(text, facts, policy):
            for step in steps:
                bag[cell, what, lang, step] += 1
    return dict(bag)
