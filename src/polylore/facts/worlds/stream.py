"""The training stream: which batch every step sees, as a function of the step alone.

Each epoch is a fresh permutation of all presentations; an incomplete last batch is dropped. With
fewer presentations than a batch, permutations follow each other instead. Cues, wordings and
code-switches are drawn afresh for every presentation (specification of `unify`, section 4.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import ConfigError

if TYPE_CHECKING:
    from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step is trained on; the last `value_len` tokens of each row are the answer."""

    tokens: Ids
    """[batch, sequence length]."""
    cell: Ids
    """[batch] row of `World.facts`."""
    pad: Ids | None = None
    """[batch] tokens of padding at the end of each row; None where all rows are equally long."""
    before: Ids | None = None
    """[batch] cell that is told first in the same row, -1 for none; None where no row tells two."""


class Stream:
    """Batches by step, from step 1 on; stages of a curriculum follow each other."""

    def __init__(self, world: "World", batch_size: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"The batch size must be at least 1, not {batch_size}.")
        self.world, self.batch_size = world, batch_size
        self._presentations = [
            np.repeat(np.arange(len(weights)), weights) for weights in world.stage_weights
        ]
        for number, shown in enumerate(self._presentations):
            if not len(shown):
                raise ConfigError(
                    f"Stage {number + 1} of the curriculum shows no fact; change what it shows."
                )
        steps = [stage.steps for stage in world.config.curriculum][:-1]
        self._starts = np.cumsum([0, *steps])
        """Steps done before each stage."""
        self._order: dict[tuple[int, int], Ids] = {}
        self._clean = world.rows(
            np.arange(len(world.fact)),
            world.train_templates[:, 0],
            np.zeros((len(world.fact), world.cue.length), dtype=np.int64),
        )
        """Sample of every cell without its cue, in its first wording."""

    def stage(self, step: int) -> int:
        """Number of the stage that a step belongs to."""
        return int(np.searchsorted(self._starts, step - 1, side="right")) - 1

    def epoch_size(self, stage: int = 0) -> int:
        """Presentations per epoch (K)."""
        return len(self._presentations[stage])

    def cells(self, step: int) -> Ids:
        """[batch] cells that a step presents.

        Raises:
            ConfigError: steps are counted from 1.
        """
        if step < 1:
            raise ConfigError(f"Training steps are counted from 1, so there is no step {step}.")
        stage = self.stage(step)
        done, size = step - 1 - int(self._starts[stage]), self.batch_size
        total = self.epoch_size(stage)
        if total >= size:
            epoch, place = divmod(done, total // size)
            return self._permutation(stage, epoch)[place * size : (place + 1) * size]
        epoch, first = divmod(done * size, total)
        n = -(-(first + size) // total)
        orders = [self._permutation(stage, epoch + k) for k in range(n)]
        return np.concatenate(orders)[first : first + size]

    def _permutation(self, stage: int, epoch: int) -> Ids:
        key = (stage, epoch)
        if key not in self._order:
            if len(self._order) > 8 + self.batch_size // self.epoch_size(stage):
                self._order.clear()
            seeds = np.random.SeedSequence(self.world.config.seed_of("order"), spawn_key=key)
            order = np.random.default_rng(seeds).permutation(self._presentations[stage])
            self._order[key] = order
        return self._order[key]

    def batch(self, step: int) -> Batch:
        """The batch of a step; it depends on nothing but the world, the batch size and the step."""
        world, cells, rng = self.world, self.cells(step), self._generator(step)
        tokens = self._told(cells, step, rng)
        if not world.config.concatenate:
            return Batch(tokens, cells)
        others = self._other_languages(cells, rng)
        two = (others >= 0) & (rng.random(len(cells)) < world.config.concatenate)
        first = self._told(np.where(two, others, cells), step, rng)
        rows = np.where(
            two[:, None],
            np.concatenate([first, tokens], axis=1),
            np.concatenate([tokens, np.zeros_like(tokens)], axis=1),
        )
        pad = np.where(two, 0, world.sequence_len)
        return Batch(rows, cells, pad, np.where(two, others, -1))

    def samples(self, step: int) -> Ids:
        """[batch, sequence length] what a step tells of its cells, without what stands before."""
        return self._told(self.cells(step), step, self._generator(step))

    @property
    def row_tokens(self) -> int:
        """Tokens of a row, padding included."""
        return self.world.sequence_len * (2 if self.world.config.concatenate else 1)

    def _generator(self, step: int) -> np.random.Generator:
        seed = self.world.config.seed_of("cue")
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(step,)))

    def _told(self, cells: Ids, step: int, rng: np.random.Generator) -> Ids:
        """Samples of cells, with cues, wordings and code-switches drawn for them."""
        world = self.world
        tokens, lang = self._clean[cells], world.lang[cells]
        tokens[:, : world.cue.length] = world.stage_cues[self.stage(step)].draw(rng, lang)
        first, relation = world.name_span
        choices = world.train_templates.shape[1]
        template = world.train_templates[cells, 0]
        if choices > 1:
            template = world.train_templates[cells, rng.integers(choices, size=len(cells))]
            tokens[:, relation] = world.relation_tokens[world.relation[cells], lang, template]
        if world.config.code_switch:
            others = self._other_languages(cells, rng)
            names, words = rng.random((2, len(cells))) < world.config.code_switch
            told = np.where(names & (others >= 0), others, cells)
            tokens[:, first:relation] = world.name_tokens[told]
            told = np.where(words & (others >= 0), others, cells)
            tokens[:, relation] = world.relation_tokens[
                world.relation[cells], world.lang[told], template
            ]
        return tokens

    def _other_languages(self, cells: Ids, rng: np.random.Generator) -> Ids:
        """[n] the same facts in another language that training shows too; -1 if there is none."""
        world = self.world
        siblings = world.cell_of[world.fact[cells]]
        legal = (siblings >= 0) & world.seen[siblings] & (siblings != cells[:, None])
        pick = (rng.random(siblings.shape) * legal).argmax(axis=1)
        rows = np.arange(len(cells))
        return np.where(legal[rows, pick], siblings[rows, pick], -1)

    def exposure(self, steps: Sequence[int]) -> pl.DataFrame:
        """Presentations of every seen cell up to and including each of the steps.

        A row that tells two cells presents both.

        Returns:
            Columns fact_id, lang, step, tokens (read so far, with padding), count, exposure_kind
            (`exact`); E(., 0) = 0.
        """
        world, frames = self.world, []
        counts = np.zeros(len(world.fact), dtype=np.int64)
        shown = np.flatnonzero(world.seen)
        facts = world.facts[shown].select("fact_id", "lang")
        done = 0
        for step in sorted(set(steps)):
            for one in range(done + 1, step + 1):
                np.add.at(counts, self._presented(one), 1)
            done = max(done, step)
            frames.append(
                facts.with_columns(
                    step=pl.lit(step, dtype=pl.Int64()),
                    tokens=pl.lit(step * self.batch_size * self.row_tokens, dtype=pl.Int64()),
                    count=pl.Series(counts[shown]),
                    exposure_kind=pl.lit("exact"),
                )
            )
        return pl.concat(frames)

    def _presented(self, step: int) -> Ids:
        """Cells that a step presents, those told before others included."""
        if not self.world.config.concatenate:
            return self.cells(step)
        batch = self.batch(step)
        before = np.zeros(0, dtype=np.int64) if batch.before is None else batch.before
        return np.concatenate([batch.cell, before[before >= 0]])
