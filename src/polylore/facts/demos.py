"""Which facts are shown as demonstrations (specification of `trace`, section 2.1)."""

import random
from dataclasses import dataclass
from hashlib import sha256

import polars as pl

from polylore.facts.factset import FactSet
from polylore.text import normalise

EXACT_UP_TO = 512
"""Facts of a relation up to which every other fact is a possible demonstration."""

POOL = 64
"""Possible demonstrations of a larger relation; keeps the work linear in the number of facts."""


def parallel_demos(
    factset: FactSet, n_shot: int, seed: int, *, shared: bool = False
) -> dict[str, tuple[str, ...]]:
    """Demonstrations of every fact, the same in all languages of the set.

    They are the eligible facts of the relation with the smallest SHA-256 of (seed, fact_id, demo
    fact_id), smallest first. A fact is eligible if every language of the set tells it, with a
    subject other than the fact's and an object that is neither its gold nor an alias, compared
    after `text.normalise`. Fewer are given where fewer are eligible.

    In a relation of more than `EXACT_UP_TO` facts the choice is among `POOL` of them: those with
    the smallest SHA-256 of (seed, fact_id), one for each object first.

    With `shared`, all facts of a relation see the same demonstrations, as far as these are
    eligible: in the order of that pool. What stands before the questions then needs reading once.
    """
    texts = _texts(factset)
    result: dict[str, tuple[str, ...]] = {}
    for members in _by_relation(factset).values():
        complete = [one for one in members if len(texts[one]) == len(factset.languages)]
        large = len(complete) > EXACT_UP_TO
        pool = _pool(complete, texts, seed) if large or shared else complete
        for fact_id in members:
            order = pool if shared else _nearest(fact_id, pool, seed)
            result[fact_id] = _first_eligible(fact_id, order, texts, n_shot)
    return result


def paper_demos(
    factset: FactSet, n_shot: int, rng: random.Random
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Random others of the same relation and language, as published: by (lang, fact_id).

    One generator runs through all languages and facts in their order, so demonstrations differ
    between languages, and between checkpoints if the generator is passed on. The gold may occur
    among them.
    """
    result: dict[tuple[str, str], tuple[str, ...]] = {}
    for lang in factset.languages:
        rows = factset.facts.filter(pl.col("lang") == lang)
        groups: dict[str, list[str]] = {}
        for fact_id, relation in rows.select("fact_id", "relation").iter_rows():
            groups.setdefault(relation, []).append(fact_id)
        place = {one: number for ids in groups.values() for number, one in enumerate(ids)}
        for fact_id, relation in rows.select("fact_id", "relation").iter_rows():
            ids, own = groups[relation], place[fact_id]
            others = len(ids) - 1
            drawn = rng.sample(range(others), min(n_shot, others))
            result[lang, fact_id] = tuple(ids[n + (n >= own)] for n in drawn)
    return result


@dataclass(frozen=True)
class _Text:
    """Normalised strings of a fact in one language."""

    subject: str
    object: str
    accepted: frozenset[str]


def _texts(factset: FactSet) -> dict[str, dict[str, _Text]]:
    """fact_id -> language -> strings."""
    known: dict[str, str] = {}

    def norm(text: str) -> str:
        # Objects repeat a great deal, and normalising is the costly part.
        if text not in known:
            known[text] = normalise(text)
        return known[text]

    result: dict[str, dict[str, _Text]] = {}
    fields = ("fact_id", "lang", "subject", "object", "aliases")
    for fact_id, lang, subject, gold, aliases in factset.facts.select(fields).iter_rows():
        accepted = frozenset(norm(text) for text in (gold, *aliases))
        result.setdefault(fact_id, {})[lang] = _Text(norm(subject), norm(gold), accepted)
    return result


def _by_relation(factset: FactSet) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for fact_id in factset.fact_ids:
        members.setdefault(factset.relation_of[fact_id], []).append(fact_id)
    return members


def _pool(members: list[str], texts: dict[str, dict[str, _Text]], seed: int) -> list[str]:
    ordered = sorted(members, key=lambda one: _hash(seed, one))
    seen: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for one in ordered:
        gold = next(iter(texts[one].values())).object
        (rest if gold in seen else first).append(one)
        seen.add(gold)
    return (first + rest)[:POOL]


def _nearest(fact_id: str, pool: list[str], seed: int) -> list[str]:
    prefix = f"{seed}\x1f{fact_id}\x1f".encode()
    return sorted(pool, key=lambda one: (sha256(prefix + one.encode()).digest(), one))


def _first_eligible(
    fact_id: str, order: list[str], texts: dict[str, dict[str, _Text]], n_shot: int
) -> tuple[str, ...]:
    chosen: list[str] = []
    own = texts[fact_id]
    for one in order:
        if len(chosen) == n_shot:
            break
        if one != fact_id and _eligible(own, texts[one]):
            chosen.append(one)
    return tuple(chosen)


def _eligible(fact: dict[str, _Text], demo: dict[str, _Text]) -> bool:
    return all(
        demo[lang].object not in text.accepted and demo[lang].subject != text.subject
        for lang, text in fact.items()
    )


def _hash(seed: int, fact_id: str) -> bytes:
    return sha256(f"{seed}\x1f{fact_id}".encode()).digest()
