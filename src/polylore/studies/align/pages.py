"""The report of a run of `align`, put together from its tables."""

from collections.abc import Mapping

import polars as pl

from polylore.errors import DataError
from polylore.report import Page, Report
from polylore.studies.align.context import AlignContext
from polylore.studies.align.findings import findings
from polylore.studies.align.sections.claims import claims_page
from polylore.studies.align.sections.conduct import conductivity_page
from polylore.studies.align.sections.consistency import consistency_page
from polylore.studies.align.sections.performance import performance_page
from polylore.studies.align.sections.trust import trust_page

_PARTS = (trust_page, performance_page, consistency_page, conductivity_page, claims_page)


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
    for name in ("align_cells", "align_trust"):
        if name not in tables or not tables[name].height:
            raise DataError(f"The report needs the table {name}; the run holds no scored answers.")
    context = AlignContext(tables, pivot)
    cells = tables["align_cells"]
    made = [part(context) for part in _PARTS]
    pages: list[Page] = [page for page in made if page is not None]
    return Report(
        title="Knowledge across languages",
        subtitle="How good is each language, are the same items right, and does knowledge carry "
        "over?",
        glance=(
            (str(cells["model"].n_unique()), "models"),
            (str(cells["dataset"].n_unique()), "sets"),
            (str(cells["lang"].n_unique()), "languages"),
            (str(int(tables["align_trust"]["usable"].sum())), "usable cells"),
        ),
        findings=findings(context),
        pages=tuple(pages),
        provenance=dict(provenance or {}),
    )
