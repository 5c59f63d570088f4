"""Which facts and entities of a world are compared across languages: fixed, seeded samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polylore.facts.worlds import World
from polylore.metrics.unification import Items

Ids = NDArray[np.int64]
_HOLDS = {"mono": "mono_unseen", "parallel": "parallel", "never_seen": "never_seen"}
"""A fact belongs to a sample if one of its cells is of this population; one told in some of the
languages, but not in all, is parallel, although it has held-out cells."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Items, each with one prompt per language."""

    kind: str
    """fact: states at every position; entity: states at the last token of the name."""
    population: str
    """mono, parallel or never_seen."""
    facts: Ids
    """[n] number of the fact."""
    prompts: Ids
    """[n, languages, prompt length] an evaluation prompt of each, with a cue drawn for it."""
    positions: tuple[int, ...]
    """Positions whose states are compared."""
    items: Items

    def __len__(self) -> int:
        return len(self.facts)


def facts_of(world: World, population: str) -> Ids:
    """Facts of a sample's population that are told in every language, ascending."""
    facts = np.unique(world.fact[world.cells(_HOLDS[population])])
    if population == "mono":
        facts = np.setdiff1d(facts, world.fact[world.cells("parallel")])
    return facts[(world.cell_of[facts] >= 0).all(axis=1)]


def first_prompts(world: World, cells: Ids, rng: np.random.Generator | None = None) -> Ids:
    """[*cells, prompt length] an evaluation prompt of every cell, in its first wording.

    With `rng` each has a cue of its own, drawn among those of evaluation: with one cue for all, a
    language hidden in two bits, or in many synonyms, would be written on a single token.
    """
    flat = world.evaluation(cells.ravel())
    draws, wordings = world.cue.shown.shape[1], world.eval_templates.shape[1]
    chosen = (
        np.zeros(cells.size, dtype=np.int64)
        if rng is None
        else rng.integers(draws, size=cells.size)
    )
    at = (np.arange(cells.size) * draws + chosen) * wordings
    found: Ids = flat.tokens[at].reshape(*cells.shape, world.prompt_len)
    return found


def draw(world: World, kind: str, population: str, n: int, *, number: int = 0) -> Sample:
    """Draw up to n facts, or entities.

    Args:
        world: the world.
        kind: fact or entity.
        population: mono, parallel or never_seen.
        n: most items.
        number: 0, or another number for another sample of the same.
    """
    facts = facts_of(world, population)
    if kind == "entity":
        entity = world.entity[world.cell_of[facts, 0]]
        facts = facts[np.sort(np.unique(entity, return_index=True)[1])]
    seeds = np.random.SeedSequence(world.config.seed_of("eval"), spawn_key=(1, number))
    rng = np.random.default_rng(seeds)
    chosen = np.sort(rng.permutation(facts)[:n])
    cells = world.cell_of[chosen]
    prompts = first_prompts(world, cells, rng)
    last = world.name_span[1] - 1
    home = cells[:, 0]
    items = Items(
        fact_ids=[world.fact_ids[f] for f in chosen],
        entities=[str(e) for e in world.entity[home]],
        relation_N=world.relation[home],
        value_N=world.value[home],
        tokens_NLT=prompts,
    )
    positions = (last,) if kind == "entity" else tuple(range(world.prompt_len))
    return Sample(kind, population, chosen, prompts, positions, items)


def samples(world: World, n: int, *, populations: bool) -> list[Sample]:
    """The headline sample first: held-out facts, or parallel ones where nothing is held out.

    Args:
        world: the world.
        n: most items of each.
        populations: whether the other populations are wanted as well.
    """
    there = [name for name in _HOLDS if len(facts_of(world, name))]
    there = there if populations else there[:1]
    return [draw(world, kind, name, n) for name in there for kind in ("fact", "entity")]
