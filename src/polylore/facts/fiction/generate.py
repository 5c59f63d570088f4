"""Generator of invented worlds (specification of `align`, section 3.7).

Names are unambiguous in every language, answers are balanced and written differently in every
language unless asked otherwise, and tests ask in wordings that no training row has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from polylore.facts.fiction.config import WorldConfig
from polylore.facts.fiction.tongue import WORDS, Tongue, draw, tongues
from polylore.facts.fiction.world import World
from polylore.tables import fiction

Row = dict[str, Any]
PER_WORDING = 6
"""Words in a wording: four in the question, two in the answer."""


@dataclass(frozen=True)
class Fact:
    """One invented fact, in all languages at once."""

    item: int
    relation: int
    answer: int
    """Number among the answers of all relations."""
    taught: int
    """The answer that training rows give: the same, unless they are shuffled."""
    type: int
    parts: tuple[int, ...]

    @property
    def id(self) -> str:
        """Ids sort in the order of the facts."""
        return f"r{self.relation}:{self.item:05}"


def make_worlds(config: WorldConfig) -> dict[str, World]:
    """One world per target language, with the same facts in the source.

    Raises:
        ConfigError: more names or parts than the letters can make.
    """
    spoken = tongues(config)
    facts = _facts(config)
    return {target.lang: _Pair(config, facts, spoken[0], target).world() for target in spoken[1:]}


def _facts(config: WorldConfig) -> list[Fact]:
    n = config.relations * config.answers * config.subjects
    drawn = draw(config.seed, "names").choice(config.parts**config.length, size=n, replace=False)
    zero = round(config.taught_in_both * config.subjects)
    made = []
    for item, code in enumerate(drawn.tolist()):
        parts = []
        for _ in range(config.length):
            code, part = divmod(code, config.parts)
            parts.append(part)
        answer, place = divmod(item, config.subjects)
        made.append(
            Fact(item, answer // config.answers, answer, answer, int(place >= zero), tuple(parts))
        )
    if not config.shuffled:
        return made
    # Within a relation, so that answers stay of the right kind and balanced.
    size, taught = config.answers * config.subjects, []
    for start in range(0, n, size):
        order = draw(config.seed, "shuffled", str(start)).permutation(size)
        taught += [made[start + i].answer for i in order]
    return [
        Fact(f.item, f.relation, f.answer, answer, f.type, f.parts)
        for f, answer in zip(made, taught, strict=True)
    ]


class _Pair:
    """The world of a source and a target language."""

    def __init__(
        self, config: WorldConfig, facts: list[Fact], source: Tongue, target: Tongue
    ) -> None:
        self.config, self.facts = config, facts
        self.source, self.target = source, target
        self._wordings: dict[tuple[str, str], list[tuple[str, ...]]] = {}

    def _words(self, tongue: Tongue, purpose: str) -> list[tuple[str, ...]]:
        """Words of all wordings of one purpose: those of training, then those of tests."""
        key = (tongue.lang, purpose)
        if key not in self._wordings:
            total = self.config.train_wordings + self.config.test_wordings
            self._wordings[key] = _words(tongue, self.config.seed, purpose, total)
        return self._wordings[key]

    def world(self) -> World:
        """Facts, training rows and tests."""
        told = [
            {
                "fact_id": fact.id,
                "relation": f"r{fact.relation}",
                "item": fact.item,
                "lang": tongue.lang,
                "subject": tongue.name(fact.parts),
                "object": tongue.answers[fact.answer],
                "answer": fact.answer,
                "type": fact.type,
            }
            for tongue in (self.source, self.target)
            for fact in self.facts
        ]
        rows = [
            {"source": self.source.lang, "target": self.target.lang, "row": number, "input": ""}
            | row
            for number, row in enumerate(self._rows())
        ]
        return World(
            fiction.FICTION_FACTS.build(told),
            fiction.FICTION_ROWS.build(rows),
            fiction.FICTION_TESTS.build(list(self._tests())),
        )

    def _rows(self) -> Iterator[Row]:
        """Facts of type 0 in the source first, all else in turn (as published)."""
        config = self.config
        zero, one = ([f for f in self.facts if f.type == kind] for kind in (0, 1))
        yield from chain.from_iterable(self._told("source_0", self.source, zero))
        blocks = [
            self._told("source_1", self.source, one),
            self._told("target_0", self.target, zero),
        ]
        if config.parallel_exposure:
            blocks.append(self._told("target_1", self.target, one))
        blocks += [self._translated(direction) for direction in config.translate]
        if config.parallel_sentences:
            blocks.append(self._parallel(zero))
        if config.code_switched:
            blocks.append(self._told("code_switch", self.source, zero, self.target))
        for together in zip_longest(*blocks, fillvalue=[]):
            yield from (row for rows in zip_longest(*together) for row in rows if row is not None)
        yield from self._distractors()

    def _wording(self, exposure: int, number: int) -> int:
        """Wording of a training row about a fact or name by its number."""
        n = self.config.train_wordings
        if self.config.held_out == "wordings":
            return exposure % n
        return (number + 1 + exposure % (n - 1)) % n  # all but its own, which tests it

    def _asked(self, number: int) -> int:
        """Wording of the test about a fact by its number: facts take turns."""
        if self.config.held_out == "pairs":
            return number % self.config.train_wordings
        return self.config.train_wordings + number % self.config.test_wordings

    def _told(
        self, block: str, tongue: Tongue, facts: list[Fact], names: Tongue | None = None
    ) -> list[list[Row]]:
        """Rows of a block, one list per exposure."""
        made = []
        for exposure in range(self.config.exposures):
            rows = []
            for fact in facts:
                wording = self._wording(exposure, fact.item)
                said = self._sentences(tongue, fact, wording, fact.taught, names)
                rows.append(
                    {"block": block, "fact_id": fact.id, "answer": fact.taught,
                     "template": wording, "prompt": said[0], "response": said[1]}
                )  # fmt: skip
            made.append(rows)
        return made

    def _sentences(
        self, tongue: Tongue, fact: Fact, wording: int, answer: int, names: Tongue | None = None
    ) -> tuple[str, str]:
        """Question and answer in one wording of the fact's relation."""
        a, b, c, d, e, f = self._words(tongue, f"r{fact.relation}")[wording]
        name = (names or tongue).name(fact.parts)
        question = f"{a.capitalize()} {b} {name} {c} {d}?"
        return question, f"{name} {e} {f} {tongue.answers[answer]}."

    def _translated(self, direction: str) -> list[list[Row]]:
        """Rows that translate names and answers, one list per exposure."""
        back = direction == "t>s"
        a, b = (self.target, self.source) if back else (self.source, self.target)
        block = "translate_ts" if back else "translate_st"
        terms = list(self._terms(a, b))
        prompts = self._words(a, f"translate {b.lang}")
        made = []
        for exposure in range(self.config.exposures):
            rows = []
            for number, (fact_id, answer, text, other) in enumerate(terms):
                wording = self._wording(exposure, number)
                prompt = f"{' '.join(prompts[wording]).capitalize()}:"
                rows.append(
                    {"block": block, "template": wording, "prompt": prompt, "fact_id": fact_id,
                     "answer": answer, "input": text, "response": other}
                )  # fmt: skip
            made.append(rows)
        return made

    def _terms(self, a: Tongue, b: Tongue) -> Iterator[tuple[str | None, int | None, str, str]]:
        what = self.config.translate_what
        if what in ("names", "both"):
            for fact in self.facts:
                yield fact.id, None, a.name(fact.parts), b.name(fact.parts)
        if what in ("answers", "both"):
            for answer, (text, other) in enumerate(zip(a.answers, b.answers, strict=True)):
                yield None, answer, text, other

    def _parallel(self, facts: list[Fact]) -> list[list[Row]]:
        made = []
        for exposure in range(self.config.exposures):
            rows = []
            for fact in facts:
                wording = self._wording(exposure, fact.item)
                prompt, response = (
                    self._sentences(tongue, fact, wording, fact.taught)[1]
                    for tongue in (self.source, self.target)
                )
                rows.append(
                    {"block": "parallel", "fact_id": fact.id, "answer": fact.taught,
                     "template": wording, "prompt": prompt, "response": response}
                )  # fmt: skip
            made.append(rows)
        return made

    def _distractors(self) -> Iterator[Row]:
        generator = draw(self.config.seed, self.target.lang, "distractors")
        for number in range(self.config.distractors):
            tongue = (self.source, self.target)[number % 2]
            said = [tongue.words[i] for i in generator.integers(WORDS, size=8)]
            yield {
                "block": "distractor",
                "template": 0,
                "prompt": f"{' '.join(said[:4]).capitalize()}?",
                "response": f"{' '.join(said[4:]).capitalize()}.",
            }

    def _tests(self) -> Iterator[Row]:
        pair = {"source": self.source.lang, "target": self.target.lang}
        # Facts take turns in the wordings that they were not taught in.
        for tongue in (self.source, self.target):
            for fact in self.facts:
                wording = self._asked(fact.item)
                yield pair | {
                    "probe": "fact",
                    "lang": tongue.lang,
                    "fact_id": fact.id,
                    "answer": fact.answer,
                    "prompt": self._sentences(tongue, fact, wording, fact.answer)[0],
                    "input": "",
                    "expected": tongue.answers[fact.answer],
                }
        for probe, a, b in (
            ("translate_ts", self.target, self.source),
            ("translate_st", self.source, self.target),
        ):
            prompts = self._words(a, f"translate {b.lang}")
            pairs = self.config.held_out == "pairs"
            for number, (fact_id, answer, text, other) in enumerate(self._terms(a, b)):
                asked = prompts[self._asked(number) if pairs else self.config.train_wordings]
                yield pair | {
                    "probe": probe,
                    "lang": b.lang,
                    "fact_id": fact_id,
                    "answer": answer,
                    "prompt": f"{' '.join(asked).capitalize()}:",
                    "input": text,
                    "expected": other,
                }


def _words(tongue: Tongue, seed: int, purpose: str, n: int) -> list[tuple[str, ...]]:
    """Words of n wordings, no two alike."""
    generator = draw(seed, tongue.lang, "wordings", purpose)
    made: dict[tuple[str, ...], None] = {}
    while len(made) < n:
        chosen = generator.choice(WORDS, size=PER_WORDING, replace=False)
        made[tuple(tongue.words[i] for i in chosen)] = None
    return list(made)
