"""Writes what people look at of a trace."""

from collections.abc import Callable
from pathlib import Path

from polylore.runs import RunFolder
from polylore.studies.outputs import write_outputs
from polylore.studies.trace.pages import build_report
from polylore.studies.trace.published_form import write_published_form

Progress = Callable[[int, int, str], None]

RAW = ("answers", "candidate_scores")


def publish(run: RunFolder, progress: Progress | None = None) -> Path:
    """Write `report.html`, `figures/` and `tables/`; returns the report's path.

    In the published preset also `published_form/`, see `write_published_form`.
    """
    frames = {name: run.table(name) for name in run.table_names() if name not in RAW}
    frames |= {name: run.read(name) for name in RAW}
    preset = run.manifest.get("config", {}).get("preset")
    if preset == "paper" and run.has_table("cells") and run.table("cells").height:
        write_published_form(run.table("cells"), run.table("facts"), run.path / "published_form")
    return write_outputs(run, lambda: build_report(run), frames, progress)
