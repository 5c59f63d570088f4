"""The tables of a report as LaTeX, ready for a paper.

They need the packages booktabs and longtable, and an engine that reads Unicode (LuaLaTeX, XeLaTeX).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polylore.files import atomic_path
from polylore.report import languages
from polylore.report.export import safe_name
from polylore.report.model import Report, TableView
from polylore.report.tabular import ROW_LIMIT, table_values

LONG = 40
"""Rows from which on a table may break over pages."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$", "−": r"$-$", "×": r"$\times$", "∞": r"$\infty$",
}  # fmt: skip


def export_latex(report: Report, folder: str | Path) -> list[Path]:
    """Write every table of a report as `<folder>/<table id>.tex`.

    Every text comes from data, so all characters that mean something to LaTeX are escaped. Rows
    beyond the limit of the page are left out; the whole table is in the run folder.

    Returns:
        The files written, in order.

    Raises:
        DataError: a table's id cannot be a file name.
    """
    written = []
    for page in report.pages:
        for block in page.blocks:
            if isinstance(block, TableView):
                path = Path(folder) / f"{safe_name(block.id)}.tex"
                with atomic_path(path) as temporary:
                    temporary.write_text("\n".join(_lines(block)) + "\n", encoding="utf-8")
                written.append(path)
    return written


def _lines(view: TableView) -> Iterator[str]:
    made = table_values(view)
    columns, values = made["columns"], made["values"]
    n = made["rows"]
    right = [view.frame.schema[c["name"]].is_numeric() for c in columns]
    spec = "".join("r" if numeric else "l" for numeric in right)
    head = " & ".join(escape(c["label"]) for c in columns) + r" \\"
    caption = rf"\caption{{{escape(view.title)}. {escape(view.caption)}}}"
    label = rf"\label{{tab:{view.id}}}"
    rows = [
        " & ".join(_cell(values[c["name"]][at], c["format"]) for c in columns) + r" \\"
        for at in range(n)
    ]
    if made["all_rows"] > n:
        yield f"% the first {ROW_LIMIT} of {made['all_rows']} rows"
    if n > LONG:
        yield from (rf"\begin{{longtable}}{{{spec}}}", caption + label + r" \\", r"\toprule", head)
        yield from (r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead")
        yield from (r"\bottomrule", r"\endfoot", *rows, r"\end{longtable}")
    else:
        yield from (r"\begin{table}", r"\centering", caption, label)
        yield from (rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *rows)
        yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def escape(text: str) -> str:
    """A text that LaTeX prints as it is, on one line."""
    return "".join(_SPECIAL.get(c, c) if c.isprintable() else " " for c in text)


def _cell(value: Any, form: str) -> str:
    if value is None or value == []:
        return "--"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        if form == "interval":
            middle, low, high = (_cell(part, "number") for part in value)
            return middle if low == "--" else f"{middle} [{low}, {high}]"
        return escape(", ".join(str(part) for part in value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{100 * value:.1f}" if form == "share" else f"{value:.3f}".rstrip("0").rstrip(".")
        text = text.replace("-", "$-$", 1) if text.startswith("-") else text
        return rf"{text}\,\%" if form == "share" else text
    return escape(languages.name(value) if form == "lang" else str(value))
