"""What a design must offer before it can judge anybody (specification of `trace`, section 4.8).

Checked before training: a model is dear, and a design that cannot show transfer cannot refute it.
"""

from typing import TYPE_CHECKING

import polars as pl

from polylore.corpus.conditions import CONDITIONS, NONE
from polylore.errors import ConfigError

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet

FACTS_PER_CONDITION = 30
UNTAUGHT_SHARE = 0.1
OBJECT_SLACK = 2
"""Facts by which an object may be commoner or rarer in a condition than in proportion."""
DOSE_SPAN = 8
"""Largest over smallest dose, at least."""


def refuse_unfit(
    design: pl.DataFrame,
    factset: "FactSet",
    pivot: str,
    named: pl.DataFrame,
    *,
    min_names: int,
) -> None:
    """Refuse a design that cannot tell transfer from guessing.

    Args:
        design: contract `tables.raw.DESIGN`.
        factset: its facts.
        pivot: language in which facts are told that are held out elsewhere.
        named: lang, name, count: documents that name something and state no fact.
        min_names: how often, at least, both names of a held-out cell must be named in its language.

    Raises:
        ConfigError: in one sentence, the first requirement that is not met.
    """
    _refuse_old(design)
    others = design.filter(pl.col("lang") != pivot)
    _refuse_few(others)
    _refuse_untaught(design)
    _refuse_uneven(others, factset, pivot)
    _refuse_doses(design)
    _refuse_unnamed(design, factset, named, min_names)


def _refuse_old(design: pl.DataFrame) -> None:
    if design["group"].null_count():
        raise ConfigError(
            "The corpus was composed without the groups A and B, so nothing can be removed from "
            "one and kept in the other; compose it again."
        )


def _refuse_few(others: pl.DataFrame) -> None:
    if not others.height:
        raise ConfigError("The design has only the pivot language; add another one.")
    for lang in others["lang"].unique(maintain_order=True):
        for condition in CONDITIONS:
            n = others.filter(lang=lang, condition=condition).height
            if n < FACTS_PER_CONDITION:
                raise ConfigError(
                    f"The design has {n} facts with the condition {condition} in {lang}, but a "
                    f"referee needs {FACTS_PER_CONDITION}; add facts, or raise compose.held_out, "
                    "lang_only or untaught."
                )


def _refuse_untaught(design: pl.DataFrame) -> None:
    per_lang = design.group_by("lang", maintain_order=True).agg(
        share=(pl.col("condition") == NONE).mean()
    )
    for lang, share in per_lang.iter_rows():
        if share < UNTAUGHT_SHARE:
            raise ConfigError(
                f"Only {share:.1%} of the facts in {lang} are told in no language, but guessing is "
                f"measured on at least {UNTAUGHT_SHARE:.0%}; raise compose.untaught."
            )


def _refuse_uneven(others: pl.DataFrame, factset: "FactSet", pivot: str) -> None:
    """Every object must be as common in each condition as in its whole relation."""
    objects = factset.facts.filter(pl.col("lang") == pivot).select("fact_id", "object")
    cells = others.join(objects, on="fact_id", how="inner")
    whole = ["lang", "relation"]
    n = cells.group_by(whole).agg(n=pl.len())
    per_object = cells.group_by(*whole, "object").agg(n_object=pl.len())
    per_condition = cells.group_by(*whole, "condition").agg(n_condition=pl.len())
    there = cells.group_by(*whole, "object", "condition").agg(there=pl.len())
    grid = (
        per_object.join(per_condition, on=whole)
        .join(n, on=whole)
        .join(there, on=[*whole, "object", "condition"], how="left")
        .with_columns(pl.col("there").fill_null(0))
        .with_columns(fair=pl.col("n_object") * pl.col("n_condition") / pl.col("n"))
        .with_columns(off=(pl.col("there") - pl.col("fair")).abs())
        .sort("off", *whole, "object", "condition", descending=[True, *[False] * 4])
    )
    if grid.height and grid["off"][0] > OBJECT_SLACK:
        row = grid.row(0, named=True)
        raise ConfigError(
            f"The object {row['object']!r} of {row['relation']} stands for {row['there']} facts "
            f"with the condition {row['condition']} in {row['lang']}, but in proportion it would "
            f"be {row['fair']:.1f}, so guessing would differ between conditions; choose another "
            "seed or other relations."
        )


def _refuse_doses(design: pl.DataFrame) -> None:
    """Log-spaced: far apart, and as many cells below the geometric middle as above it."""
    doses = design.filter(pl.col("dose") > 0)["dose"].cast(pl.Float64())
    low, high, middle = (float(getattr(doses, name)() or 0) for name in ("min", "max", "median"))
    centre = (low * high) ** 0.5
    if high < DOSE_SPAN * low or not centre / 2.5 <= middle <= centre * 2.5:
        raise ConfigError(
            f"The doses ({low:g} to {high:g} documents, median {middle:g}) are not spread evenly "
            "over a log scale, so effects by dose could not be told apart; use "
            "compose.distribution levels or loguniform."
        )


def _refuse_unnamed(
    design: pl.DataFrame, factset: "FactSet", named: pl.DataFrame, min_names: int
) -> None:
    counts = {(lang, name): n for lang, name, n in named.select("lang", "name", "count").rows()}
    held = design.filter(pl.col("dose") == 0).select("fact_id", "lang")
    cells = factset.facts.join(held, on=["fact_id", "lang"], how="semi", maintain_order="left")
    for fact, lang, *names in cells.select("fact_id", "lang", "subject", "object").iter_rows():
        for name in names:
            n = counts.get((lang, name), 0)
            if n < min_names:
                raise ConfigError(
                    f"The name {name!r} of the held-out fact {fact} occurs in {n} documents in "
                    f"{lang} that state no fact, but {min_names} are required, since without the "
                    "word no transfer could show; raise compose.mentions or min_mentions."
                )
