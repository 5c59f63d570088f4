"""Everything asked of a model about one invented world, from prompts to raw rows.

A sheet is made once and asked of many models: texts are tokenised once per tokenizer, and names are
looked up once per world. Nothing here needs a model on disk, so a model in training can be asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.fiction.form import all_tests, question, stems
from polylore.facts.fiction.world import World
from polylore.metrics.align.gates import COMPONENTS
from polylore.metrics.align.hops import Book
from polylore.models import (
    LanguageModel,
    Prepared,
    PreparedPrompts,
    Question,
    generate_prepared,
    prepare,
    prepare_prompts,
    score_prepared,
)
from polylore.models.spans import token_ids
from polylore.studies.align.conducting.config import ConductAskConfig
from polylore.studies.work_config import WorkConfig
from polylore.tables.fiction import FICTION_ANSWERS

Row = dict[str, Any]
SPARE = 2
"""An answer may be this many tokens longer than the longest that was taught."""


@dataclass(frozen=True)
class _Tokenised:
    """The questions of some components in the tokens of one tokenizer."""

    rows: tuple[Row, ...]
    written: PreparedPrompts
    caps: tuple[int, ...]
    ranked: Prepared
    """Candidates of the facts among the rows, where they can be ranked."""
    ranks: tuple[tuple[int, ...], ...]
    """By row: answers in the order of its candidates; empty where none are ranked."""


class ConductSheet:
    """All tests of one world, a source and a target language."""

    def __init__(self, world: World, ask: ConductAskConfig | None = None) -> None:
        """Args: world: facts, training rows and tests; ask: how they are put."""
        self.world, self.config = world, ask or ConductAskConfig()
        self._tokenised: dict[tuple[str, ...], _Tokenised] = {}
        self._hash: str | None = None
        self._caps: tuple[int, int] = (0, 0)

    @cached_property
    def book(self) -> Book:
        """Names of everything in the world."""
        return Book(self.world.facts, self.world.source, self.world.target)

    @cached_property
    def tests(self) -> dict[str, list[Row]]:
        """Tests by component."""
        found: dict[str, list[Row]] = {name: [] for name in COMPONENTS}
        for row in all_tests(self.world).iter_rows(named=True):
            name = row["probe"]
            if name == "fact":
                side = "source" if row["lang"] == self.world.source else "target"
                name = f"{side}_{self.book.types[row['fact_id']]}"
            found[name].append(row)
        return found

    def ask(
        self,
        lm: LanguageModel,
        run: Mapping[str, Any],
        components: Collection[str] | None = None,
        token_budget: int | None = None,
    ) -> pl.DataFrame:
        """Raw rows of one model.

        Args:
            lm: the model; one in training is to be asked inside `models.live.undisturbed`.
            run: run_id, arm, seed, step and design, as tables name them.
            components: which of `COMPONENTS`; all if not given.
            token_budget: tokens per forward pass; by default what suits the device.

        Returns:
            Table FICTION_ANSWERS.

        Raises:
            ConfigError: an unknown component.
            ModelError: a text longer than the model's context, or scores that are not numbers.
        """
        asked = self._prepared(lm, components)
        texts = self._written(lm, asked, token_budget)
        best = self._ranked(lm, asked, token_budget)
        key = dict(run) | {"source": self.world.source, "target": self.world.target}
        return FICTION_ANSWERS.build(
            [
                key
                | {name: row[name] for name in ("probe", "lang", "fact_id")}
                | {
                    "answer": None if row["probe"] == "fact" else row["answer"],
                    "raw_output": text,
                    "ranked": ranked,
                }
                for row, text, ranked in zip(asked.rows, texts, best, strict=True)
            ]
        )

    def recall(
        self,
        lm: LanguageModel,
        components: Collection[str] | None = None,
        token_budget: int | None = None,
    ) -> dict[str, float]:
        """Share right of each component by free text: cheap enough to ask during training.

        Args:
            lm, components, token_budget: as for `ask`.

        Returns:
            Component to share; components without tests are absent.
        """
        asked = self._prepared(lm, components)
        hits: dict[str, list[bool]] = {}
        texts = self._written(lm, asked, token_budget)
        for row, text in zip(asked.rows, texts, strict=True):
            hits.setdefault(row["component"], []).append(self._right(row, text))
        return {name: sum(found) / len(found) for name, found in hits.items()}

    def cost(self, lm: LanguageModel) -> tuple[int, int]:
        """Tokens that ranking reads, common beginnings once, and those of answers at most."""
        asked = self._prepared(lm, None)
        ranked = sum(map(len, asked.ranked.arranged("packed", lm.context)[0]))
        return ranked, sum(map(len, asked.written.ids)) + sum(asked.caps)

    def _right(self, row: Row, text: str) -> bool:
        if row["probe"] == "fact":
            return self.book.fact(row["fact_id"], row["lang"], text, "default").right
        return self.book.translated(row["fact_id"], row["answer"], text, row["lang"])

    def _written(self, lm: LanguageModel, asked: _Tokenised, token_budget: int | None) -> list[str]:
        budget = token_budget or WorkConfig(device=lm.device.type).generation_budget()
        made = generate_prepared(lm, asked.written, max_new_tokens=asked.caps, token_budget=budget)
        return [one.text for one in made]

    def _ranked(
        self, lm: LanguageModel, asked: _Tokenised, token_budget: int | None
    ) -> list[int | None]:
        budget = token_budget or WorkConfig(device=lm.device.type).scoring_budget()
        scores = iter(score_prepared(lm, asked.ranked, token_budget=budget))
        best: list[int | None] = []
        for answers in asked.ranks:
            own = [one.logprob for one in next(scores)] if answers else []
            best.append(answers[own.index(max(own))] if answers else None)
        return best

    def _prepared(self, lm: LanguageModel, components: Collection[str] | None) -> _Tokenised:
        unknown = sorted(set(components or ()) - set(COMPONENTS))
        if unknown:
            raise ConfigError(f"'{unknown[0]}' cannot be asked; choose of {', '.join(COMPONENTS)}.")
        if self._hash != lm.tokenizer_hash:
            self._tokenised, self._hash = {}, lm.tokenizer_hash
            self._caps = self._longest(lm)
        key = tuple(c for c in COMPONENTS if components is None or c in components)
        if key not in self._tokenised:
            rows = [row | {"component": name} for name in key for row in self.tests[name]]
            self._tokenised[key] = self._tokenise(lm, rows)
        return self._tokenised[key]

    def _tokenise(self, lm: LanguageModel, rows: Sequence[Row]) -> _Tokenised:
        config, form = self.config, self.config.form
        texts = [question(row["prompt"], row["input"], form) + form.between for row in rows]
        ranks, asked = self._candidates(rows, texts)
        return _Tokenised(
            tuple(rows),
            # A model writes the space in front of its answer itself.
            prepare_prompts(lm, [text.rstrip(" ") for text in texts], bos=config.bos),
            tuple(self._caps[row["probe"] != "fact"] for row in rows),
            prepare(lm, asked, bos=config.bos),
            ranks,
        )

    def _candidates(
        self, rows: Sequence[Row], texts: Sequence[str]
    ) -> tuple[tuple[tuple[int, ...], ...], list[Question]]:
        """Answers ranked in each row, and the questions that rank them."""
        ranks: list[tuple[int, ...]] = []
        asked: list[Question] = []
        begun = {lang: stems(self.world, lang) for lang in (self.world.source, self.world.target)}
        for row, text in zip(rows, texts, strict=True):
            stem = begun[row["lang"]].get(row["fact_id"])
            if row["probe"] != "fact" or stem is None or not self.config.rank:
                ranks.append(())
                continue
            answers = self.book.rivals[row["answer"]]
            names = tuple(self.book.objects[answer, row["lang"]] for answer in answers)
            bare = stem.rstrip(" ")
            asked.append(Question(text + bare, stem[len(bare) :], names))
            ranks.append(answers)
        return tuple(ranks), asked

    def _longest(self, lm: LanguageModel) -> tuple[int, int]:
        """Caps of facts and of translations."""
        if self.config.max_new_tokens is not None:
            return (self.config.max_new_tokens,) * 2
        caps = []
        translation = pl.col("block").is_in(["translate_ts", "translate_st"])
        for own, probe in ((~translation, pl.col("probe") == "fact"),
                           (translation, pl.col("probe") != "fact")):  # fmt: skip
            taught = self.world.rows.filter(own)["response"].unique(maintain_order=True).to_list()
            expected = self.world.tests.filter(probe)["expected"].unique(maintain_order=True)
            ids = token_ids(lm.tokenizer, [*taught, *expected], bos=False)
            caps.append(SPARE + max((len(one) for one in ids), default=1))
        return caps[0], caps[1]
