"""The design of a corpus: how every cell is to be learnt, and how often it is told."""

from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.conditions import BOTH, LANG_ONLY, cell_conditions, groups
from polylore.corpus.config import ComposeConfig
from polylore.corpus.draw import ordered
from polylore.corpus.expressed import Finder
from polylore.corpus.wordings import Wording, fact_wordings
from polylore.errors import ConfigError
from polylore.tables import raw
from polylore.text import normalise, similarity

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

EXPRESSED = {
    "fact_id": pl.String(),
    "lang": pl.String(),
    "wording": pl.String(),
    "also_fact_id": pl.String(),
}
"""Schema of the table that says which other facts a sentence about a fact expresses as well."""
COGNATE = 0.5
"""Similarity to the pivot's object from which on an object counts as a cognate."""


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
    """What is planned for every cell; contract `tables.raw.DESIGN`, rows in order of the facts.

    Raises:
        ConfigError: a condition that the plan asks for cannot be had.
    """
    conditions = cell_conditions(factset, config, expressed)
    group = groups(factset, config, expressed, conditions)
    frames = []
    weights = [config.shares.get(lang, 1.0) for lang in factset.languages]
    mean = sum(weights) / len(weights)
    for lang, weight in zip(factset.languages, weights, strict=True):
        facts = factset.facts.filter(pl.col("lang") == lang).select("fact_id", "lang", "relation")
        ids = facts["fact_id"].to_list()
        exposures = _exposures(ids, config, lang)
        own = [conditions[fact, lang] for fact in ids]
        told = {BOTH, LANG_ONLY} if lang != config.pivot else {BOTH}
        doses = [
            max(1, round(exposures[fact] * weight / mean)) if condition in told else 0
            for fact, condition in zip(ids, own, strict=True)
        ]
        frames.append(
            facts.with_columns(
                condition=pl.Series(own, dtype=pl.String),
                dose=pl.Series(doses, dtype=pl.Int64),
                group=pl.Series([group[fact] for fact in ids], dtype=pl.String),
            )
        )
    design = pl.concat(frames).join(
        surfaces(factset, config.pivot), on=("fact_id", "lang"), how="left", maintain_order="left"
    )
    return raw.DESIGN.validate(design)


def surfaces(factset: "FactSet", pivot: str) -> pl.DataFrame:
    """How alike every object is to the pivot's: fact_id, lang, surface.

    `same` (equal after normalisation), `cognate` (at least half alike, see `text.similarity`), or
    `disjoint`; null in the pivot itself and where the pivot lacks the fact.
    """
    objects = dict(
        factset.facts.filter(pl.col("lang") == pivot).select("fact_id", "object").iter_rows()
    )
    rows = []
    for fact, lang, text in factset.facts.select("fact_id", "lang", "object").iter_rows():
        known = lang != pivot and fact in objects
        alike = similarity(normalise(text), normalise(objects[fact])) if known else None
        rows.append((fact, lang, None if alike is None else _surface(alike)))
    schema = {"fact_id": pl.String(), "lang": pl.String(), "surface": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _surface(alike: float) -> str:
    if alike == 1:
        return "same"
    return "cognate" if alike >= COGNATE else "disjoint"


def _exposures(fact_ids: list[str], config: ComposeConfig, lang: str) -> dict[str, float]:
    """Exposure of every fact by its drawn rank (rank 0 is told most)."""
    label = lang if config.dose_by == "cell" else ""
    ranked = ordered(fact_ids, config.seed, "dose", label)
    n, low, high = len(ranked), config.min_dose, config.max_dose
    if config.distribution == "zipf":
        return {f: max(low, high / (r + 1) ** config.zipf_exponent) for r, f in enumerate(ranked)}
    if config.distribution == "levels":
        levels = sorted(config.levels, reverse=True)
        return {f: float(levels[r * len(levels) // n]) for r, f in enumerate(ranked)}
    return {f: low * (high / low) ** (1 - (r + 0.5) / n) for r, f in enumerate(ranked)}
