"""How much facts say about the language they are told in: design, plug-in, corrected, null.

Source: specification of `unify`, section 2.3; all in bits.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.design import block_prior, generator, home_shares, rounded
from polylore.facts.worlds.information import miller_madow, plug_in, presented
from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

SHUFFLES = 200
"""Shuffles of home languages behind the null."""


def language_given_home(config: WorldConfig, p: float | None = None) -> Floats:
    """pi(l, h): share of presentations in language l about home h, [languages, homes]; sum 1.

    Closed form for the split by entity or fact without a curriculum.
    """
    p = config.p if p is None else p
    languages = config.languages
    several = config.parallel_langs or languages
    away = p * (several - 1) / (languages - 1)
    at_home = p + (1 - p) * (several if config.exposure == "fact" else 1)
    if config.exposure == "dup":
        away, at_home = 0.0, 1.0
    pattern = np.where(np.eye(languages, dtype=bool), at_home, away) * home_shares(config)
    found: Floats = pattern / pattern.sum()
    return found


def attribute_joint(config: WorldConfig, pi: Floats) -> Floats:
    """P(v, l) [values, languages] by design, given pi."""
    prior = np.tile(block_prior(config), config.languages) / config.languages
    owner = np.repeat(np.arange(config.languages), config.values // config.languages)
    own = owner[:, None] == np.arange(config.languages)
    given_home = prior[:, None] * (config.lam * config.languages * own + 1 - config.lam)
    found: Floats = given_home @ pi.T
    return found


def design_joints(world: World) -> list[tuple[float, Floats]] | None:
    """Distributions P(v, l) by design and their shares among relations; None if hand-made.

    A curriculum has no closed form; then pi is that of the presentations themselves.
    """
    config = world.config
    if config.facts is not None:
        return None
    if config.curriculum:
        return [
            (1 / len(world.relations), attribute_joint(config, pi))
            for pi in _realised_pi(world)
            if pi.any()
        ]
    if config.split != "relation":
        return [(1.0, attribute_joint(config, language_given_home(config)))]
    parallel = rounded(config.p * config.relations) / config.relations
    kinds = ((parallel, 1.0), (1 - parallel, 0.0))
    return [
        (share, attribute_joint(config, language_given_home(config, p)))
        for share, p in kinds
        if share > 0
    ]


def _realised_pi(world: World) -> Floats:
    """[relations, languages, homes] shares of presentations."""
    n = len(world.languages)
    found = np.zeros((len(world.relations), n, n))
    np.add.at(found, (world.relation, world.lang, world.home), presented(world))
    return found


def attribute_design(world: World) -> float | None:
    """I_design(V; language | relation), the x axis of synthetic figures; None if hand-made."""
    joints = design_joints(world)
    if joints is None:
        return None
    total = sum(share for share, _ in joints)
    return float(sum(share * plug_in(joint) for share, joint in joints) / total)


def fact_design(world: World) -> float | None:
    """I(fact; language) by design; None for hand-made worlds and curricula."""
    config = world.config
    if config.facts is not None or config.curriculum:
        return None
    several = config.parallel_langs or config.languages
    p = rounded(config.p * config.relations) / config.relations
    p = p if config.split == "relation" else config.p
    mono = (1 - p) * (several if config.exposure == "fact" else 1)
    pi = language_given_home(config, p).sum(axis=1)
    entropy = float(-(pi[pi > 0] * np.log2(pi[pi > 0])).sum())
    return entropy - p * several / (p * several + mono) * float(np.log2(several))


def value_tables(world: World, weight: Floats | None = None) -> Floats:
    """[relations, V, languages] presentations by value and language.

    Args:
        world: the world.
        weight: [cells] weights; the share of presentations if None.
    """
    weight = presented(world) if weight is None else weight
    shape = (len(world.relations), int(world.value.max()) + 1, len(world.languages))
    key = np.ravel_multi_index((world.relation, world.value, world.lang), shape)
    found = np.bincount(key, weights=weight, minlength=int(np.prod(shape)))
    return found.reshape(shape).astype(float)


def permutation_null(world: World, shuffles: int = SHUFFLES) -> Floats:
    """[shuffles, relations] plug-in after shuffling home languages among units.

    A unit keeps the pattern of languages it is shown in, turned to its new home, and its weights.
    """
    rng = generator(world.config, "eval", 0)
    n_languages = len(world.languages)
    by_fact = world.config.split == "fact"
    unit = world.fact if by_fact else world.entity
    home = np.full(int(unit.max()) + 1, -1)
    shown = world.population < 3
    home[unit[shown]] = world.home[shown]
    units = np.flatnonzero(home >= 0)
    weight = presented(world)
    cells = np.flatnonzero(weight)
    shape = (len(world.relations), int(world.value.max()) + 1, n_languages)
    found = np.zeros((shuffles, len(world.relations)))
    for number in range(shuffles):
        new = home.copy()
        new[units] = rng.permutation(home[units])
        # Facts of one entity can have homes of their own in hand-made worlds: turn, do not set.
        turned = (world.lang[cells] + (new - home)[unit[cells]]) % n_languages
        key = np.ravel_multi_index((world.relation[cells], world.value[cells], turned), shape)
        tables = np.bincount(key, weights=weight[cells], minlength=int(np.prod(shape)))
        found[number] = [plug_in(t) if t.any() else 0.0 for t in tables.reshape(shape)]
    return found


def association(world: World, shuffles: int = SHUFFLES) -> pl.DataFrame:
    """All association levels of the data.

    Returns:
        Columns quantity (fact, attribute), relation (`all`: their mean), estimator (design,
        plug_in, miller_madow, null_mean, null_95, corrected = plug_in - null_mean, clipped = that
        or 0), value (bits).
    """
    tables = value_tables(world)
    counts = value_tables(world, world.seen.astype(float)).sum(axis=(1, 2))
    null = permutation_null(world, shuffles)
    per_relation: dict[str, list[float]] = {
        "plug_in": [plug_in(t) if t.any() else 0.0 for t in tables],
        "miller_madow": [
            miller_madow(t, n) if n else 0.0 for t, n in zip(tables, counts, strict=True)
        ],
        "null_mean": null.mean(axis=0).tolist(),
        "null_95": np.percentile(null, 95, axis=0).tolist(),
    }
    rows: list[tuple[str, str, str, float | None]] = [
        ("fact", "all", "design", fact_design(world)),
        ("fact", "all", "plug_in", _fact_plug_in(world)),
        ("attribute", "all", "design", attribute_design(world)),
    ]
    means = {name: float(np.mean(values)) for name, values in per_relation.items()}
    # The null of a mean over relations is narrower than the mean of their nulls.
    means["null_95"] = float(np.percentile(null.mean(axis=1), 95))
    for relation, own in (
        ("all", means),
        *((r, {k: v[i] for k, v in per_relation.items()}) for i, r in enumerate(world.relations)),
    ):
        corrected = own["plug_in"] - own["null_mean"]
        own = {**own, "corrected": corrected, "clipped": max(0.0, corrected)}
        rows += [("attribute", relation, name, value) for name, value in own.items()]
    schema = {"quantity": pl.String(), "relation": pl.String(), "estimator": pl.String()}
    return pl.DataFrame(rows, schema={**schema, "value": pl.Float64()}, orient="row")


def _fact_plug_in(world: World) -> float:
    table = np.zeros((len(world.fact_ids), len(world.languages)))
    np.add.at(table, (world.fact, world.lang), presented(world))
    return plug_in(table[table.any(axis=1)])


def baselines(world: World) -> dict[str, float]:
    """Chance, and the losses in nats of who knows no fact: H(V|r) and H(V|r, language).

    By design where there is one, else of the presentations themselves; means over relations.
    """
    joints = design_joints(world)
    if joints is None:
        tables = value_tables(world)
        joints = [(1 / len(tables), table) for table in tables if table.any()]
    chance = [len(np.unique(world.value[world.relation == r])) for r in range(len(world.relations))]
    if world.config.facts is None:
        chance = [world.config.values]
    total = sum(share for share, _ in joints)
    uniform = sum(share * _entropy(joint.sum(axis=1)) for share, joint in joints) / total
    said = sum(share * plug_in(joint) for share, joint in joints) / total * np.log(2)
    return {
        "chance": float(np.mean([1 / n for n in chance])),
        "no_knowledge": float(uniform),
        "language_conditional": float(uniform - said),
    }


def _entropy(weights: Floats) -> float:
    share = weights[weights > 0] / weights.sum()
    return float(-(share * np.log(share)).sum())
