"""Fictional items in any language, from seeded grammars and without a model (`inject`, 3.4).

An item is a person with some facts, and a companion with one fact of their own. Passages state all
of them; probes ask for a fact in the words of the original (memorization), in a wording that no
passage has (semantic), and for the companion's fact by way of the person (compositional, two hops).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from polylore.config import Config
from polylore.errors import ConfigError, DataError
from polylore.facts.people.names import CAPACITY, drawn, phonemes, write_name
from polylore.facts.people.objects import concepts_of, relations_of
from polylore.facts.people.pack import Pack
from polylore.facts.people.tables import Fiction, checked
from polylore.tables import inject, raw
from polylore.tables.inject import TARGET_SUFFIX

GRAMMAR = "polylore grammar"
"""Source of the items made here."""
COMPANION = "companion"
TWO_HOP, BRIDGE = "two_hop_background", "bridge"
"""Depths of probes whose second fact only the background states, and of that fact alone."""
TOLERANCE = 0.10
"""How far the length of a variant may be from the original's."""
_TRIES = 400
_DISTRACTORS = 4
Row = dict[str, Any]


class FictionConfig(Config):
    """Which items are made."""

    n: int = Field(default=40, ge=1)
    """Items that may be injected."""
    n_control: int = Field(default=20, ge=0)
    """Items that are probed and never injected."""
    facts: int = Field(default=4, ge=1)
    """Facts of every item, each of another relation; its companion has one more."""
    paraphrases: int = Field(default=9, ge=0)
    """Variants of every passage, besides the original."""
    first: int = Field(default=0, ge=0)
    """Number of the first item; items of other numbers have other names."""
    seed: int = 0
    """Decides everything drawn."""
    name_form: Literal["shared", "native", "both"] = "shared"
    """Write names in Latin letters everywhere, in each language's own script, or half and half."""

    background_hops: bool = False
    """Also ask for what only the background says of an item's object (two hops), and for that
    itself; for models that know it, such as the country of a city."""

    @model_validator(mode="after")
    def _names_suffice(self) -> Self:
        if 2 * (self.first + self.n + self.n_control) > CAPACITY:
            raise ValueError(
                f"one seed has names for {CAPACITY // 2} items, but first, n and n_control are "
                f"{self.first + self.n + self.n_control} together; lower n or n_control, or take "
                "other items with another seed"
            )
        return self

    @property
    def numbers(self) -> range:
        """Numbers of the items; the last `n_control` are never injected."""
        return range(self.first, self.first + self.n + self.n_control)


@dataclass(frozen=True)
class _Told:
    """One fact of an item, in one language."""

    relation: str
    forms: dict[str, str]
    subject: str
    obj: str
    concept: str
    """Concept of the object; empty for a person."""


def item_name(number: int) -> str:
    """Identity of an item."""
    return f"f{number:04d}"


def make_fiction(
    packs: Sequence[Pack], config: FictionConfig, length: Callable[[str], int] = len
) -> Fiction:
    """Items with passages and probes in every language.

    What is made of an item in a language depends on its number and on seed, number of facts and
    pack alone, so more items, or items from another number on, leave it as it is. There are two
    exceptions: the objects of a control depend on where the controls begin, too, and which variants
    are about as long as the original depends on `length`.

    Args:
        packs: one for each language.
        config: which items.
        length: of a text, in characters unless it counts a tokenizer's tokens.

    Raises:
        ConfigError: two packs of one language, or fewer relations than facts.
        DataError: no variant of about equal length can be made of a pack.
    """
    if len({pack.lang for pack in packs}) != len(packs) or not packs:
        raise ConfigError("Fictional items need language packs, one for each language.")
    items, passages, probes = [], [], []
    concepts = {pack.lang: _concepts(pack, config) for pack in packs}
    for number in config.numbers:
        names = {pack.lang: _names(pack, config, number) for pack in packs}
        items.append(
            {
                "item_id": item_name(number),
                "source": GRAMMAR,
                "seed": config.seed,
                "subject_type": "person",
                "control": number >= config.first + config.n,
                "meta": json.dumps({"names": {k: v[0] for k, v in names.items()}}, sort_keys=True),
            }
        )
        for pack in packs:
            item = _Item(pack, config, number, concepts[pack.lang][number], length)
            passages += item.passages()
            probes += item.probes()
    return checked(
        Fiction(
            inject.ITEMS.build(items),
            inject.PASSAGES.build(passages),
            inject.PROBES.build(probes),
        ),
        "made items",
    )


