"""The report of a run of `align`, put together from its tables."""

from collections.abc import Mapping

import polars as pl

from polylore.errors import DataError
from polylore.report import Page, Report
from polylore.studies.align.context import AlignContext
from polylore.studies.align.findings import findings
from polylore.studies.align.sections.arms import arms_page
from polylore.studies.align.sections.claims import claims_page
from polylore.studies.align.sections.conduct import conductivity_page
from polylore.studies.align.sections.consistency import consistency_page
from polylore.studies.align.sections.performance import performance_page
from polylore.studies.align.sections.trust import trust_page

_PARTS = (trust_page, arms_page, performance_page, consistency_page, conductivity_page, claims_page)


def build_report(
    tables: Mapping[str, pl.DataFrame],
    *,
    pivot: str = "en",
    provenance: Mapping[str, str] | None = None,
) -> Report:
    """The report of a scored run.

    Args:
        tables: the derived tables of `align` by name; parts whose tables are absent are left out.
        pivot: language that the others are compared with.
        provenance: where the numbers come from.

    Raises:
        DataError: nothing was scored.
    """
    context = AlignContext(tables, pivot)
    if context.table("align_cells") is None and context.table("align_conductivity") is None:
        raise DataError("Nothing was scored, so there is nothing to report; ask a model first.")
    made = [part(context) for part in _PARTS]
    pages: list[Page] = [page for page in made if page is not None]
    return Report(
        title="Knowledge across languages",
        subtitle="How good is each language, are the same items right, and does knowledge carry "
        "over?",
        glance=_glance(context),
        findings=findings(context),
        pages=tuple(pages),
        provenance=dict(provenance or {}),
    )


def _glance(context: AlignContext) -> tuple[tuple[str, str], ...]:
    cells, trust = context.table("align_cells"), context.table("align_trust")
    found = context.table("align_conductivity")
    numbers = []
    if cells is not None:
        numbers += [
            (cells["model"].n_unique(), "models"),
            (cells["dataset"].n_unique(), "sets"),
            (cells["lang"].n_unique(), "languages"),
        ]
    if trust is not None:
        numbers.append((int(trust["usable"].sum()), "usable cells"))
    if found is not None:
        numbers += [
            (found["run_id"].n_unique(), "runs taught invented facts"),
            (found.select("source", "target").n_unique(), "pairs of languages"),
        ]
    return tuple((str(n), words if n != 1 else _ONE.get(words, words)) for n, words in numbers)


_ONE = {
    "models": "model",
    "sets": "set",
    "languages": "language",
    "usable cells": "usable cell",
    "runs taught invented facts": "run taught invented facts",
    "pairs of languages": "pair of languages",
}
