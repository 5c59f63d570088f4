"""What is run for each language pair, and where its vectors come from (`patch`, 2 and 5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polylore.errors import ConfigError
from polylore.studies.patch.config import PlanConfig
from polylore.studies.patch.planning.pairs import order
from polylore.studies.patch.planning.settings import (
    FEWEST,
    OF_SEEN,
    Pair,
    balanced_weights,
    read_pair,
    seen_pairs,
)


@dataclass(frozen=True)
class Condition:
    """One setting of one language pair."""

    setting: str
    run: str
    """Role of the prompt that is run: source, target or replace."""
    sources: tuple[Pair, ...] = ()
    """Language pairs of the source prompts; empty if nothing is patched."""
    of: str = "source"
    """Where the vectors come from: source (s), shuffled (s after shuffled demonstrations),
    target or replace (the prompt itself), random (another concept), strangers (one each)."""
    vector: str = "mean"
    weights: tuple[float, ...] | None = None
    draw: int = 0
    onsets: str = "all"
    intervention: str = "object:onset"


def conditions(plan: PlanConfig, a: str, b: str) -> list[Condition]:
    """All conditions of a language pair, in the order of `plan.settings`.

    Raises:
        ConfigError: the shared space has fewer than 6 language pairs, or none.
    """
    only = None if plan.source_pairs is None else [read_pair(t) for t in plan.source_pairs]
    seen = tuple(seen_pairs(a, b, plan.seen, pivot=plan.pivot, only=only))
    if OF_SEEN & set(plan.settings):
        _refuse_small(seen, plan, a, b)
    found = [one for name in plan.settings for one in _conditions(name, plan, a, b, seen)]
    for family in plan.families:
        if family.pairs is None or (a, b) in map(read_pair, family.pairs):
            sources = tuple(map(read_pair, family.sources))
            one = Condition(family.name, "target", sources, intervention=family.intervention)
            found.append(one)
    return found


def _refuse_small(seen: Sequence[Pair], plan: PlanConfig, a: str, b: str) -> None:
    if len(seen) >= FEWEST or (seen and plan.allow_small_k):
        return
    raise ConfigError(
        f"The shared space for {a}-{b} would average {len(seen)} language pairs, fewer than "
        f"{FEWEST}; name more languages in plan.seen"
        + (", or set plan.allow_small_k=true." if seen else ".")
    )


def _conditions(
    name: str, plan: PlanConfig, a: str, b: str, seen: tuple[Pair, ...]
) -> Iterator[Condition]:
    way = plan.intervention
    english = (plan.pivot, plan.pivot)
    if name == "src_unpatched":
        yield Condition(name, "source", vector="none", onsets="none", intervention="none")
    elif name == "tgt_unpatched":
        yield Condition(name, "target", vector="none", onsets="none", intervention="none")
    elif name == "tgt":
        yield Condition(name, "target", ((a, b),), intervention=way)
    elif name == "seen":
        yield Condition(name, "target", seen, intervention=way)
    elif name == "en_en":
        yield Condition(name, "target", (english,), intervention=way)
    elif name == "self":
        if b != plan.pivot:
            yield Condition(name, "target", ((b, b),), intervention=way)
    elif name == "identity":
        yield Condition(name, "target", ((a, b),), "target", intervention=way)
    elif name == "random_concept":
        yield Condition(name, "target", seen, "random", intervention=way)
    elif name == "shuffled_mean":
        yield Condition(name, "target", seen, "strangers", intervention=way)
    elif name in ("grand_mean", "gauss", "norm_matched"):
        yield Condition(name, "target", seen, vector=name, intervention=way)
    elif name == "shots_shuffled":
        yield Condition(name, "target", seen, "shuffled", intervention=way)
    elif name == "samek":
        yield from _samek(plan, seen)
    elif name == "full_replace":
        yield Condition(name, "target", ((a, b),), "replace", onsets="first", intervention=way)
        yield Condition(
            "full_replace_unpatched", "replace", vector="none", onsets="none", intervention="none"
        )
    elif name == "seen_without":
        for lang in dict.fromkeys(x for pair in seen for x in pair):
            left = tuple(pair for pair in seen if lang not in pair)
            if left:
                yield Condition(f"seen_without_{lang}", "target", left, intervention=way)
    elif name == "seen_balanced":
        weights = tuple(balanced_weights(seen))
        yield Condition(name, "target", seen, weights=weights, intervention=way)


def _samek(plan: PlanConfig, seen: tuple[Pair, ...]) -> Iterator[Condition]:
    """Draws of fewer language pairs; the same draws for every pair of concepts."""
    for place, k in enumerate(dict.fromkeys(plan.samek)):
        for number in range(plan.samek_draws if k < len(seen) else 0):
            drawn = sorted(seen, key=lambda pair: order(plan.seed, "samek", k, number, *pair))[:k]
            yield Condition(
                "samek",
                "target",
                tuple(pair for pair in seen if pair in drawn),
                draw=place * plan.samek_draws + number,
                intervention=plan.intervention,
            )
