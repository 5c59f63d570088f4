"""Language packs: how fictional items are told and asked for in one language, without a model.

A pack is data (`packs/<lang>.json`): how the common phoneme syllables are written, relations with a
parallel lexicon of objects, wordings with the slots {s} (subject), {o} (object) and {r} (name of
the relation, in the form that the wording needs; {R} begins with a capital), and at least one
wording that is held out for semantic probes.
"""

import json
import string
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config
from polylore.errors import ConfigError, DataError
from polylore.files import read_json

FEWEST_RELATIONS, FEWEST_OBJECTS, FEWEST_WORDINGS = 8, 16, 6
ONSETS, NUCLEI = "bdghkmnprstz", "aiu"
SYLLABLES = tuple(onset + nucleus for onset in ONSETS for nucleus in NUCLEI)
"""Common phoneme syllables: told apart in every script that polylore ships."""


class Relation(Config):
    """A relation: its name in the forms that wordings need, and its objects."""

    forms: dict[str, str]
    """Inflected forms of its name by slot; `r` is the usual one."""
    objects: dict[str, str] = Field(default_factory=dict)
    """Concept -> word, in the citation form."""


class Wording(Config):
    """A sentence that states a fact."""

    text: str
    """With the slots {s}, {o} and forms of the relation; ends with the sentence end."""
    held_out: bool = False
    """Kept out of all passages, for semantic probes."""


class Bridge(Config):
    """A second fact that no passage states, but the background does: from an object to a value."""

    relation: str
    """Relation whose objects have the values."""
    values: dict[str, str]
    """Concept of the object -> word of its value."""
    probe: str
    """Asks for the value by way of the subject: slots {s} and {o}."""
    cloze: str
    """Asks for the value of the object itself, to see whether it is known: slots {c} and {o}."""


class Pack(Config):
    """Everything needed to tell of fictional people in one language."""

    lang: str
    """Language code."""
    script: str
    """Script (ISO 15924); languages of equal script may share name strings."""
    direction: Literal["ltr", "rtl"] = "ltr"
    """Direction of writing."""
    reviewed_by_native: bool = False
    """Whether a native speaker has read it."""
    sources: str = ""
    """Where words come from, and their licence."""
    sentence_end: str
    """What ends a sentence."""
    word_separator: str = " "
    """What stands between the parts of a name."""
    syllables: dict[str, str]
    """Common phoneme syllable -> how it is written here."""
    relations: dict[str, Relation]
    """Relations that items are made of."""
    companion: Relation
    """The relation between the subject and the second person of an item."""
    wordings: tuple[Wording, ...]
    """At least six, one of them held out."""
    compositional: str
    """Asks for a relation of the subject's companion; held out like a semantic wording."""
    bridge: Bridge | None = None
    """What the background says of the objects of a relation, for probes of two hops."""
    frame: bool = False
    """Made of key-value frames for a language without grammar (`frames.frame_pack`)."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        shown = [w for w in self.wordings if not w.held_out]
        if len(self.wordings) < FEWEST_WORDINGS or len(shown) == len(self.wordings):
            raise ValueError(f"needs {FEWEST_WORDINGS} wordings, at least one of them held out")
        if len(self.relations) < FEWEST_RELATIONS:
            raise ValueError(f"needs {FEWEST_RELATIONS} relations")
        for name, relation in self.relations.items():
            if len(set(relation.objects.values())) < FEWEST_OBJECTS:
                raise ValueError(f"relation {name} needs {FEWEST_OBJECTS} different objects")
        missing = set(SYLLABLES) - set(self.syllables)
        if missing or len(set(self.syllables.values())) != len(self.syllables):
            raise ValueError("syllables must write every common syllable in a way of its own")
        for text in [w.text for w in self.wordings] + [self.compositional]:
            slots = {field for _, field, _, _ in string.Formatter().parse(text) if field}
            unknown = slots - {"s", "o", "R"} - set(self.companion.forms)
            if not {"s", "o"} <= slots or unknown or len(slots) < 3:
                raise ValueError(f"{text!r} must have the slots s, o and a form of the relation")
            if not text.endswith(self.sentence_end):
                raise ValueError(f"{text!r} must end with {self.sentence_end}")
        if self.bridge is not None:
            self._check_bridge(self.bridge)
        return self

    def _check_bridge(self, bridge: Bridge) -> None:
        relation = self.relations.get(bridge.relation)
        if relation is None or set(relation.objects) != set(bridge.values):
            raise ValueError(f"bridge must have a value for every object of {bridge.relation}")
        for text, wanted in ((bridge.probe, {"s", "o"}), (bridge.cloze, {"c", "o"})):
            slots = {field for _, field, _, _ in string.Formatter().parse(text) if field}
            if slots != wanted or not text.endswith(self.sentence_end):
                raise ValueError(
                    f"{text!r} must have the slots {', '.join(sorted(wanted))} and end with "
                    f"{self.sentence_end}"
                )

    @cached_property
    def shown(self) -> list[int]:
        """Numbers of the wordings that passages use."""
        return [n for n, wording in enumerate(self.wordings) if not wording.held_out]

    @cached_property
    def held_out(self) -> list[int]:
        """Numbers of the wordings that only probes use."""
        return [n for n, wording in enumerate(self.wordings) if wording.held_out]

    def say(self, text: str, forms: Mapping[str, str], subject: str, obj: str) -> str:
        """Fill a wording."""
        return fill(text, forms, subject).replace("{o}", obj)

    def ask(self, text: str, forms: Mapping[str, str], subject: str) -> tuple[str, str, str]:
        """Prefix, joiner and suffix of a wording; the suffix is without the sentence end."""
        before, _, after = fill(text, forms, subject).partition("{o}")
        prefix = before.rstrip(" ")
        return prefix, before[len(prefix) :], after.removesuffix(self.sentence_end)


def fill(text: str, forms: Mapping[str, str], subject: str) -> str:
    """A wording with everything but its object. Slots are replaced, never evaluated."""
    usual = forms["r"]
    values = {"R": usual[:1].upper() + usual[1:], "s": subject, "c": subject} | dict(forms)
    parts = []
    for literal, field, _, _ in string.Formatter().parse(text):
        parts.append(literal)
        if field is not None:
            parts.append("{o}" if field == "o" else values[field])
    return "".join(parts)


def shipped() -> list[str]:
    """Languages that polylore ships a pack for."""
    folder = files(__package__) / "packs"
    names = [path.name for path in folder.iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def load_pack(name: str | Path) -> Pack:
    """Open the pack of a language, or a pack from a JSON file.

    A file with the key `background` holds words to make a pack of frames from (`frames.Frames`).

    Raises:
        ConfigError: there is no pack for the language, or the pack is incomplete.
        DataError: the file is missing or is not JSON.
    """
    if isinstance(name, Path) or str(name).endswith(".json"):
        values, where = read_json(name), str(name)
    elif name in shipped():
        where = f"pack {name}"
        text = (files(__package__) / "packs" / f"{name}.json").read_text(encoding="utf-8")
        values = json.loads(text)
    else:
        raise ConfigError(
            f"There is no language pack for {name}; there are {', '.join(shipped())}. Give the "
            "path of a JSON file instead: a pack of your own, or a text and a list of words to "
            "make key-value frames from (docs/inject.md)."
        )
    if not isinstance(values, dict):
        raise DataError(f"{where} must be a JSON object.")
    if "background" in values:
        from polylore.facts.people.frames import Frames

        return Frames.parse(values, where).pack(Path(where).parent)
    return Pack.parse(values, where)