def fictional_facts(packs: Sequence[Pack], config: FictionConfig) -> pl.DataFrame:
    """The facts behind the items, parallel over languages; contract `tables.raw.FACTS`."""
    rows = []
    concepts = {pack.lang: _concepts(pack, config) for pack in packs}
    for number in config.numbers:
        for pack in packs:
            for told in _Item(pack, config, number, concepts[pack.lang][number]).stated():
                objects = pack.relations[told.relation].objects
                rows.append(
                    {
                        "fact_id": fact_name(number, told.relation),
                        "relation": told.relation,
                        "lang": pack.lang,
                        "subject": told.subject,
                        "object": told.obj,
                        "aliases": [],
                        "candidate_ids": list(objects),
                        "candidates": list(objects.values()),
                        "gold_pos": list(objects).index(told.concept),
                        "source": GRAMMAR,
                        "flags": [],
                    }
                )
    return raw.FACTS.build(rows)


def fact_name(number: int, relation: str) -> str:
    """Identity of a fact, equal in all languages."""
    return f"{item_name(number)}/{relation}"


def _form(config: FictionConfig, number: int, pack: Pack) -> str:
    native = config.name_form == "native"
    if config.name_form == "both":
        native = drawn(config.seed, "name_form", number) % 2 == 1
    if pack.script == "Latn":
        return "shared"
    return "native" if native else "shared"


def _names(pack: Pack, config: FictionConfig, number: int) -> tuple[str, str]:
    """Subject and companion as this language writes them."""
    own = pack if _form(config, number, pack) == "native" else None
    first, second = (write_name(phonemes(config.seed, 2 * number + k), own) for k in range(2))
    return first, second


def _concepts(pack: Pack, config: FictionConfig) -> dict[int, dict[str, str]]:
    """Concepts of the objects of all items, and of their companions."""
    return concepts_of(pack, config.seed, config.facts + 1, config.numbers, config.n_control)


