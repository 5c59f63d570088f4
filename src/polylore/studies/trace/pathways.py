"""The part of the analysis that asks how a recalled fact got there."""

from collections.abc import Callable

import polars as pl

from polylore import metrics
from polylore.metrics import pathways as ways
from polylore.studies.trace.config import AnalyseConfig
from polylore.tables import ALL

Progress = Callable[[int, int, str], None]

NO_EXPOSURE = {
    "ckpt_id": pl.String(),
    "fact_id": pl.String(),
    "relation": pl.String(),
    "lang": pl.String(),
    "exposure": pl.Float64(),
    "exposure_kind": pl.String(),
}

_TABLES = (
    "cells",
    "no_donor_curve",
    "transfer_rate",
    "composition",
    "ladder",
    "controls",
    "balance",
    "transfer_controls",
    "hazard",
    "lag_expected",
)
"""What `pathway_tables` returns."""


def pathway_matcher(grades: pl.DataFrame, preset: str) -> str | None:
    """The one matcher that pathways are followed for: of free answers if there are any."""
    there = set(grades.drop_nulls("y")["matcher"].unique())
    order = ("paper", "default") if preset == "paper" else ("default", "paper")
    return next((m for m in (*order, "candidates") if m in there), None)


def rules_of(config: AnalyseConfig, counted: pl.DataFrame | None) -> ways.PathwayRules:
    """The rules that an analysis asks for and its counts allow.

    Args:
        config: settings of the analysis.
        counted: table EXPOSURE; without one strings are all that is known.
    """
    conditioned = counted is not None and counted.height > 0 and counted["lang_conditioned"].all()
    # The published policy lets one string stand for both the subject and the object.
    overlapping = counted is not None and (counted["policy_id"] == "paper").any()
    return ways.PathwayRules(
        pivot=config.pivot,
        donors=config.donors,
        curve=config.curve,
        sustained=config.sustained,
        string_level=not conditioned or overlapping,
    )


def guesses_of(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    matcher: str,
    scores: pl.DataFrame | None,
    copied: pl.DataFrame | None,
) -> pl.DataFrame:
    """Guess strength of every answer under one matcher: frame of `ways.guesses`."""
    named = pl.col("matcher").is_in(list({matcher, "default", "paper"}))
    some = scores if scores is not None and scores.height else None
    found = ways.guesses(grades.filter(named), facts, scores=some, copied=copied)
    return found.filter(matcher=matcher)


def pathway_tables(
    *,
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame | None,
    rules: ways.PathwayRules,
    matcher: str,
    scores: pl.DataFrame | None,
    copied: pl.DataFrame | None,
    draws: metrics.Draws | None,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Every table about pathways, by name.

    Args:
        grades: table GRADES of the headline wordings, all matchers.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        exposure: frame of `metrics.exposure_at`, or nothing.
        rules: pivot, donors, form of the curve.
        matcher: matcher whose right answers are explained.
        scores: table CANDIDATE_SCORES, if there are candidates.
        copied: frame of `metrics.copied_demos`, if there are demonstrations.
        draws: bootstrap draws.
        seed: seed of permutations and simulated worlds.
        progress: called with (done, total, what).
    """
    counted = pl.DataFrame(schema=NO_EXPOSURE) if exposure is None else exposure
    own = grades.filter(matcher=matcher)
    guesses = guesses_of(grades, facts, matcher, scores, copied)
    gold = None if scores is None else metrics.gold_evidence(grades, scores, facts)
    paper = grades.filter(matcher="paper") if matcher != "paper" else None
    course = ways.Course.of(own, facts, checkpoints, counted, guesses, rules, draws=draws)
    if not course.ckpt_ids:  # every checkpoint is suspect, so there is no course to follow
        return {name: ALL[name].empty() for name in _TABLES}
    found = ways.pathways([course], checkpoints, draws=draws, progress=progress)
    cells = ways.with_raw(found.cells, paper=paper, exposure=counted, gold=gold)
    last = course.ckpt_ids[-1]
    pivot = rules.pivot
    pairs, balance = ways.matched_controls(cells, checkpoints, pivot=pivot, seed=seed)
    ladder = ways.classifier_ladder(cells, facts, checkpoints, pivot=pivot, draws=draws)
    by_language = ways.classifier_ladder(
        cells.filter(ckpt_id=last), facts, checkpoints, pivot=pivot, by_language=True, draws=draws
    )
    return {
        "cells": cells,
        "no_donor_curve": found.curves,
        "transfer_rate": found.rates,
        "composition": found.composition,
        "ladder": pl.concat([ladder, by_language]),
        "controls": pairs,
        "balance": balance,
        "transfer_controls": ways.transfer_controls(
            course, checkpoints, ckpt_id=last, draws=draws, seed=seed
        ),
        "hazard": ways.hazard(course, draws=draws, seed=seed),
        "lag_expected": ways.lag_expected(
            own,
            checkpoints,
            counted,
            found.curves,
            pivot=pivot,
            k=rules.sustained,
            seed=seed,
        ),
    }
