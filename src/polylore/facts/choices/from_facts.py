"""Parallel multiple-choice and free-form sets made from a fact set.

So models can be asked about the built-in facts, about any published fact set, and about worlds that
they were trained on, in the same tables as the published choice sets.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.choices.ask import CLOZE
from polylore.facts.factset import FactSet
from polylore.facts.prompts import fill, template_heads
from polylore.tables import align, align_lint

FREE = ".free"
"""What the name of a free-form set ends in."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """Sets made from facts."""

    questions: pl.DataFrame
    """Contract ALIGN_QUESTIONS; of free-form sets the options are all candidates."""
    items: pl.DataFrame
    """Contract ALIGN_ITEMS."""


def sets_of_facts(
    factset: FactSet, *, k: int = 4, seed: int = 0, variant: int = 0, name: str | None = None
) -> Made:
    """`<name>` with k options per fact, and `<name>.free` without.

    Wrong options are other candidates of the same relation whose names differ from the right one's
    in every language; which, is drawn by a hash. Every place is right equally often. Facts are kept
    that every language has; those with too few candidates are only asked freely.

    Args:
        factset: the facts.
        k: options.
        seed: seed of the wrong options and of the places.
        variant: prompt template that asks.
        name: name of the sets; by default that of the fact set.

    Raises:
        ConfigError: fewer than two options, no fact in common, or no such template.
    """
    if k < 2:
        raise ConfigError(f"A question needs at least 2 options, not {k}.")
    factset = factset.common()
    name = name or factset.name
    heads = template_heads(factset, [variant])
    langs = factset.languages
    drawn = {one: _key(seed, one) for one in factset.fact_ids}
    place = {one: at for at, one in enumerate(sorted(drawn, key=drawn.__getitem__))}
    questions: list[Row] = []
    items: list[Row] = []
    chosen = 0
    for number, fact_id in enumerate(factset.fact_ids):
        told = {lang: factset.fact(fact_id, lang) for lang in langs}
        relation = factset.relation_of[fact_id]
        shared = _candidates(told)
        gold = _gold_id(told[langs[0]])
        asked = {
            lang: fill(heads[relation, lang, variant], str(row["subject"]))
            for lang, row in told.items()
        }
        facts = {"fact_id": fact_id, "relation": relation, "cluster": told[langs[0]]["subject"]}
        free = {"dataset": f"{name}{FREE}", "item": number}
        items.append(facts | free | {"n_options": 0, "gold_index": None})
        for lang, row in told.items():
            texts = _texts(row, shared)
            at = shared.index(gold) if gold in shared else 0
            own = texts if gold in shared else [row["object"]]
            questions.append(_question(free, lang, fact_id, asked[lang], own, at))
        options = _options(told, shared, gold, k, seed, fact_id, place[fact_id] % k)
        if options is None:
            continue
        key = {"dataset": name, "item": chosen}
        chosen += 1
        at = options.index(str(gold))
        items.append(facts | key | {"n_options": k, "gold_index": at})
        for lang, row in told.items():
            own = _texts(row, options)
            questions.append(_question(key, lang, fact_id, asked[lang], own, at))
    made = Made(align.QUESTIONS.build(questions), align.ITEMS.build(items))
    return Made(*(_sorted(frame, name, langs) for frame in (made.questions, made.items)))


def majority(questions: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Accuracy of always giving a relation's most frequent answer, of free-form sets.

    Returns:
        Table ALIGN_BASELINES; the baseline is named majority, and of one relation
        majority:<relation>.
    """
    free = items.filter(pl.col("n_options") == 0).select("dataset", "item", "relation")
    rows = questions.join(free, on=["dataset", "item"], how="inner", maintain_order="left")
    made = []
    for (dataset, lang), own in rows.group_by(["dataset", "lang"], maintain_order=True):
        tops = {
            str(relation): (Counter(group["object"]).most_common(1)[0][1], group.height)
            for (relation,), group in own.group_by(["relation"], maintain_order=True)
        }
        right = sum(top for top, _ in tops.values())
        counts = {"majority": (right, own.height)}
        counts |= {f"majority:{relation}": top for relation, top in tops.items()}
        made += [
            {"dataset": dataset, "lang": lang, "baseline": name, "n": n, "acc": 100 * top / n}
            for name, (top, n) in counts.items()
        ]
    return align_lint.BASELINES.build(made)


def _sorted(frame: pl.DataFrame, name: str, langs: list[str]) -> pl.DataFrame:
    keys = [pl.col("dataset") != name]
    if "lang" in frame.columns:
        rank = {lang: at for at, lang in enumerate(langs)}
        keys.append(pl.col("lang").replace_strict(rank, return_dtype=pl.Int32()))
    return frame.sort([*keys, pl.col("item")], maintain_order=True)


def _candidates(told: dict[str, Row]) -> list[str]:
    """Candidates that the fact has in every language, in the first one's order."""
    first, *others = told.values()
    return [one for one in first["candidate_ids"] if all(one in o["candidate_ids"] for o in others)]


def _gold_id(row: Row) -> str | None:
    return None if row["gold_pos"] is None else str(row["candidate_ids"][row["gold_pos"]])


def _texts(row: Row, ids: list[str]) -> list[str]:
    by_id = dict(zip(row["candidate_ids"], row["candidates"], strict=True))
    return [str(by_id[one]) for one in ids]


def _options(
    told: dict[str, Row],
    shared: list[str],
    gold: str | None,
    k: int,
    seed: int,
    fact_id: str,
    place: int,
) -> list[str] | None:
    """k candidates with the right one in its place; None where there are too few."""
    if gold is None or gold not in shared:
        return None
    taken = {lang: {_folded(_texts(row, [gold])[0])} for lang, row in told.items()}
    for lang, row in told.items():
        taken[lang] |= {_folded(text) for text in (row["object"], *row["aliases"])}
    wrong: list[str] = []
    for one in sorted(shared, key=lambda other: _key(seed, f"{fact_id}\x1f{other}")):
        own = {lang: _folded(_texts(row, [one])[0]) for lang, row in told.items()}
        if one == gold or any(own[lang] in taken[lang] for lang in told):
            continue
        wrong.append(one)
        for lang in told:
            taken[lang].add(own[lang])
        if len(wrong) == k - 1:
            return [*wrong[:place], gold, *wrong[place:]]
    return None


def _folded(text: str) -> str:
    return text.strip().casefold()


def _question(key: Row, lang: str, fact_id: str, asked: str, options: list[str], gold: int) -> Row:
    return key | {
        "lang": lang,
        "source_id": fact_id,
        "kind": CLOZE,
        "question": asked,
        "options": options,
        "gold_index": gold,
        "object": options[gold],
    }


def _key(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{text}".encode()).digest()
