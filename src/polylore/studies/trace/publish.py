"""What people look at: the report, every figure, and every table in a form anything can open."""

import shutil
from collections.abc import Callable
from pathlib import Path

from polylore.files import atomic_path
from polylore.report import export_figures, export_tables, write_html
from polylore.runs import RunFolder
from polylore.studies.trace.pages import build_report
from polylore.studies.trace.published_form import write_published_form

Progress = Callable[[int, int, str], None]

RAW = ("answers", "candidate_scores")
CSV_ROWS = 500_000
"""Tables with more rows are left as Parquet alone: a spreadsheet could not open them anyway."""


def publish(run: RunFolder, progress: Progress | None = None) -> Path:
    """Write `report.html`, `figures/` and `tables/`; returns the report's path.

    In the published preset also `published_form/`, see `write_published_form`.
    """
    show = progress or (lambda done, total, what: None)
    show(0, 3, "writing the report")
    frames = {name: run.table(name) for name in run.table_names() if name not in RAW}
    frames |= {name: run.read(name) for name in RAW}
    export_tables({k: v for k, v in frames.items() if v.height <= CSV_ROWS}, run.path / "tables")
    for name, frame in frames.items():
        if frame.height > CSV_ROWS:
            run.write_table(name, frame)
    show(1, 3, "writing the report")
    report = build_report(run)
    path = write_html(report, run.path / "report.html")
    show(2, 3, "writing the report")
    # As a whole, so that no figure of an earlier analysis stays behind.
    with atomic_path(run.path / "figures") as folder:
        shutil.rmtree(folder, ignore_errors=True)
        export_figures(report, folder)
        folder.mkdir(exist_ok=True)
    preset = run.manifest.get("config", {}).get("preset")
    if preset == "paper" and run.has_table("cells") and run.table("cells").height:
        write_published_form(run.table("cells"), run.table("facts"), run.path / "published_form")
    show(3, 3, "writing the report")
    return path