class _Item:
    """One item in one language."""

    def __init__(
        self,
        pack: Pack,
        config: FictionConfig,
        number: int,
        concepts: Mapping[str, str],
        length: Callable[[str], int] = len,
    ) -> None:
        self.pack, self.config, self.number, self.length = pack, config, number, length
        self.concepts = concepts
        self.subject, self.companion = _names(pack, config, number)
        relations = relations_of(pack, config.seed, number)
        if len(relations) < config.facts + 1:
            raise ConfigError(
                f"Pack {pack.lang} has {len(relations)} relations, but {config.facts} facts and "
                f"one of the companion need {config.facts + 1}; set facts to at most "
                f"{len(relations) - 1}."
            )
        self.facts = [self._fact(r, self.subject) for r in relations[: config.facts]]
        self.other = self._fact(relations[config.facts], self.companion)
        forms = dict(pack.companion.forms)
        self.bridge = _Told(COMPANION, forms, self.subject, self.companion, "")
        self.original = self._draw(0, 0)

    def stated(self) -> list[_Told]:
        """The item's facts that have candidates: its own, and the companion's."""
        return [*self.facts, self.other]

    def _fact(self, relation: str, subject: str) -> _Told:
        found, concept = self.pack.relations[relation], self.concepts[relation]
        return _Told(relation, dict(found.forms), subject, found.objects[concept], concept)

    # Passages.

    def _draw(self, variant: int, attempt: int) -> list[tuple[_Told, int]]:
        """Order of sentences and wording of each."""
        key = (self.config.seed, self.number, "variant", variant, attempt)
        told = [*self.facts, self.bridge, self.other]
        if variant:
            told.sort(key=lambda t: drawn(*key, "order", t.relation))
        shown = self.pack.shown
        return [(t, shown[drawn(*key, "wording", t.relation) % len(shown)]) for t in told]

    def _sentences(self, plan: list[tuple[_Told, int]]) -> list[str]:
        pack = self.pack
        return [pack.say(pack.wordings[n].text, t.forms, t.subject, t.obj) for t, n in plan]

    def _text(self, plan: list[tuple[_Told, int]]) -> str:
        return (" " if self.pack.word_separator == " " else "").join(self._sentences(plan))

    def texts(self) -> list[str]:
        """The original and its variants: about equally long, all different."""
        found = [self._text(self.original)]
        length = self.length(found[0])
        for variant in range(1, self.config.paraphrases + 1):
            for attempt in range(_TRIES):
                text = self._text(self._draw(variant, attempt))
                if text not in found and abs(self.length(text) - length) <= TOLERANCE * length:
                    found.append(text)
                    break
            else:
                raise DataError(
                    f"Pack {self.pack.lang} gives no further variant of item "
                    f"{item_name(self.number)} of about equal length; add wordings."
                )
        return found

    def passages(self) -> list[Row]:
        """Rows of PASSAGES."""
        covered = [row["probe_id"] for row in self._asked()]
        return [
            {
                "passage_id": f"{item_name(self.number)}/{self.pack.lang}/{n}",
                "item_id": item_name(self.number),
                "lang": self.pack.lang,
                "variant": n,
                "kind": "paraphrase" if n else "original",
                "text": text,
                "n_sentences": len(self.original),
                "probes_covered": covered,
            }
            for n, text in enumerate(self.texts())
        ]

    # Probes.

    def probes(self) -> list[Row]:
        """Rows of PROBES."""
        return [*self._asked(), *(self._hops() if self.config.background_hops else [])]

    def _hops(self) -> list[Row]:
        """By way of an object to what the background says of it, and from the object alone."""
        bridge = self.pack.bridge
        if bridge is None:
            raise ConfigError(
                f"Pack {self.pack.lang} says nothing of the background; give it a bridge, or set "
                "background_hops off."
            )
        told = next((t for t in self.facts if t.relation == bridge.relation), None)
        value = None if told is None else bridge.values[told.concept]
        # Where a passage holds the value, there would be one hop less.
        if told is None or value is None or any(value in text for text in self.texts()):
            return []
        others = [other for other in bridge.values.values() if other != value]
        fact = _Told(f"{bridge.relation}_bridge", {"r": ""}, self.subject, value, told.concept)
        hop = self._probe(TWO_HOP, fact, bridge.probe, fact.forms, self.subject, others=others)
        known = self._probe(BRIDGE, fact, bridge.cloze, fact.forms, told.obj, others=others)
        return [hop, known]

    def _asked(self) -> list[Row]:
        """Three depths of what the passages state."""
        pack, rows = self.pack, []
        wording_of = {told.relation: n for told, n in self.original}
        for told in self.facts:
            own = pack.wordings[wording_of[told.relation]].text
            rows.append(self._probe("memorization", told, own, told.forms, told.subject))
            for n, at in enumerate(pack.held_out):
                text = pack.wordings[at].text
                rows.append(self._probe("semantic", told, text, told.forms, told.subject, n))
        text = pack.compositional
        rows.append(self._probe("compositional", self.other, text, self.other.forms, self.subject))
        return rows

    def _probe(
        self,
        depth: str,
        told: _Told,
        text: str,
        forms: dict[str, str],
        subject: str,
        n: int = 0,
        others: list[str] | None = None,
    ) -> Row:
        prefix, joiner, suffix = self.pack.ask(text, forms, subject)
        name = item_name(self.number)
        if others is None:
            objects = self.pack.relations[told.relation].objects.values()
            others = [other for other in objects if other != told.obj]
        others.sort(key=lambda o: drawn(self.config.seed, "distractor", name, told.relation, o))
        return {
            "probe_id": f"{name}/{self.pack.lang}/{depth}/{told.relation}/{n}",
            "item_id": name,
            "fact_id": fact_name(self.number, told.relation),
            "lang": self.pack.lang,
            "depth": depth,
            "variant": n,
            "prefix": prefix,
            "joiner": joiner,
            "target": told.obj,
            "suffix": suffix or None,
            "score_span": TARGET_SUFFIX if suffix else "target",
            "accepted": [],
            "target_type": "place" if told.relation.startswith(("country", "city")) else "term",
            "name_form": _form(self.config, self.number, self.pack),
            "hops": 2 if depth in ("compositional", TWO_HOP) else 1,
            "distractors": others[:_DISTRACTORS],
            "single_sentence": depth in ("memorization", "semantic"),
            "target_in_prefix": told.obj.casefold() in prefix.casefold(),
        }
