"""The design of a corpus: how often is every cell told, and which cells are left out."""

from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.config import ComposeConfig
from polylore.corpus.draw import ordered, shares
from polylore.corpus.expressed import Finder
from polylore.corpus.wordings import Wording, fact_wordings
from polylore.errors import ConfigError
from polylore.tables import raw

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

EXPRESSED = {
    "fact_id": pl.String(),
    "lang": pl.String(),
    "wording": pl.String(),
    "also_fact_id": pl.String(),
}
"""Schema of the table that says which other facts a sentence about a fact expresses as well."""


def check_plan(factset: "FactSet", config: ComposeConfig) -> None:
    """Refuse a plan that does not fit the fact set.

    Raises:
        ConfigError: unknown pivot or language.
    """
    known = ", ".join(factset.languages)
    if config.pivot not in factset.languages:
        raise ConfigError(
            f"The pivot '{config.pivot}' is not a language of fact set {factset.name} ({known}); "
            "choose another pivot or add the language."
        )
    unknown = sorted(set(config.shares) - set(factset.languages))
    if unknown:
        raise ConfigError(
            f"shares names {', '.join(unknown)}, but fact set {factset.name} has only {known}."
        )


def expressed_table(
    factset: "FactSet", wordings: dict[tuple[str, str], list[Wording]]
) -> pl.DataFrame:
    """Which other facts of the same language every possible training sentence expresses."""
    rows: list[tuple[str, str, str, str]] = []
    for lang in factset.languages:
        facts = factset.facts.filter(pl.col("lang") == lang)
        keys: list[tuple[str, str]] = []
        texts: list[str] = []
        columns = ("fact_id", "relation", "subject", "object")
        for fact_id, relation, subject, obj in facts.select(columns).iter_rows():
            for wording in wordings[relation, lang]:
                keys.append((fact_id, wording.label))
                texts.append(wording.fill(subject=subject, mask=obj))
        for (fact_id, label), found in zip(keys, Finder(facts, lang)(texts), strict=True):
            rows += [(fact_id, lang, label, other) for other in found if other != fact_id]
    return pl.DataFrame(rows, schema=EXPRESSED, orient="row")


def all_wordings(factset: "FactSet", config: ComposeConfig) -> dict[tuple[str, str], list[Wording]]:
    """The wordings used for every (relation, language) that has facts."""
    pairs = factset.facts.select("relation", "lang").unique(maintain_order=True)
    return {
        (relation, lang): fact_wordings(factset, relation, lang, config.wordings)
        for relation, lang in pairs.iter_rows()
    }


def design_table(
    factset: "FactSet", config: ComposeConfig, expressed: pl.DataFrame
) -> pl.DataFrame:
    """Condition and dose of every cell; contract `tables.raw.DESIGN`, rows in order of the facts.

    Raises:
        ConfigError: cells should be held out, but sentences about the facts express each other so
            often that none can be.
    """
    frames = []
    weights = [config.shares.get(lang, 1.0) for lang in factset.languages]
    mean = sum(weights) / len(weights)
    for lang, weight in zip(factset.languages, weights, strict=True):
        facts = factset.facts.filter(pl.col("lang") == lang).select("fact_id", "lang", "relation")
        exposures = _exposures(facts["fact_id"].to_list(), config, lang)
        held = set()
        if lang != config.pivot and config.held_out:
            held = _held_out(facts, config, lang, expressed.filter(pl.col("lang") == lang))
        doses = [
            0 if fact_id in held else max(1, round(exposures[fact_id] * weight / mean))
            for fact_id in facts["fact_id"]
        ]
        frames.append(facts.with_columns(dose=pl.Series(doses, dtype=pl.Int64)))
    condition = pl.when(pl.col("dose") > 0).then(pl.lit("taught")).otherwise(pl.lit("held_out"))
    design = raw.DESIGN.validate(pl.concat(frames).with_columns(condition=condition))
    others = design.filter(pl.col("lang") != config.pivot)
    wanted = config.held_out * others.height
    if wanted >= 1 and not (others["condition"] == "held_out").any():
        raise ConfigError(
            f"held_out is {config.held_out}, but no cell can be held out: every fact is also "
            "expressed by sentences about other facts; choose other relations or set held_out to 0."
        )
    return design


def _exposures(fact_ids: list[str], config: ComposeConfig, lang: str) -> dict[str, float]:
    """Exposure of every fact by its drawn rank (rank 0 is told most)."""
    label = lang if config.dose_by == "cell" else ""
    ranked = ordered(fact_ids, config.seed, "dose", label)
    n, low, high = len(ranked), config.min_dose, config.max_dose
    if config.distribution == "zipf":
        return {f: max(low, high / (r + 1) ** config.zipf_exponent) for r, f in enumerate(ranked)}
    return {f: low * (high / low) ** (1 - (r + 0.5) / n) for r, f in enumerate(ranked)}


def _held_out(
    facts: pl.DataFrame, config: ComposeConfig, lang: str, expressed: pl.DataFrame
) -> set[str]:
    """Draw the cells to leave out, in equal proportion from every relation.

    Whoever leaves a fact out must leave out every fact whose sentences express it, so whole
    families are taken or none; a family that does not fit into the quotas is passed over.
    """
    tellers: dict[str, set[str]] = {}
    for teller, fact_id in expressed.select("fact_id", "also_fact_id").iter_rows():
        tellers.setdefault(fact_id, set()).add(teller)
    relation = dict(facts.select("fact_id", "relation").iter_rows())
    sizes: dict[str, int] = {}
    for name in relation.values():
        sizes[name] = sizes.get(name, 0) + 1
    total = round(config.held_out * len(relation))
    room = dict(zip(sizes, shares(total, [float(n) for n in sizes.values()]), strict=True))
    held: set[str] = set()
    for fact_id in ordered(relation, config.seed, "held_out", lang):
        family = _family(fact_id, tellers) - held
        need: dict[str, int] = {}
        for member in family:
            need[relation[member]] = need.get(relation[member], 0) + 1
        if fact_id not in held and all(n <= room[name] for name, n in need.items()):
            held |= family
            for name, n in need.items():
                room[name] -= n
    return held


def _family(fact_id: str, tellers: dict[str, set[str]]) -> set[str]:
    family, todo = {fact_id}, [fact_id]
    while todo:
        new = tellers.get(todo.pop(), set()) - family
        family |= new
        todo += new
    return family
