"""Swapped subjects: the same probe asked of another item (specification of `inject`, section 2.7).

What a probe gains although another subject is put in, the fact did not gain: the target has become
likelier after any subject.
"""

import json
from collections.abc import Mapping

import polars as pl

from polylore.facts.people.names import drawn
from polylore.facts.people.tables import Fiction


def with_swaps(fiction: Fiction, groups: Mapping[str, str], seed: int = 0) -> pl.DataFrame:
    """The probes with `swap_item` filled in.

    Within a group (arm and language of injection), the items that are asked for a relation are put
    in a drawn order and each takes its place's neighbour at the smallest distance at which all
    targets differ; the same for all languages of a fact. A probe keeps null where there is no such
    distance, or where its prefix does not hold the subject's name.

    Args:
        fiction: the items; names of subjects stand in `meta` as {"names": {language: name}}.
        groups: group of each item; items without one are left alone.
        seed: decides the order.

    Returns:
        Contract `tables.inject.PROBES`.
    """
    names = subject_names(fiction)
    targets: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    rows = fiction.probes.sort("probe_id").select("item_id", "fact_id", "lang", "depth", "target")
    for item, fact, lang, depth, target in rows.iter_rows():
        if item in groups and item in names:
            said = targets.setdefault((groups[item], _question(fact, depth)), {})
            said[item] = (*said.get(item, ()), f"{lang}\x1f{target}")
    partners = {
        (item, question): partner
        for (group, question), said in targets.items()
        for item, partner in _turned(said, (seed, "swap", group, question)).items()
    }
    swapped = [
        _partner(
            row, names, partners.get((row["item_id"], _question(row["fact_id"], row["depth"])))
        )
        for row in fiction.probes.iter_rows(named=True)
    ]
    return fiction.probes.with_columns(swap_item=pl.Series(swapped, dtype=pl.String))


def swapped_prefixes(fiction: Fiction, probes: pl.DataFrame) -> dict[str, str | None]:
    """Prefix of every probe with the subject of its `swap_item`; null without one."""
    names = subject_names(fiction)
    return {
        row["probe_id"]: None
        if row["swap_item"] is None
        else row["prefix"].replace(
            names[row["item_id"]][row["lang"]], names[row["swap_item"]][row["lang"]]
        )
        for row in probes.iter_rows(named=True)
    }


def subject_names(fiction: Fiction) -> dict[str, dict[str, str]]:
    """Name of every item's subject by language, where the items say it."""
    found = {}
    for item, meta in fiction.items.select("item_id", "meta").iter_rows():
        names = json.loads(meta).get("names") if meta else None
        if names:
            found[item] = names
    return found


def _question(fact_id: str, depth: str) -> str:
    """What is asked, whatever the item: its relation, and by how many hops."""
    return f"{fact_id.rpartition('/')[2]}/{depth}"


def _turned(said: dict[str, tuple[str, ...]], labels: tuple[object, ...]) -> dict[str, str]:
    """Each item's partner: a turn of the drawn order after which no target stays the same."""
    order = sorted(said, key=lambda item: (drawn(*labels, item), item))
    best: dict[str, str] = {}
    for shift in range(1, len(order)):
        pairs = {item: order[(k + shift) % len(order)] for k, item in enumerate(order)}
        apart = {a: b for a, b in pairs.items() if not set(said[a]) & set(said[b])}
        if len(apart) > len(best):
            best = apart
        if len(best) == len(order):
            break
    return best


def _partner(
    row: dict[str, str], names: dict[str, dict[str, str]], partner: str | None
) -> str | None:
    if partner is None:
        return None
    own, other = (names[item].get(row["lang"]) for item in (row["item_id"], partner))
    return partner if own and other and own in row["prefix"] else None
