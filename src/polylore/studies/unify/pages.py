"""The report of a sweep, put together from its tables."""

from collections.abc import Mapping

import polars as pl

from polylore.errors import DataError
from polylore.report import Block, Page, Report
from polylore.studies.unify.context import MISSING, UnifyContext, plural
from polylore.studies.unify.findings import findings
from polylore.studies.unify.sections.causal import causal_page
from polylore.studies.unify.sections.causes import causes_page
from polylore.studies.unify.sections.course import course_page
from polylore.studies.unify.sections.data import data_page
from polylore.studies.unify.sections.link import link_page
from polylore.studies.unify.sections.method import method_page
from polylore.studies.unify.sections.pictures import pictures_page
from polylore.studies.unify.sections.runs import notes, runs_page
from polylore.studies.unify.sections.transfer import transfer_page

_PARTS = (transfer_page, causes_page, course_page, pictures_page, link_page, causal_page, data_page,
          runs_page, method_page)  # fmt: skip
SUBTITLE = (
    "Controlled worlds after Blum et al. 2025. Reproduced is only the direction of the abstract's "
    "claims C1 to C5, on small networks and worlds of our own: no number here is the paper's, or "
    "meant to match it."
)


def build_report(
    tables: Mapping[str, pl.DataFrame],
    *,
    sizes: Mapping[str, str] | None = None,
    missing: pl.DataFrame | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Report:
    """The report of a sweep, finished or not.

    Args:
        tables: RUNS and the derived tables of `unify` by name, and STATES of a few runs; parts
            whose tables are absent or empty are left out.
        sizes: preset of each condition's size.
        missing: runs that are not there: condition, seed, why.
        provenance: where the numbers come from.

    Raises:
        DataError: there are no runs, or tables that every report needs are absent.
    """
    for name in ("unify_runs", "unify_course", "unify_unification", "unify_probe"):
        if name not in tables or (name != "unify_probe" and not tables[name].height):
            raise DataError(f"The report needs the table {name}; run `polylore unify sweep` first.")
    gone = pl.DataFrame(schema=MISSING) if missing is None else missing
    context = UnifyContext(tables, dict(sizes or {}), gone)
    pages = [page for part in _PARTS if (page := part(context)) is not None]
    caution = notes(context)
    if caution is not None:
        blocks: tuple[Block, ...] = (caution, *pages[0].blocks)
        pages[0] = Page(pages[0].id, pages[0].title, pages[0].lead, blocks)
    return Report(
        title="When two languages share one fact",
        subtitle=SUBTITLE,
        glance=_glance(context),
        findings=findings(context),
        pages=tuple(pages),
        provenance=dict(provenance or {}),
    )


def _glance(context: UnifyContext) -> tuple[tuple[str, str], ...]:
    runs = context.runs.height
    planned = runs + context.missing.height
    conditions, seeds = context.conditions.height, context.runs["seed"].n_unique()
    labels = context.conditions["label"]
    found: list[tuple[str, str]] = [
        (f"{runs} of {planned}" if planned > runs else str(runs), plural(planned, "run")),
        (str(conditions), plural(conditions, "condition")),
        (str(seeds), plural(seeds, "seed")),
    ]
    if labels.count():
        found += [(str(int((labels == n).sum())), n) for n in ("unified", "partial", "separated")]
    return tuple(found)
