"""What items state, as polylore facts, so that other studies' metrics can be computed on them."""

import polars as pl

from polylore.facts.people.swaps import subject_names
from polylore.facts.people.tables import Fiction
from polylore.tables import raw


def facts_of(fiction: Fiction, made: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per fact and language that is asked (specification of `inject`, section 2.1).

    Args:
        fiction: the items. Of a fact that several probes ask, the first one by name says the
            object; `accepted` forms of all of them are aliases.
        made: `fictional_facts` of the same items, which have candidates; other facts that are
            asked, such as those behind two hops, are added.

    Returns:
        Contract `tables.raw.FACTS`; the subject is empty where items do not say their names.
    """
    names = subject_names(fiction)
    known = set() if made is None else set(made.select("fact_id", "lang").iter_rows())
    asked = fiction.probes.sort("probe_id").group_by("fact_id", "lang", maintain_order=True)
    sources = dict(fiction.items.select("item_id", "source").iter_rows())
    rows = []
    for (fact, lang), probes in asked:
        if (fact, lang) in known:
            continue
        first = probes.row(0, named=True)
        others = {o for forms in (probes["target"], *probes["accepted"]) for o in forms}
        rows.append(
            {
                "fact_id": fact,
                "relation": fact.removeprefix(f"{first['item_id']}/"),
                "lang": lang,
                "subject": names.get(first["item_id"], {}).get(lang, ""),
                "object": first["target"],
                "aliases": sorted(others - {first["target"]}),
                "candidate_ids": [],
                "candidates": [],
                "gold_pos": None,
                "source": sources[first["item_id"]],
                "flags": [],
            }
        )
    found = raw.FACTS.build(rows)
    return found if made is None else raw.FACTS.validate(pl.concat([made, found]))
