"""Pathways on published frequencies with labels whose truth is known (`trace`, section 9.4)."""

from typing import Any

import polars as pl

from polylore import metrics
from polylore.metrics import pathways as ways

QUOTED = ("en", "fr", "ar", "zh", "ru", "ja", "ko")
"""Languages that the specification gives numbers for."""
DRAWS = 400
PLANTED = 0.25


def pathway_statistics(
    facts: pl.DataFrame, checkpoints: pl.DataFrame, exposure: pl.DataFrame, *, pivot: str
) -> dict[str, Any]:
    """What the method finds where nothing transfers, and where a quarter does.

    Args:
        facts: table FACTS.
        checkpoints: table CHECKPOINTS with a single checkpoint.
        exposure: frame of `metrics.exposure_at`.
        pivot: pivot language.

    Returns:
        `quoted` (the languages of the specification, if all are there) and `all`; in each `null`
        and `planted` with the curve, the rate, labels and composition of every language (`all`: but
        the pivot together), and the ladder of classifiers.
    """
    there = facts["lang"].unique(maintain_order=True).to_list()
    sets = {"all": there}
    if set(QUOTED) <= set(there):
        sets = {"quoted": [lang for lang in there if lang in QUOTED], **sets}
    return {
        name: _worlds(
            facts.filter(pl.col("lang").is_in(langs)),
            checkpoints,
            exposure.filter(pl.col("lang").is_in(langs)),
            pivot,
        )
        for name, langs in sets.items()
    }


def _worlds(
    facts: pl.DataFrame, checkpoints: pl.DataFrame, exposure: pl.DataFrame, pivot: str
) -> dict[str, Any]:
    draws = metrics.cluster_draws(facts, n=DRAWS)
    rules = ways.PathwayRules(pivot, curve="pooled")
    labels = {
        "null": metrics.null_labels(exposure),
        "planted": metrics.planted_labels(exposure, pivot=pivot, share=PLANTED),
    }
    found: dict[str, Any] = {}
    for name, grades in labels.items():
        strengths = ways.guesses(grades, facts)
        course = ways.Course.of(grades, facts, checkpoints, exposure, strengths, rules, draws=draws)
        made = ways.pathways([course], checkpoints, draws=draws)
        ladder = ways.classifier_ladder(made.cells, facts, checkpoints, pivot=pivot)
        found[name] = {
            "true_rate": 0.0 if name == "null" else PLANTED,
            "curve": made.curves.filter(form="main").select(
                "n", "right", "intercept", "slope", "half_exposure"
            ).row(0, named=True),
            "rates": _by_lang(
                made.rates.filter(relation="all"),
                ["n", "right", "expected", "t", "t_lo", "t_hi", "supported", "claimed"],
            ),
            "composition": _by_lang(
                made.composition.filter(relation="all", stratum="all"),
                ["right", "n_frequency", "n_copied", "n_transfer", "n_guess", "n_unexplained",
                 "n_paper_fn", "e_transfer", "e_transfer_lo", "e_transfer_hi"],
            ),
            "ladder": ladder.select("model", "auc", "logloss", "accuracy", "majority").to_dicts(),
        }  # fmt: skip
    return found


def _by_lang(frame: pl.DataFrame, columns: list[str]) -> dict[str, Any]:
    rows = frame.select("lang", *columns).iter_rows(named=True)
    return {row.pop("lang"): row for row in rows}
