"""From slots, the places of words in rated pairs, to a lexicon (`patch`, section 3: cleaning)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from polylore.errors import DataError
from polylore.facts.lexicon.lexicon import GLOSS, Form, Lexicon
from polylore.tables.lexicon import LEXICON, LEXICON_DROPS, SIMILARITY

FirstForm = Literal["majority", "stacking"]
POS = {"nouns": "noun", "verbs": "verb", "adjectives": "adjective", "adverbs": "adverb"}


@dataclass(frozen=True)
class Slot:
    """One word of one rated pair, in all languages."""

    pair: int
    """Number of the pair."""
    position: int
    """1 or 2."""
    english: str
    """The English word: the concept."""
    pos: str
    """Part of speech, as the source calls it."""
    forms: Mapping[str, str]
    """Form by language; a language without one is absent."""
    sense: str | None = None
    """Row of the source."""
    score: float | None = None
    """Similarity of the pair, rated in English."""
    errata: frozenset[str] = field(default=frozenset())
    """Languages whose form is marked as an erratum."""


def stacked(slots: Iterable[Slot]) -> list[Slot]:
    """All first positions by pair, then all second positions."""
    return sorted(slots, key=lambda slot: (slot.position, slot.pair))


def without_missing(slots: Iterable[Slot], languages: Sequence[str]) -> list[Slot]:
    """Those with a form in every language."""
    return [slot for slot in slots if all(lang in slot.forms for lang in languages)]


def parts_of_speech(slots: Iterable[Slot]) -> dict[str, set[str]]:
    """English word -> its parts of speech."""
    found: dict[str, set[str]] = {}
    for slot in slots:
        found.setdefault(slot.english, set()).add(slot.pos)
    return found


def lexicon_of(
    slots: Iterable[Slot],
    languages: Sequence[str],
    *,
    name: str,
    source: str,
    licence: str | None,
    pos: str | None = "nouns",
    first_form: FirstForm = "majority",
    drops: Sequence[Mapping[str, Any]] = (),
) -> Lexicon:
    """Clean the slots, step by step, and group them by English word.

    Args:
        slots: all of them.
        languages: languages that a slot must have; the order is kept.
        name: name of the lexicon.
        source: where it comes from.
        licence: its licence.
        pos: keep this part of speech; all if None.
        first_form: which form is shown: that of most slots, ties by order, or the first stacked.
        drops: what the reader has counted before.

    Raises:
        DataError: nothing is left.
    """
    count = _Counts(drops)
    ordered = stacked(slots)
    whole = without_missing(ordered, languages)
    count.step(
        "form_in_every_language",
        "slots",
        len(whole),
        [slot.english for slot in ordered if not all(lang in slot.forms for lang in languages)],
    )
    kinds = parts_of_speech(whole)
    torn = [word for word, found in kinds.items() if len(found) > 1]
    count.step("one_part_of_speech", "words", len(kinds) - len(torn), torn)
    kept = {
        word: next(iter(found))
        for word, found in kinds.items()
        if len(found) == 1 and (pos is None or pos in found)
    }
    count.step(
        "wanted_part_of_speech",
        "words",
        len(kept),
        [word for word, found in kinds.items() if len(found) == 1 and word not in kept],
    )
    if not kept:
        raise DataError(f"{source} has no {pos or 'words'} with a form in every language asked.")
    groups: dict[str, list[Slot]] = {word: [] for word in kept}
    for slot in whole:
        if slot.english in groups:
            groups[slot.english].append(slot)
    rows = [
        {
            "concept_id": word,
            "lang": lang,
            "rank": rank,
            "form": form.text,
            "aliases": list(form.aliases),
            "sense_id": form.senses[0] if form.senses else None,
            "senses": list(form.senses),
            "pos": POS.get(kept[word], kept[word]),
            "n_slots": form.n_slots,
            "erratum": form.erratum,
            "flags": list(form.flags),
            "source": source,
            "licence": licence,
        }
        for lang in languages
        for word, group in groups.items()
        for rank, form in enumerate(_forms(group, lang, first_form))
    ]
    return Lexicon(name, LEXICON.build(rows), count.table(), _similarity(whole, kept))


def _forms(group: Sequence[Slot], lang: str, first_form: FirstForm) -> list[Form]:
    by_form: dict[str, list[Slot]] = {}
    for slot in group:
        by_form.setdefault(slot.forms[lang].strip(), []).append(slot)
    order = list(by_form)
    if first_form == "majority":
        order.sort(key=lambda form: -len(by_form[form]))
    forms = []
    for given in order:
        slots = by_form[given]
        senses = Counter(slot.sense for slot in slots if slot.sense is not None)
        text = without_gloss(given)
        forms.append(
            Form(
                text,
                () if text == given else (given,),
                tuple(sense for sense, _ in senses.most_common()),
                len(slots),
                any(lang in slot.errata for slot in slots),
                () if text == given else (GLOSS,),
            )
        )
    return forms


def without_gloss(form: str) -> str:
    """A form without its bracketed part, if something is left.

    >>> without_gloss("abikaasa (naine)")
    'abikaasa'
    """
    for opening, closing in ("()", "（）"):
        head, bracket, rest = form.partition(opening)
        if bracket and closing in rest:
            tail = rest.rpartition(closing)[2]
            return " ".join((head + tail).split()) or form
    return form


def scored_pairs(slots: Iterable[Slot]) -> dict[int, tuple[Slot, Slot]]:
    """Both slots of every pair that has both, by number."""
    halves: dict[int, dict[int, Slot]] = {}
    for slot in slots:
        halves.setdefault(slot.pair, {})[slot.position] = slot
    return {pair: (found[1], found[2]) for pair, found in sorted(halves.items()) if len(found) == 2}


def _similarity(slots: Iterable[Slot], kept: Mapping[str, str]) -> pl.DataFrame:
    ratings: dict[tuple[str, str], list[float]] = {}
    for first, second in scored_pairs(slots).values():
        a, b = sorted((first.english, second.english))
        if a in kept and b in kept and a != b and first.score is not None:
            ratings.setdefault((a, b), []).append(first.score)
    rows = [
        {"concept_a": a, "concept_b": b, "score": sum(scores) / len(scores)}
        for (a, b), scores in ratings.items()
    ]
    return SIMILARITY.build(rows)


class _Counts:
    """What each step kept, in order."""

    def __init__(self, before: Sequence[Mapping[str, Any]]) -> None:
        self.rows: list[Mapping[str, Any]] = list(before)

    def step(self, name: str, unit: str, kept: int, dropped: Sequence[str]) -> None:
        self.rows.append(drop_row(name, unit, kept, dropped))

    def table(self) -> pl.DataFrame:
        return LEXICON_DROPS.build(self.rows)


def drop_row(step: str, unit: str, kept: int, dropped: Sequence[str]) -> dict[str, Any]:
    """A row of the contract `tables.lexicon.LEXICON_DROPS`."""
    return {
        "step": step,
        "unit": unit,
        "kept": kept,
        "dropped": len(dropped),
        "examples": list(dict.fromkeys(dropped))[:5],
    }
