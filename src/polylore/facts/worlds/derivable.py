"""Do facts follow from other facts? Facts of a world must be atomic.

A relation b is called derivable where one of these holds for at least three of four of its
entities, and cannot be chance:

- `determined`: the value of another relation a of the same entity tells it, by majority among the
  *other* entities with that value of a (so a value that only one entity has tells nothing);
- `copied`: its object is written like the object of another relation of the same entity;
- `inverse`: object and subject of the fact are subject and object of another fact.

Chance is a binomial of the share that is right without looking: the commonest value of b.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]

SHARE = 0.75
"""From this share of its entities on, a relation follows from others."""
CHANCE = 1e-3
"""Such a share by chance must be less probable than this, divided by the pairs compared."""


@dataclass(frozen=True)
class Derivable:
    """A relation whose facts follow from others."""

    relation: str
    source: str
    """Relation that they follow from."""
    how: str
    """determined, copied or inverse."""
    share: float
    """Share of its entities."""
    n: int
    """Entities that both relations have."""
    example: str

    @property
    def sentence(self) -> str:
        """One clause for messages."""
        return (
            f"{self.relation} is {self.how} by {self.source} for {self.share:.0%} of {self.n} "
            f"entities ({self.example})"
        )


def derivable(world: World) -> list[Derivable]:
    """Relations whose facts follow from others; never-seen entities do not count."""
    cells = np.flatnonzero(world.population < 3)
    rows = cells[np.unique(world.fact[cells], return_index=True)[1]]
    n_entities = int(world.entity.max()) + 1
    values = np.full((len(world.relations), n_entities), -1)
    values[world.relation[rows], world.entity[rows]] = world.value[rows]
    pairs = max(1, len(world.relations) * (len(world.relations) - 1))
    found = []
    for b, own in enumerate(values):
        for a, other in enumerate(values):
            if a == b:
                continue
            both = (own >= 0) & (other >= 0)
            share, base = _majority(other[both], own[both])
            if _beyond_chance(share, base, int(both.sum()), pairs):
                names = world.relations[b], world.relations[a]
                text = _example(world, rows, b, a)
                found.append(Derivable(*names, "determined", share, int(both.sum()), text))
    return found + _copied(world, cells) + _inverse(world, cells)


def _majority(given: Ids, told: Ids) -> tuple[float, float]:
    """Share told right by the majority of the others with the same given value; and without it."""
    n = len(told)
    if n < 2:
        return 0.0, 1.0
    table = np.zeros((int(given.max()) + 1, int(told.max()) + 1), dtype=np.int64)
    np.add.at(table, (given, told), 1)
    others = table[given]
    others[np.arange(n), told] -= 1
    own = others[np.arange(n), told]
    top = others.max(axis=1)
    right = (own == top) & (top > 0)
    # A tie is decided by a coin.
    share = float((right / (others == top[:, None]).sum(axis=1)).mean())
    return share, float(table.sum(axis=0).max() / n)


def _beyond_chance(share: float, base: float, n: int, pairs: int) -> bool:
    from scipy.stats import binom

    if share < SHARE or n < 2:
        return False
    return bool(binom.sf(np.ceil(share * n - 1e-9) - 1, n, min(base, 1.0)) < CHANCE / pairs)


def _example(world: World, rows: Ids, b: int, a: int) -> str:
    entity = world.entity[rows]
    there = rows[(world.relation[rows] == b) & np.isin(entity, entity[world.relation[rows] == a])]
    fact = world.facts.row(int(there[0]), named=True)
    return f"{fact['subject']}: {fact['object']}"


def _copied(world: World, cells: Ids) -> list[Derivable]:
    told = world.facts[cells].select("relation", "lang", "entity", "subject", "object")
    met = told.join(told, on=["lang", "entity"], suffix="_other").filter(
        pl.col("relation") != pl.col("relation_other")
    )
    return _shares(met, pl.col("object") == pl.col("object_other"), "copied", told)


def _inverse(world: World, cells: Ids) -> list[Derivable]:
    told = world.facts[cells].select("relation", "lang", "entity", "subject", "object")
    met = told.join(
        told,
        left_on=["lang", "subject", "object"],
        right_on=["lang", "object", "subject"],
        suffix="_other",
    ).with_columns(hit=True)
    return _shares(met, pl.col("hit"), "inverse", told)


def _shares(met: pl.DataFrame, hit: pl.Expr, how: str, told: pl.DataFrame) -> list[Derivable]:
    """Pairs of relations whose share of hits is beyond what the commonest object explains."""
    met = met.with_columns(_hit=hit)
    if how == "inverse":
        sizes = told.group_by("relation").agg(n=pl.struct("lang", "entity").n_unique())
        pairs = met.group_by("relation", "relation_other", maintain_order=True).agg(
            hits=pl.col("_hit").sum(), example=pl.format("{}: {}", "subject", "object").first()
        )
        pairs = pairs.join(sizes, on="relation")
    else:
        pairs = met.group_by("relation", "relation_other", maintain_order=True).agg(
            hits=pl.col("_hit").sum(),
            n=pl.len(),
            example=pl.format("{}: {}", "subject", "object").filter(pl.col("_hit")).first(),
        )
    found = []
    for b, a, hits, n, example in pairs.select(
        "relation", "relation_other", "hits", "n", "example"
    ).iter_rows():
        if hits < SHARE * n:
            continue
        own = told.filter(pl.col("relation") == b)
        commonest = own.group_by("lang", "object").len()["len"].to_numpy().max()
        base = float(commonest / own.height)
        if _beyond_chance(hits / n, base, n, max(1, pairs.height)):
            found.append(Derivable(b, a, how, hits / n, n, example))
    return found
