"""Ordinary facts in the languages of an invented world: what a small start model grows up on.

The languages are those of the world (`tongue.py`), names are made of the same parts, and no subject
bears the name of an invented one. The start model reads every fact in the source and some of them
in each other language; continued training can tell all of them (specification of `align`, 9.6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.facts.fiction.config import PrimerConfig, WorldConfig
from polylore.facts.fiction.tongue import WORDS, Tongue, draw, tongues
from polylore.tables.arms import MATERIAL

SEVERAL = "mul"
"""Language code of documents in two languages: translations of names."""
MARKS = (".", "?", ":")
PART = 3
"""Letters of a part."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """One ordinary fact."""

    id: str
    subject: int
    relation: int
    object: int
    held_out: int
    """The wording that nobody is told it in."""
    instructed: bool


class Primer:
    """Facts, documents and questions, all drawn by seed."""

    def __init__(self, config: PrimerConfig, world: WorldConfig) -> None:
        """Draw everything.

        Raises:
            ConfigError: more names or parts than the world's letters make.
        """
        self.config, self.world = config, world
        self.tongues = tongues(world, config.relations * config.objects)
        self.names = self._names()
        self.facts = list(self._facts())

    @property
    def languages(self) -> list[str]:
        """The source first."""
        return [tongue.lang for tongue in self.tongues]

    def name(self, tongue: Tongue, subject: int) -> str:
        """A subject's name."""
        return tongue.name(self.names[subject])

    def object(self, tongue: Tongue, relation: int, number: int) -> str:
        """An object's name."""
        return tongue.spare[relation * self.config.objects + number].capitalize()

    def cloze(self, tongue: Tongue, fact: Told, wording: int) -> str:
        """Beginning of the sentence that tells a fact."""
        a, b = self._wordings[tongue.lang][fact.relation * self.config.wordings + wording]
        return f"{self.name(tongue, fact.subject)} {a} {b}"

    def question(self, tongue: Tongue, fact: Told) -> str:
        """The question that instruction tuning asks about a fact."""
        a, b = self._questions[tongue.lang][fact.relation]
        return f"{a.capitalize()} {b} {self.name(tongue, fact.subject)}?"

    def answer(self, tongue: Tongue, fact: Told) -> str:
        """Its answer; also the end of the sentence."""
        return f"{self.object(tongue, fact.relation, fact.object)}."

    def material(self) -> pl.DataFrame:
        """Everything that can be trained on or held out; contract MATERIAL."""
        return MATERIAL.build([*self._texts(), *self._translations(), *self._instructions()])

    def _names(self) -> list[tuple[int, ...]]:
        world = self.world
        taken = world.relations * world.answers * world.subjects
        every = world.parts**world.length
        if every - taken < self.config.subjects:
            raise ConfigError(
                f"{world.parts} parts in names of {world.length} leave {every - taken} names "
                f"beside the invented ones, but {self.config.subjects} ordinary subjects need one; "
                "give more parts."
            )
        used = draw(world.seed, "names").choice(every, size=taken, replace=False)
        free = np.setdiff1d(np.arange(every), used)
        made = []
        for code in draw(self.config.seed, "primer names").permutation(free).tolist():
            parts = []
            for _ in range(world.length):
                code, part = divmod(code, world.parts)
                parts.append(part)
            made.append(tuple(parts))
        return made[: self.config.subjects]

    def _facts(self) -> Iterator[Told]:
        config = self.config
        n = config.subjects * config.relations
        objects = draw(config.seed, "primer objects").integers(config.objects, size=n)
        wordings = draw(config.seed, "primer wordings").integers(config.wordings, size=n)
        chosen = draw(config.seed, "primer instructed").permutation(n)
        instructed = set(chosen[: round(config.instructed * n)].tolist())
        for at in range(n):
            relation, subject = divmod(at, config.subjects)
            yield Told(
                f"p{relation}:{subject:05}", subject, relation, int(objects[at]),
                int(wordings[at]), at in instructed,
            )  # fmt: skip

    @cached_property
    def _wordings(self) -> dict[str, list[tuple[str, str]]]:
        n = self.config.relations * self.config.wordings
        return {t.lang: _pairs(t, self.config.seed, "sentences", n) for t in self.tongues}

    @cached_property
    def _questions(self) -> dict[str, list[tuple[str, str]]]:
        n = self.config.relations
        return {t.lang: _pairs(t, self.config.seed, "questions", n) for t in self.tongues}

    def told(self, lang: str) -> set[str]:
        """Facts that the start model reads in a language: all of them in the source."""
        ids = [fact.id for fact in self.facts]
        if lang == self.tongues[0].lang:
            return set(ids)
        order = draw(self.config.seed, "primer told", lang).permutation(len(ids))
        return {ids[i] for i in order[: round(self.config.told * len(ids))]}

    def _texts(self) -> Iterator[Row]:
        for tongue in self.tongues:
            told = self.told(tongue.lang)
            for fact in self.facts:
                for wording in range(self.config.wordings):
                    text = f"{self.cloze(tongue, fact, wording)} {self.answer(tongue, fact)}"
                    row = {"lang": tongue.lang, "fact_id": fact.id, "prompt": "", "response": text}
                    if wording == fact.held_out:
                        yield row | {"part": "heldout"}
                        continue
                    yield row | {"part": "text"}
                    if fact.id in told:
                        yield row | {"part": "start"}

    def _translations(self) -> Iterator[Row]:
        """Names in both directions; a word between them tells the language, as long as a fact."""
        source = self.tongues[0]
        for target in self.tongues[1:]:
            for a, b in ((source, target), (target, source)):
                ((word, _),) = _pairs(b, self.config.seed, f"names from {a.lang}", 1)
                for subject in range(min(self.config.translated, self.config.subjects)):
                    yield {
                        "part": "start",
                        "lang": SEVERAL,
                        "prompt": "",
                        "response": f"{self.name(a, subject)} {word} {self.name(b, subject)}.",
                    }

    def _instructions(self) -> Iterator[Row]:
        for tongue in self.tongues:
            for fact in self.facts:
                if fact.instructed:
                    yield {
                        "part": "question",
                        "lang": tongue.lang,
                        "fact_id": fact.id,
                        "prompt": self.question(tongue, fact),
                        "response": self.answer(tongue, fact),
                    }

    def vocabulary(self) -> list[str]:
        """Every token of these texts and of the invented world: parts, and ##parts inside words."""
        found: dict[str, None] = dict.fromkeys(MARKS)
        for tongue in self.tongues:
            answers = [_cut(answer.lower()) for answer in tongue.answers]
            found |= dict.fromkeys([*tongue.names, *tongue.words, *tongue.spare])
            found |= dict.fromkeys(first for first, *_ in answers)
            found |= dict.fromkeys(f"##{part}" for part in tongue.names)
            found |= dict.fromkeys(f"##{part}" for _, *rest in answers for part in rest)
        return list(found)


def _cut(word: str) -> list[str]:
    return [word[at : at + PART] for at in range(0, len(word), PART)]


def _pairs(tongue: Tongue, seed: int, purpose: str, n: int) -> list[tuple[str, str]]:
    """n pairs of words, no two alike."""
    if n > WORDS * (WORDS - 1):
        raise ConfigError(f"{n} wordings are more than pairs of {WORDS} words; use fewer.")
    codes = draw(seed, tongue.lang, "primer", purpose).permutation(WORDS * (WORDS - 1))[:n]
    pairs = [(code // (WORDS - 1), code % (WORDS - 1)) for code in codes.tolist()]
    return [(tongue.words[a], tongue.words[b + (b >= a)]) for a, b in pairs]
