"""Which cells are told where, and which half of the facts each fact belongs to.

A *condition* says how a fact in a language is meant to be learnt (specification of `trace`, section
4.8): `both` (told there and in the pivot), `pivot_only`, `lang_only`, or `none` (told nowhere). The
*groups* A and B are two halves of the facts that are alike in all this: the documents of one half
can be taken away while the other stays as it was.

Sentences about one fact may express another one too. Such facts form a family, and a family always
shares its conditions and its group: else a fact would be told that should not be, or would change
its exposure when its neighbour is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.config import ComposeConfig
from polylore.corpus.draw import number
from polylore.errors import ConfigError

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

BOTH, PIVOT_ONLY, LANG_ONLY, NONE = "both", "pivot_only", "lang_only", "none"
CONDITIONS = (BOTH, PIVOT_ONLY, LANG_ONLY, NONE)
GROUPS = ("A", "B")
_TOLD = "told in the pivot"

Family = Mapping[str, Sequence[str]]
"""The family of every fact, itself included."""


def cell_conditions(
    factset: "FactSet", config: ComposeConfig, expressed: pl.DataFrame
) -> dict[tuple[str, str], str]:
    """Condition of every (fact_id, lang).

    First the facts are divided: told in no language, in every language but the pivot, or in the
    pivot. Then those told in the pivot: told in another language too, or not, drawn anew for each
    language or once for all. A fact told in the pivot has `both` there; one that the pivot lacks is
    `lang_only`. All divisions keep the proportions of relations and of the objects within each.

    Raises:
        ConfigError: a condition that the plan asks for remains empty, since families are too large.
    """
    shares = {
        _TOLD: 1 - config.untaught - config.lang_only,
        LANG_ONLY: config.lang_only,
        NONE: config.untaught,
    }
    strata = _strata(factset, config.pivot)
    pivotal = _facts_of(factset, config.pivot)
    order = [
        fact for fact in _by_object(factset, config) if (fact, config.pivot) in factset.position
    ]
    general = dict.fromkeys(factset.fact_ids, LANG_ONLY)
    general |= divide(order, families(pivotal, expressed), strata, shares)
    for name, field in ((LANG_ONLY, "lang_only"), (NONE, "untaught")):
        _refuse_empty(name, field, shares[name] * len(pivotal), general.values())
    cells: dict[tuple[str, str], str] = {}
    by_cell = config.held_out_by == "cell"
    for lang in factset.languages:
        draw = lang if by_cell else "every language"
        there = [f for f in _by_object(factset, config, draw) if general[f] == _TOLD]
        narrower = {PIVOT_ONLY: 0.0 if lang == config.pivot else config.held_out}
        told_there = expressed.filter(pl.col("lang") == lang) if by_cell else expressed
        own = families(there, told_there)
        told = divide(there, own, strata, {BOTH: 1 - narrower[PIVOT_ONLY], **narrower})
        _refuse_empty(PIVOT_ONLY, "held_out", narrower[PIVOT_ONLY] * len(there), told.values())
        cells |= {(f, lang): told.get(f, general[f]) for f in _facts_of(factset, lang)}
    return cells


def groups(
    factset: "FactSet",
    config: ComposeConfig,
    expressed: pl.DataFrame,
    conditions: Mapping[tuple[str, str], str],
) -> dict[str, str]:
    """Group A or B of every fact, equal in relations and in conditions over all languages."""
    signature = {
        fact: "".join(str(CONDITIONS.index(conditions.get((fact, lang), NONE))) for lang in langs)
        for langs in [factset.languages]
        for fact in factset.fact_ids
    }
    order = sorted(
        factset.fact_ids,
        key=lambda f: (factset.relation_of[f], signature[f], number(config.seed, "group", f)),
    )
    whole = families(factset.fact_ids, expressed)
    relation = factset.relation_of
    strata = {fact: (relation[fact], f"{relation[fact]}/{signature[fact]}") for fact in order}
    return divide(order, whole, strata, dict.fromkeys(GROUPS, 0.5))


def families(fact_ids: Iterable[str], expressed: pl.DataFrame) -> dict[str, list[str]]:
    """Facts that sentences tell together, directly or through others; only those named count."""
    family = {fact: [fact] for fact in fact_ids}
    for one, other in expressed.select("fact_id", "also_fact_id").unique().sort(pl.all()).rows():
        if one in family and other in family and family[one] is not family[other]:
            family[one] += family[other]
            for member in family[other]:
                family[member] = family[one]
    return family


def divide(
    order: Sequence[str],
    family: Family,
    strata: Mapping[str, Sequence[str]],
    shares: Mapping[str, float],
) -> dict[str, str]:
    """Divide facts among classes, so that every stratum and every stretch of it gets its shares.

    Fact by fact, the class that lacks most so far, summed over the strata that the fact and its
    family belong to, takes them all; facts that stand together in `order` are thereby spread
    evenly. Half a fact is counted as seen beforehand, so that small strata get their shares on
    average. Ties go to the class named first.
    """
    given: dict[str, str] = {}
    seen: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = {}
    classes = [name for name, share in shares.items() if share > 0]
    for fact in order:
        if fact in given:
            continue
        own = [name for member in family[fact] for name in strata[member]]
        lack = {
            c: sum(shares[c] * seen.get(s, 0) - counts.get((s, c), 0) for s in own)
            + shares[c] * len(family[fact]) / 2
            for c in classes
        }
        # Rounded, so that equal lacks stay equal whatever the order of the additions.
        chosen = max(classes, key=lambda c: round(lack[c], 9))
        for name in own:
            seen[name] = seen.get(name, 0) + 1
        given |= dict.fromkeys(family[fact], chosen)
        for name in own:
            counts[name, chosen] = counts.get((name, chosen), 0) + 1
    return given


def _by_object(factset: "FactSet", config: ComposeConfig, lang: str = "") -> list[str]:
    """Facts by relation, then by object (pivot's if there is one), each in a drawn order."""
    objects, seed = _objects(factset, config.pivot), config.seed
    return sorted(
        factset.fact_ids,
        key=lambda f: (
            factset.relation_of[f],
            number(seed, "object", lang, objects[f]),
            number(seed, "condition", lang, f),
        ),
    )


def _objects(factset: "FactSet", pivot: str) -> dict[str, str]:
    """Object of every fact in the pivot, or in another language where the pivot lacks it."""
    pivot_last = factset.facts.sort(pl.col("lang") == pivot, maintain_order=True)
    return dict(pivot_last.select("fact_id", "object").iter_rows())


def _strata(factset: "FactSet", pivot: str) -> dict[str, tuple[str, str]]:
    """Relation, and object within the relation."""
    objects, relation = _objects(factset, pivot), factset.relation_of
    return {f: (relation[f], f"{relation[f]}/{objects[f]}") for f in factset.fact_ids}


def _facts_of(factset: "FactSet", lang: str) -> list[str]:
    return factset.facts.filter(pl.col("lang") == lang)["fact_id"].to_list()


def _refuse_empty(name: str, field: str, wanted: float, there: Iterable[str]) -> None:
    if wanted >= 1 and name not in set(there):
        raise ConfigError(
            f"{field} asks for facts with the condition {name}, but sentences about the facts "
            "express each other so often that none can have it; choose other relations or set "
            f"{field} to 0."
        )
