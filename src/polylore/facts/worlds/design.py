"""Who knows what in which language: homes, parallel facts, values and presentations.

Formulas: specification of `unify`, sections 2.1 and 2.2. A *unit* is what is parallel as a whole:
an entity, a fact or a relation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.facts.worlds.config import StageConfig, WorldConfig

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """The facts before anything is decided; all arrays [facts]."""

    entity: Ids
    relation: Ids
    shown: Flags
    """Whether the fact may be shown in training; the others are controls."""

    @classmethod
    def of(cls, config: WorldConfig) -> "Grid":
        """Every relation of every entity, those that are never seen last."""
        n = config.entities + config.never_seen
        entity = np.repeat(np.arange(n), config.relations)
        return cls(entity, np.tile(np.arange(config.relations), n), entity < config.entities)


def generator(config: WorldConfig, seed: str, purpose: int) -> np.random.Generator:
    """An independent generator for each purpose, so that one knob leaves other draws alone."""
    return np.random.default_rng(
        np.random.SeedSequence(config.seed_of(seed), spawn_key=(0, purpose))
    )


def apportion(n: int, shares: Sequence[float] | Floats) -> Ids:
    """Split n by shares, largest remainder; ties go to the first."""
    exact = n * np.asarray(shares, dtype=float) / np.sum(shares)
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: n - counts.sum()]] += 1
    return counts


def rounded(x: float) -> int:
    """The nearest integer, halves upwards."""
    return int(np.floor(x + 0.5 + 1e-9))


def home_shares(config: WorldConfig) -> Floats:
    """Share of homes per language [languages]."""
    return np.array(config.ratio or [1 / config.languages] * config.languages)


def draw_homes(config: WorldConfig, grid: Grid) -> Ids:
    """Home language of every fact: of its entity, or its own in a fact split."""
    rng = generator(config, "world", 0)
    by_fact = config.split == "fact"
    owner = np.arange(len(grid.entity)) if by_fact else grid.entity
    shown = np.zeros(owner.max() + 1, dtype=bool)
    shown[owner] = grid.shown
    homes = np.empty(len(shown), dtype=np.int64)
    for part in (shown, ~shown):
        counts = apportion(int(part.sum()), home_shares(config))
        homes[part] = rng.permutation(np.repeat(np.arange(config.languages), counts))
    found: Ids = homes[owner]
    return found


def draw_values(config: WorldConfig, grid: Grid, home: Ids) -> Ids:
    """Value of every fact: from the block of its home with probability `lam`, else from all."""
    rng = generator(config, "world", 1)
    n, size = len(grid.entity), config.values // config.languages
    block = np.where(rng.random(n) < config.lam, home, rng.integers(config.languages, size=n))
    within = rng.choice(size, size=n, p=block_prior(config))
    found: Ids = block * size + within
    return found


def block_prior(config: WorldConfig) -> Floats:
    """Prior within a block; equal in all blocks, so that lam = 0 says nothing about a language."""
    ranks = np.arange(1, config.values // config.languages + 1, dtype=float)
    weights: Floats = ranks**-config.prior_exponent
    weights /= weights.sum()
    return weights


def draw_seen(config: WorldConfig, grid: Grid, home: Ids, p: float) -> Flags:
    """Which cells [facts, languages] are shown if the share p of units is parallel.

    The count of parallel units is exact and in proportion to homes; the units of a smaller p are
    among those of a larger one.
    """
    unit = {"entity": grid.entity, "fact": np.arange(len(home)), "relation": grid.relation}
    own = unit[config.split]
    n = int(own.max()) + 1
    rng = generator(config, "split", 0)
    rank = rng.permutation(n)
    rows = grid.shown
    parallel = np.zeros(n, dtype=bool)
    if config.split == "relation":
        parallel[np.argsort(rank)[: rounded(p * n)]] = True
    else:
        homes = np.full(n, -1)
        homes[own[rows]] = home[rows]
        sizes = [int((homes == lang).sum()) for lang in range(config.languages)]
        for lang, count in enumerate(apportion(rounded(p * sum(sizes)), sizes)):
            there = np.flatnonzero(homes == lang)
            parallel[there[np.argsort(rank[there])][:count]] = True
    # A parallel unit is shown at home and in the languages of the lowest numbers drawn.
    numbers = rng.random((n, config.languages))[own]
    numbers[np.arange(len(home)), home] = -1.0
    order = numbers.argsort(axis=1).argsort(axis=1)
    in_all = order < (config.parallel_langs or config.languages)
    found: Flags = np.where(parallel[own][:, None], in_all, order == 0) & grid.shown[:, None]
    return found


def draw_weights(config: WorldConfig, grid: Grid, home: Ids, seen: Flags) -> Ids:
    """Presentations per epoch [facts, languages] by exposure mode and rank of the entity."""
    weights = seen.astype(np.int64)
    if config.exposure == "fact":
        several = seen.sum(axis=1) > 1
        weights[~several] *= config.parallel_langs or config.languages
    n = int(grid.entity.max()) + 1
    homes = np.full(n, -1)
    homes[grid.entity[grid.shown]] = home[grid.shown]
    if config.exposure == "dup":
        sizes = [int((homes == lang).sum()) for lang in range(config.languages)]
        rank = generator(config, "split", 1).permutation(n)
        chosen = np.zeros(n, dtype=bool)
        for lang, count in enumerate(apportion(rounded(config.delta * sum(sizes)), sizes)):
            there = np.flatnonzero(homes == lang)
            chosen[there[np.argsort(rank[there])][:count]] = True
        weights[chosen[grid.entity]] *= config.languages
    if config.zipf_alpha:
        there = np.flatnonzero(homes >= 0)
        rank = 1 + generator(config, "split", 2).permutation(len(there))
        by_rank = np.ones(n, dtype=np.int64)
        relative = (rank / len(there)) ** -config.zipf_alpha
        by_rank[there] = np.floor(relative + 0.5).astype(np.int64)
        weights *= by_rank[grid.entity][:, None]
    return weights


def draw_stages(config: WorldConfig, grid: Grid, home: Ids, seen: Flags, weights: Ids) -> list[Ids]:
    """Presentations per epoch of every stage, each [facts, languages]."""
    if not config.curriculum:
        return [weights]
    several = (seen.sum(axis=1) > 1)[:, None]
    return [_stage(config, grid, home, several, stage, weights) for stage in config.curriculum]


def _stage(
    config: WorldConfig,
    grid: Grid,
    home: Ids,
    several: Flags,
    stage: StageConfig,
    weights: Ids,
) -> Ids:
    n = int(grid.entity[grid.shown].max()) + 1
    early = np.zeros(int(grid.entity.max()) + 1, dtype=bool)
    early[:n] = generator(config, "split", 3).permutation(n) < rounded(stage.entities * n)
    shown = grid.shown & early[grid.entity]
    found: Ids = weights * np.where(several, stage.weight_parallel, stage.weight_mono)
    found = found * shown[:, None]
    if stage.show != "all":
        found = found * (several == (stage.show == "parallel"))
    if stage.p is not None:
        found = found * draw_seen(config, grid, home, stage.p)
    return found
