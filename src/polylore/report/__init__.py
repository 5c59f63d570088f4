"""Reports: one self-contained HTML file, figures as SVG and PNG, tables as Parquet, CSV, LaTeX."""

from polylore.report.export import export_figures, export_plotted, export_tables
from polylore.report.html import render, write_html
from polylore.report.latex import export_latex
from polylore.report.model import (
    ROWS,
    Block,
    Chart,
    Definitions,
    FactList,
    Finding,
    Page,
    Prose,
    Report,
    TableView,
    Verdict,
)
from polylore.report.tabular import interval
from polylore.report.verdicts import Case, judge, tally

__all__ = [
    "ROWS",
    "Block",
    "Case",
    "Chart",
    "Definitions",
    "FactList",
    "Finding",
    "Page",
    "Prose",
    "Report",
    "TableView",
    "Verdict",
    "export_figures",
    "export_latex",
    "export_plotted",
    "export_tables",
    "interval",
    "judge",
    "render",
    "tally",
    "write_html",
]
