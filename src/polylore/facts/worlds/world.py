"""A world: facts told in several languages, and every prompt that training and evaluation use.

Everything follows from the configuration and two tables (contracts `tables.worlds`); the arrays
below are views of them. A *cell* is a fact in a language, numbered by its row in `facts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.config import digest
from polylore.errors import ConfigError
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.cue_config import CueConfig
from polylore.facts.worlds.cues import Cue, make_cue
from polylore.tables.worlds import WORLD_FACTS, WORLD_FORMS

if TYPE_CHECKING:
    from polylore.facts.worlds.stream import Stream

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

POPULATIONS = ("parallel", "mono_seen", "mono_unseen", "never_seen")
"""Populations of cells, never merged; `mono_unseen` is X, the held-out cells."""


@dataclass(frozen=True, eq=False)
class Renderings:
    """Evaluation prompts, those of a cell one behind the other; m prompts in all."""

    tokens: Ids
    """[m, prompt length]."""
    cell: Ids
    """[m] row of `World.facts`."""
    cue_draw: Ids
    """[m] number of the cue among those of evaluation."""
    template: Ids
    """[m] wording."""
    gold: Ids
    """[m, value_len] tokens of the right answer."""


@dataclass(frozen=True, eq=False)
class World:
    """A world; made by `make_world` or `load_world`."""

    config: WorldConfig
    facts: pl.DataFrame
    """Contract `tables.worlds.WORLD_FACTS`; rows in the order of cells."""
    forms: pl.DataFrame
    """Contract `tables.worlds.WORLD_FORMS`."""
    words: list[str]
    """The vocabulary: word of every token id."""
    leaky: bool = False
    """Made although held-out prompts are in training, or facts follow from one another."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", WORLD_FACTS.validate(self.facts))
        object.__setattr__(self, "forms", WORLD_FORMS.validate(self.forms))

    @cached_property
    def world_hash(self) -> str:
        """SHA-256 of the canonical configuration (seeds resolved) and of both tables."""
        tables = [frame.write_ndjson() for frame in (self.facts, self.forms)]
        return digest([self.config.canonical(), *tables])

    @cached_property
    def languages(self) -> list[str]:
        """Language codes, in the order of their numbers."""
        return self.forms["lang"].unique(maintain_order=True).to_list()

    @cached_property
    def relations(self) -> list[str]:
        """Relations, in the order of their numbers."""
        return self.forms["relation"].unique(maintain_order=True).to_list()

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token id of every word."""
        return {word: number for number, word in enumerate(self.words)}

    def _numbers(self, column: str, names: Sequence[str]) -> Ids:
        order = {name: number for number, name in enumerate(names)}
        found = self.facts[column].replace_strict(order, default=-1, return_dtype=pl.Int64)
        return found.to_numpy().copy()

    def _lists(self, column: str) -> Ids:
        """[cells, length] a column of equally long lists."""
        return self.facts[column].explode().to_numpy().reshape(self.facts.height, -1)

    @cached_property
    def lang(self) -> Ids:
        """[cells] number of the language."""
        return self._numbers("lang", self.languages)

    @cached_property
    def home(self) -> Ids:
        """[cells] number of the home language."""
        return self._numbers("home_lang", self.languages)

    @cached_property
    def relation(self) -> Ids:
        """[cells] number of the relation."""
        return self._numbers("relation", self.relations)

    @cached_property
    def population(self) -> Ids:
        """[cells] position in `POPULATIONS`."""
        return self._numbers("population", POPULATIONS)

    @cached_property
    def entity(self) -> Ids:
        """[cells] number of the entity."""
        return self.facts["entity"].to_numpy().copy()

    @cached_property
    def fact_ids(self) -> list[str]:
        """Facts, in the order of their numbers."""
        return self.facts["fact_id"].unique(maintain_order=True).to_list()

    @cached_property
    def fact(self) -> Ids:
        """[cells] number of the fact."""
        return self._numbers("fact_id", self.fact_ids)

    @cached_property
    def cell_of(self) -> Ids:
        """[facts, languages] the cell, -1 where a hand-made fact is not told in a language."""
        found = np.full((len(self.fact_ids), len(self.languages)), -1)
        found[self.fact, self.lang] = np.arange(len(self.fact))
        return found

    @cached_property
    def value(self) -> Ids:
        """[cells] number of the value within its relation."""
        return self.facts["value_index"].to_numpy().copy()

    @cached_property
    def seen(self) -> Flags:
        """[cells] whether training shows the cell (S)."""
        return self.facts["seen"].to_numpy().copy()

    @cached_property
    def weight(self) -> Ids:
        """[cells] presentations per epoch (w), 0 where not shown."""
        return self.facts["weight"].to_numpy().copy()

    @cached_property
    def stage_weights(self) -> Ids:
        """[stages, cells] presentations per epoch of every stage."""
        return self._lists("stage_weights").T

    def cells(self, population: str, lang: int | None = None) -> Ids:
        """Cells of a population, in all languages or in one.

        Raises:
            ConfigError: no such population.
        """
        if population not in POPULATIONS:
            raise ConfigError(f"No population {population}; choose {', '.join(POPULATIONS)}.")
        there = self.population == POPULATIONS.index(population)
        return np.flatnonzero(there if lang is None else there & (self.lang == lang))

    def _tokens(self, texts: Sequence[str]) -> Ids:
        """[texts, tokens] of texts with equally many words."""
        return np.array([[self.ids[word] for word in text.split(" ")] for text in texts])

    @cached_property
    def name_tokens(self) -> Ids:
        """[cells, name_len] tokens of the subject."""
        return self._tokens(self.facts["subject"].to_list())

    @cached_property
    def answer_tokens(self) -> Ids:
        """[cells, value_len] tokens of the right answer."""
        return self._tokens(self.facts["object"].to_list())

    @cached_property
    def relation_tokens(self) -> Ids:
        """[relations, languages, templates] token of every wording."""
        return self._forms("relation")[..., 0]

    @cached_property
    def value_tokens(self) -> Ids:
        """[relations, languages, V, value_len]; V is the largest number of values of a relation.

        -1 where a relation of a hand-made world has fewer values, or no form of one in a language.
        """
        return self._forms("value")

    def _forms(self, kind: str) -> Ids:
        rows = self.forms.filter(pl.col("kind") == kind)
        tokens = self._tokens(rows["text"].to_list())
        shape = (len(self.relations), len(self.languages), int(rows["number"].max()) + 1)  # type: ignore[arg-type]
        found = np.full((*shape, tokens.shape[1]), -1)
        relation = {name: number for number, name in enumerate(self.relations)}
        lang = {name: number for number, name in enumerate(self.languages)}
        for (r, number, code), own in zip(
            rows.select("relation", "number", "lang").iter_rows(), tokens, strict=True
        ):
            found[relation[r], lang[code], number] = own
        return found

    @cached_property
    def value_owner(self) -> Ids | None:
        """[V] language that owns each value; None in hand-made worlds, which have no blocks."""
        if self.config.facts is not None:
            return None
        return np.arange(self.config.values) // (self.config.values // len(self.languages))

    @cached_property
    def train_templates(self) -> Ids:
        """[cells, templates in training] wordings in which training shows the entity."""
        return self._lists("template_ids")

    @cached_property
    def eval_templates(self) -> Ids:
        """[cells, templates in evaluation] wordings in which the entity is tested."""
        return self._lists("eval_template_ids")

    @cached_property
    def cue(self) -> Cue:
        """The cue of evaluation and, without a curriculum of cues, of training."""
        return self._cue(self.config.cue)

    @cached_property
    def stage_cues(self) -> list[Cue]:
        """The cue of training in every stage."""
        stages = self.config.curriculum
        own = [self._cue(stage.cue) if stage.cue else self.cue for stage in stages]
        return own or [self.cue]

    def _cue(self, config: CueConfig) -> Cue:
        return make_cue(config, len(self.languages), self.ids, self.config.seed_of("eval"))

    @property
    def name_len(self) -> int:
        """Tokens of a name."""
        return int(self.name_tokens.shape[1])

    @property
    def value_len(self) -> int:
        """Tokens of a value."""
        return int(self.answer_tokens.shape[1])

    @property
    def name_span(self) -> tuple[int, int]:
        """First position of the name and the one behind its last; the relation stands there."""
        return self.cue.length, self.cue.length + self.name_len

    @property
    def prompt_len(self) -> int:
        """Tokens of a prompt: cue, name, relation; the last one is the answer position."""
        return self.cue.length + self.name_len + 1

    @property
    def sequence_len(self) -> int:
        """Tokens of a sample: prompt and value."""
        return self.prompt_len + self.value_len

    def rows(self, cells: Ids, template: Ids, cue: Ids) -> Ids:
        """[n, sequence length] samples: cue, name, relation, value.

        Args:
            cells: [n].
            template: [n] wordings.
            cue: [n, cue length] tokens.
        """
        relation = self.relation_tokens[self.relation[cells], self.lang[cells], template]
        return np.concatenate(
            [cue, self.name_tokens[cells], relation[:, None], self.answer_tokens[cells]], axis=1
        )

    def evaluation(self, cells: Ids) -> Renderings:
        """Every evaluation prompt of the cells [n]: all cue draws times all held-out wordings."""
        cells = np.asarray(cells, dtype=np.int64)
        draws, templates = self.cue.shown.shape[1], self.eval_templates.shape[1]
        cell = np.repeat(cells, draws * templates)
        draw = np.tile(np.repeat(np.arange(draws), templates), len(cells))
        which = np.tile(np.arange(templates), len(cells) * draws)
        template = self.eval_templates[cell, which]
        rows = self.rows(cell, template, self.cue.shown[self.lang[cell], draw])
        return Renderings(
            rows[:, : self.prompt_len], cell, draw, template, rows[:, self.prompt_len :]
        )

    def switches(self, cells: Ids) -> list[tuple[Ids, Floats]]:
        """Who lends the tokens of names or of relation words: code-switching, by probability.

        Returns:
            Per language: [n] cells of the same facts, and [n] probability that their tokens tell
            `cells`; 0 where a fact is not shown in that language.
        """
        share = self.config.code_switch
        if not share:
            return [(cells, np.ones(len(cells)))]
        siblings = self.cell_of[self.fact[cells]]
        legal = (siblings >= 0) & self.seen[siblings]
        others = legal.sum(axis=1)[:, None] - 1
        own = siblings == cells[:, None]
        each = np.where(own, 1 - share * (others > 0), share / np.maximum(others, 1)) * legal
        siblings = np.where(legal, siblings, cells[:, None])
        return list(zip(siblings.T, each.T, strict=True))

    def text(self, tokens: Sequence[int] | Ids) -> str:
        """Tokens as words with spaces between."""
        return " ".join(self.words[int(token)] for token in tokens)

    def steps_for(self, presentations: float, batch_size: int) -> int:
        """Training steps that give `presentations` per cell or, in mode `fact`, per fact.

        In mode `dup` it is the count of cells that are not shown oftener.
        """
        several = self.config.parallel_langs or len(self.languages)
        epochs = presentations / (several if self.config.exposure == "fact" else 1)
        return max(1, round(epochs * int(self.weight.sum()) / batch_size))

    def stream(self, batch_size: int) -> "Stream":
        """The training stream.

        Raises:
            ConfigError: the batch size is below 1, or nothing is shown in training.
        """
        from polylore.facts.worlds.stream import Stream

        return Stream(self, batch_size)
