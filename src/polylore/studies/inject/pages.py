"""The report of a run of `inject`, put together from its tables."""

from collections.abc import Mapping

import polars as pl

from polylore.errors import DataError
from polylore.report import Page, Report
from polylore.studies.inject.context import InjectContext, plural
from polylore.studies.inject.findings import findings
from polylore.studies.inject.sections.claims import claims_page
from polylore.studies.inject.sections.contrasts import contrasts_page
from polylore.studies.inject.sections.course import course_page
from polylore.studies.inject.sections.forgetting import forgetting_page
from polylore.studies.inject.sections.gain import gain_page
from polylore.studies.inject.sections.method import method_page
from polylore.studies.inject.sections.thresholds import threshold_page
from polylore.studies.inject.sections.transfer import transfer_page
from polylore.studies.inject.sections.trust import trust_page
from polylore.tables.inject import RUNS

_PARTS = (trust_page, course_page, gain_page, forgetting_page, threshold_page, transfer_page,
          contrasts_page, claims_page, method_page)  # fmt: skip
SUBTITLE = (
    "Fictional facts were put into a model's training at known steps. How fast are they picked "
    "up, how fast lost, and do they arrive in other languages? After Chang et al. 2024; no number "
    "here is the paper's."
)


def build_report(
    tables: Mapping[str, pl.DataFrame],
    *,
    main: str,
    missing: pl.DataFrame | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Report:
    """The report of a run, finished or not.

    Args:
        tables: derived tables of `inject` and inject_runs, inject_dose (with run_id), by name;
            parts whose tables are absent or empty are left out.
        main: the condition that arms are compared in.
        missing: training runs that are not there; contract RUNS.
        provenance: where the numbers come from.

    Raises:
        DataError: no gain was computed, not even a reason why not.
    """
    for name in ("inject_runs", "inject_effectivity"):
        if name not in tables or not tables[name].height:
            raise DataError(f"The report needs the table {name}; the run holds no readings.")
    gone = RUNS.empty() if missing is None else missing
    context = InjectContext(tables, main, gone)
    pages: list[Page] = [page for part in _PARTS if (page := part(context)) is not None]
    return Report(
        title="How a fact comes and goes",
        subtitle=SUBTITLE,
        glance=_glance(context),
        findings=findings(context),
        pages=tuple(pages),
        provenance=dict(provenance or {}),
    )


def _glance(context: InjectContext) -> tuple[tuple[str, str], ...]:
    runs, planned = context.runs.height, context.runs.height + context.missing.height
    claims = context.table("inject_claims")
    shown = 0 if claims is None else claims.filter(verdict="shown").height
    of = 0 if claims is None else claims.filter(pl.col("case").is_not_null()).height
    there = f"{runs} of {planned}" if planned > runs else str(runs)
    return (
        (there, f"training {plural(planned, 'run')}"),
        (str(context.seeds), plural(context.seeds, "seed")),
        (str(context.items), "injected items"),
        (str(len(context.arms)), plural(len(context.arms), "arm")),
        (str(len(context.langs)), plural(len(context.langs), "language")),
        (f"{shown} of {of}", "cases of claims shown"),
    )
