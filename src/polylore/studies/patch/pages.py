"""The report of a patch run, put together from its tables."""

from collections.abc import Mapping, Sequence

import polars as pl

from polylore.errors import DataError
from polylore.report import Page, Report
from polylore.studies.patch.context import PatchContext
from polylore.studies.patch.findings import findings
from polylore.studies.patch.sections.answers import answers_page
from polylore.studies.patch.sections.emergence import emergence_page
from polylore.studies.patch.sections.method import method_page
from polylore.studies.patch.sections.onsets import onsets_page

_PARTS = (onsets_page, emergence_page, answers_page, method_page)


def build_report(
    tables: Mapping[str, pl.DataFrame],
    *,
    seen: Sequence[str] = (),
    preset: str = "default",
    provenance: Mapping[str, str] | None = None,
) -> Report:
    """The report of a finished patch run.

    Args:
        tables: CHECKPOINTS and the derived tables of `patch` by name; parts whose tables are
            absent or empty are left out.
        seen: languages that the model is known to be trained on.
        preset: `paper` or `default`.
        provenance: where the numbers come from.

    Raises:
        DataError: there are no curves or no checkpoints.
    """
    for name in ("checkpoints", "patch_curves"):
        if name not in tables or not tables[name].height:
            raise DataError(f"The report needs the table {name}; run `polylore patch score` first.")
    context = PatchContext(tables, tuple(seen), preset)
    pages: list[Page] = [page for part in _PARTS if (page := part(context)) is not None]
    return Report(
        title=f"Concepts inside {tables['checkpoints']['model'][0]}",
        subtitle="When does a shared space of concepts appear, and is patching a concept from it "
        "really better translation?",
        glance=_glance(context),
        findings=findings(context),
        pages=tuple(pages),
        provenance=dict(provenance or {}),
    )


def _glance(context: PatchContext) -> tuple[tuple[str, str], ...]:
    curves = context.tables["patch_curves"].filter(pl.col("lang_a") != "all")
    items = curves["n_items"].max()
    return (
        (str(curves.select("lang_a", "lang_b").n_unique()), "language pairs"),
        (str(items), "pairs of concepts"),
        (str(context.checkpoints.height), "checkpoints"),
        (str(curves.filter(pl.col("intervention") != "none")["setting"].n_unique()), "vectors"),
    )
