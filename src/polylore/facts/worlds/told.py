"""From arrays of a design to the tables of a world."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import ConfigError
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.design import generator
from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Told:
    """Facts and how they are told; lists and arrays over facts, then languages where both."""

    fact_ids: list[str]
    relations: list[str]
    entity: Ids
    home: Ids
    value: Ids
    block: Ids | None
    """Language that owns the value's block; None without blocks."""
    subjects: Sequence[Sequence[str | None]]
    """[languages][facts]; None where a fact is not told in the language."""
    objects: Sequence[Sequence[str | None]]
    weights: Ids
    """[facts, languages] presentations per epoch."""
    stages: list[Ids]
    """The same for every stage."""


def world_facts(
    config: WorldConfig, told: Told, forms: pl.DataFrame, words: list[str], codes: list[str]
) -> World:
    """The world, with its table of facts; cells not told are left out.

    Raises:
        ConfigError: a wording in which nobody is shown, so that asking with it would be unfair.
    """
    n, languages = len(told.fact_ids), len(codes)
    stages = np.stack(told.stages)
    seen = (stages > 0).any(axis=0)
    count = seen.sum(axis=1)[:, None]
    population = np.where(
        seen,
        np.where(count > 1, "parallel", "mono_seen"),
        np.where(count > 0, "mono_unseen", "never_seen"),
    )
    train, held_out = _templates(config, told.entity)
    code = np.array(codes, dtype=object)
    interleaved = np.array([told.subjects, told.objects], dtype=object).transpose(0, 2, 1)
    facts = pl.DataFrame(
        {
            "fact_id": np.repeat(np.array(told.fact_ids, dtype=object), languages).tolist(),
            "relation": np.repeat(np.array(told.relations, dtype=object), languages).tolist(),
            "lang": np.tile(code, n).tolist(),
            "subject": interleaved[0].ravel().tolist(),
            "object": interleaved[1].ravel().tolist(),
            "entity": np.repeat(told.entity, languages),
            "home_lang": np.repeat(code[told.home], languages).tolist(),
            "owner_block": None
            if told.block is None
            else np.repeat(code[told.block], languages).tolist(),
            "value_index": np.repeat(told.value, languages),
            "population": population.ravel().tolist(),
            "seen": seen.ravel(),
            "weight": told.weights.ravel(),
            "stage_weights": _lists(stages.reshape(len(stages), -1).T),
            "template_ids": _lists(np.repeat(train, languages, axis=0)),
            "eval_template_ids": _lists(np.repeat(held_out, languages, axis=0)),
        }
    ).with_columns(
        aliases=pl.lit([], dtype=pl.List(pl.String())), prompt=pl.lit(""), answer=pl.col("object")
    )
    facts = facts.filter(pl.col("subject").is_not_null())
    bare = World(config, facts, forms, words)
    found = bare.evaluation(np.arange(facts.height))
    first = found.tokens[:: len(found.tokens) // facts.height]
    texts = [bare.text(row) for row in first.tolist()]
    _refuse_untrained_templates(bare)
    return World(config, facts.with_columns(prompt=pl.Series(texts)), forms, words)


def _lists(rows: Ids) -> pl.Series:
    """A column of lists; through an array of fixed width, which is a hundred times faster."""
    return pl.Series(np.ascontiguousarray(rows)).cast(pl.List(pl.Int64()))


def _templates(config: WorldConfig, entity: Ids) -> tuple[Ids, Ids]:
    """[facts, n] wordings of training and of evaluation, the same for all facts of an entity.

    Entities take turns, so every wording is shown with equally many. Evaluation uses the others;
    where there are none, those of training.
    """
    k, shown = config.templates, config.n_train_templates
    start = generator(config, "split", 4).permutation(int(entity.max()) + 1)[entity]
    turns = (start[:, None] + np.arange(k)) % k
    train, held_out = np.sort(turns[:, :shown], axis=1), np.sort(turns[:, shown:], axis=1)
    return train, held_out if shown < k else train


def _refuse_untrained_templates(world: World) -> None:
    """Every wording that asks must have been shown with other entities.

    Raises:
        ConfigError: one was not.
    """
    if world.config.templates == 1 or not world.seen.any():
        return
    shown = np.zeros(world.relation_tokens.shape, dtype=bool)
    rows = np.flatnonzero(world.seen)
    columns = (world.relation[rows][:, None], world.lang[rows][:, None])
    shown[(*columns, world.train_templates[rows])] = True
    held = np.flatnonzero(world.population == 2)
    asked = shown[
        world.relation[held][:, None], world.lang[held][:, None], world.eval_templates[held]
    ]
    if not asked.all():
        raise ConfigError(
            f"templates: {int((~asked).sum())} held-out prompts use a wording that training shows "
            "in that language with no entity at all; use fewer templates or more entities."
        )
