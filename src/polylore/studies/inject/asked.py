"""The probes of a run as a fact set, so that whatever reads facts reads these.

A fact is asked by several probes; one of them, or all, become its wordings. A template is a probe
with its subject's name taken out.
"""

from collections import Counter

import polars as pl

from polylore.errors import ConfigError
from polylore.facts import FactSet
from polylore.facts.people import Fiction
from polylore.facts.people.facts import facts_of
from polylore.facts.rows import templates_frame
from polylore.studies.inject.raw import RawRuns
from polylore.tables.inject import PASSAGES
from polylore.tables.raw import FACTS

MEMORIZATION, ALL = "memorization", "all"
_DEPTHS = (MEMORIZATION, "semantic", "compositional")
WHOLE_PREFIX = "subject_is_prefix"
"""Flag of facts whose subject is the beginning of their question, since no probe says a name."""
_Place = tuple[str, str]
"""A relation and a language."""


def chosen_probes(probes: pl.DataFrame, depth: str = MEMORIZATION) -> pl.DataFrame:
    """The probes that stand for the facts.

    Args:
        probes: contract `tables.inject.PROBES`.
        depth: the depth that is asked for: one probe of each fact and language, the first one; or
            `all` probes.

    Returns:
        The probes, with `number` (Int32): their place among the wordings of a fact and language;
        memorization comes first, then semantic, then compositional probes.

    Raises:
        ConfigError: no probe has that depth.
    """
    own = probes if depth == ALL else probes.filter(depth=depth)
    if own.is_empty():
        there = ", ".join(probes["depth"].unique().sort())
        raise ConfigError(f"No probe of this run has the depth '{depth}'; it has {there}, or all.")
    ranks = {name: rank for rank, name in enumerate(_DEPTHS)}
    rank = pl.col("depth").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int32)
    numbered = own.sort(rank, "depth", "variant", "probe_id").with_columns(
        number=pl.int_range(pl.len(), dtype=pl.Int32).over("fact_id", "lang")
    )
    kept = numbered if depth == ALL else numbered.filter(pl.col("number") == 0)
    return kept.sort("probe_id")


def asked_facts(raw: RawRuns, chosen: pl.DataFrame) -> FactSet:
    """The facts that probes ask for, and their wordings as templates, the most frequent one first.

    Where no probe of a relation and language holds its subject's name (items that do not say it),
    the whole prefix is the subject: such facts are flagged, and their template adds nothing.

    Args:
        raw: a run folder; the facts are those that it noted, with their candidates. Folders that
            noted none have facts made of the probes, without candidates.
        chosen: frame of `chosen_probes`.
    """
    keys = ["fact_id", "lang"]
    facts = _noted(raw).join(chosen.select(keys).unique(), on=keys, how="semi")
    places = {
        (f, lang): (r, s) for f, lang, r, s in facts.select(*keys, "relation", "subject").rows()
    }
    named: dict[_Place, Counter[str]] = {}
    joiners: dict[_Place, Counter[str]] = {}
    prefixes: dict[_Place, str] = {}
    columns = (*keys, "prefix", "joiner", "suffix")
    for fact, lang, prefix, joiner, suffix in chosen.sort("number").select(columns).iter_rows():
        relation, subject = places[fact, lang]
        prefixes.setdefault((fact, lang), prefix)
        joiners.setdefault((relation, lang), Counter())[joiner] += 1
        counts = named.setdefault((relation, lang), Counter())
        if subject and subject in prefix:
            counts[f"{prefix.replace(subject, '<subject>')}{joiner}<mask>{suffix or ''}"] += 1
    rows = []
    for (relation, lang), counts in sorted(named.items()):
        whole = {f"<subject>{joiner}<mask>": n for joiner, n in joiners[relation, lang].items()}
        wordings = sorted((counts or whole).items(), key=lambda told: (-told[1], told[0]))
        rows += [(relation, lang, "prompt", n, text) for n, (text, _) in enumerate(wordings)]
    nameless = [place for place, counts in sorted(named.items()) if not counts]
    name = f"facts of {raw.folder.path.name}"
    templates = templates_frame(rows)
    return FactSet(name, _with_prefixes(facts, nameless, prefixes), templates, _notes(nameless))


def _noted(raw: RawRuns) -> pl.DataFrame:
    """Those that the run noted; made from its probes in folders that noted none."""
    if raw.folder.has_table(FACTS.name):
        return raw.folder.table(FACTS.name)
    return facts_of(Fiction(raw.folder.table("inject_items"), PASSAGES.empty(), raw.probes))


def _with_prefixes(
    facts: pl.DataFrame, nameless: list[_Place], prefixes: dict[_Place, str]
) -> pl.DataFrame:
    """Put the prefix in the place of a subject that is not named."""
    if not nameless:
        return facts
    rows = facts.to_dicts()
    places = set(nameless)
    for row in rows:
        if (row["relation"], row["lang"]) in places:
            row["subject"] = prefixes[row["fact_id"], row["lang"]]
            row["flags"] = [*row["flags"], WHOLE_PREFIX]
    return FACTS.build(rows)


def _notes(nameless: list[_Place]) -> tuple[str, ...]:
    if not nameless:
        return ()
    shown = ", ".join(f"{relation} ({lang})" for relation, lang in nameless[:5])
    more = f" and {len(nameless) - 5} more" if len(nameless) > 5 else ""
    return (
        "No probe names the subject of these relations, so the beginning of each question stands "
        f"for it: {shown}{more}.",
    )
