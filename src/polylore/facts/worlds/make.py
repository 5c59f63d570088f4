"""Making a world from its configuration."""

from dataclasses import replace

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.derivable import derivable
from polylore.facts.worlds.design import (
    Grid,
    draw_homes,
    draw_seen,
    draw_stages,
    draw_values,
    draw_weights,
    generator,
)
from polylore.facts.worlds.handmade import read_world
from polylore.facts.worlds.leaks import check_leaks, refuse_leaks
from polylore.facts.worlds.told import Told, world_facts
from polylore.facts.worlds.vocabulary import Ids, Vocabulary, make_vocabulary
from polylore.facts.worlds.world import World

PRIVATE = [f"qa{letter}" for letter in "abcdefgh"]
"""Codes of drawn languages: those that BCP 47 keeps for private use."""


def make_world(
    config: WorldConfig, *, steps: int | None = None, batch_size: int | None = None
) -> World:
    """Draw a world, or read a hand-made one, and check that nothing held out is given away.

    Args:
        config: the knobs.
        steps: training steps that are planned, if known; only messages use them.
        batch_size: presentations per step, likewise.

    Raises:
        ConfigError: a knob that cannot be meant as it stands, or held-out prompts in training.
        DataError: hand-made facts that contradict each other, or follow from one another.
    """
    world = draw_world(config) if config.facts is None else read_world(config)
    follow = derivable(world)
    if follow and not config.allow_leak:
        raise DataError(
            f"Facts of the world follow from one another: {follow[0].sentence}"
            f"{f', and {len(follow) - 1} more' if len(follow) > 1 else ''}. Leave one of the "
            "relations out; allow_leak: true makes the world all the same, marked leaky."
        )
    leaks = check_leaks(world)
    if not config.allow_leak:
        refuse_leaks(leaks, steps, batch_size)
    return replace(world, leaky=bool(follow) or not leaks.clean)


def draw_world(config: WorldConfig) -> World:
    """Draw a world; it is not checked for leaks.

    Raises:
        ConfigError: a knob that cannot be meant as it stands.
    """
    grid = Grid.of(config)
    home = draw_homes(config, grid)
    seen = draw_seen(config, grid, home, config.p)
    weights = draw_weights(config, grid, home, seen)
    stages = draw_stages(config, grid, home, seen, weights)
    value = draw_values(config, grid, home)
    vocabulary = make_vocabulary(config)
    codes = PRIVATE[: config.languages]
    names = _names(config, vocabulary)
    words = np.array(vocabulary.words, dtype=object)
    forms = _forms(config, vocabulary, codes)
    told = Told(
        fact_ids=[f"e{e:04d}.r{r}" for e, r in zip(grid.entity, grid.relation, strict=True)],
        relations=[f"r{r}" for r in grid.relation],
        entity=grid.entity,
        home=home,
        value=value,
        block=value // (config.values // config.languages),
        subjects=_told(config, _join(words[names[:, grid.entity]])),
        objects=_told(config, _join(words[vocabulary.values[:, grid.relation, value]])),
        weights=weights,
        stages=stages,
    )
    return world_facts(config, told, forms, vocabulary.words, codes)


def _told(config: WorldConfig, texts: list[list[str]]) -> list[list[str | None]]:
    """Texts [languages][facts]; none in languages that nothing is told in."""
    return [
        [None] * len(own) if lang in config.silent else list(own) for lang, own in enumerate(texts)
    ]


def _names(config: WorldConfig, vocabulary: Vocabulary) -> Ids:
    """[languages, entities, name_len] tokens of every name."""
    n, k = config.entities + config.never_seen, config.name_len
    if k == 1:
        return vocabulary.names[:, :, None]
    rng, spellings = generator(config, "world", 2), []
    for _ in range(config.languages if config.name_map == "scrambled" else 1):
        spellings.append(_distinct(rng, config.name_pool, k, n))
    return np.stack(
        [
            vocabulary.names[lang][spellings[lang % len(spellings)]]
            for lang in range(config.languages)
        ]
    )


def _distinct(rng: np.random.Generator, letters: int, k: int, n: int) -> Ids:
    """[n, k] distinct tuples of letters, uniform among all; the first are those of few names."""
    if letters**k <= 1 << 22:
        numbers = rng.permutation(letters**k)[:n]
    else:
        numbers = np.zeros(0, dtype=np.int64)
        while len(numbers) < n:
            drawn = np.concatenate([numbers, rng.integers(letters**k, size=n)])
            numbers = drawn[np.sort(np.unique(drawn, return_index=True)[1])][:n]
    found: Ids = numbers[:, None] // letters ** np.arange(k)[::-1] % letters
    return found


def _join(words: np.ndarray) -> list[list[str]]:
    """[languages][facts] texts of words [languages, facts, length]."""
    return [[" ".join(row) for row in own] for own in words]


def _forms(config: WorldConfig, vocabulary: Vocabulary, codes: list[str]) -> pl.DataFrame:
    rows = []
    for r in range(config.relations):
        for lang, code in enumerate(codes):
            for k, token in enumerate(vocabulary.relations[lang, r]):
                rows.append(("relation", f"r{r}", k, code, vocabulary.words[token]))
            for v, tokens in enumerate(vocabulary.values[lang, r]):
                text = " ".join(vocabulary.words[token] for token in tokens)
                rows.append(("value", f"r{r}", v, code, text))
    columns = ["kind", "relation", "number", "lang", "text"]
    return pl.DataFrame(rows, schema=columns, orient="row")
