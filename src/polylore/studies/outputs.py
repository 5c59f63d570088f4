"""What people look at: the report, every figure, and every table in a form anything can open."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from polylore.files import atomic_path
from polylore.report import (
    Report,
    export_figures,
    export_latex,
    export_plotted,
    export_tables,
    write_html,
)
from polylore.runs import RunFolder

Progress = Callable[[int, int, str], None]

CSV_ROWS = 500_000
"""Tables with more rows are left as Parquet alone: a spreadsheet could not open them anyway."""


def write_outputs(
    run: RunFolder,
    build: Callable[[], Report],
    frames: Mapping[str, pl.DataFrame],
    progress: Progress | None = None,
    *,
    latex: bool = False,
) -> Path:
    """Write `report.html`, `figures/` with their numbers, and `tables/`; the report's path.

    Args:
        run: the folder to write into.
        build: makes the report.
        frames: tables by name.
        progress: called with (done, total, what).
        latex: also write `latex/`, the report's tables for a paper.
    """
    show = progress or (lambda done, total, what: None)
    show(0, 3, "writing the report")
    export_tables({k: v for k, v in frames.items() if v.height <= CSV_ROWS}, run.path / "tables")
    for name, frame in frames.items():
        if frame.height > CSV_ROWS:
            run.write_table(name, frame)
    show(1, 3, "writing the report")
    report = build()
    path = write_html(report, run.path / "report.html")
    show(2, 3, "writing the report")
    # As a whole, so that no figure of an earlier analysis stays behind.
    with atomic_path(run.path / "figures") as folder:
        shutil.rmtree(folder, ignore_errors=True)
        export_figures(report, folder)
        export_plotted(report, folder)
        folder.mkdir(exist_ok=True)
    if latex:
        with atomic_path(run.path / "latex") as folder:
            shutil.rmtree(folder, ignore_errors=True)
            export_latex(report, folder)
            folder.mkdir(exist_ok=True)
    show(3, 3, "writing the report")
    return path
