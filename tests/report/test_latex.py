"""Tables as LaTeX: nothing from data is a command, and every cell is there."""

import re
from pathlib import Path

import polars as pl
import pytest

from polylore.report import Page, Report, TableView, export_latex, interval
from polylore.report.latex import escape

EVIL = r"\input{/etc/passwd} 100 % & $x_1^2$ #1 ~ {a}"


def written(view: TableView, folder: Path) -> str:
    report = Report("t", "s", (), (), (Page("p", "P", "lead", (view,)),), {})
    (path,) = export_latex(report, folder)
    assert path.name == f"{view.id}.tex"
    return path.read_text(encoding="utf-8")


def test_cells(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"model": ["a_b", "c"], "lang": ["de", "zh"], "acc": [0.5, None], "co": [-0.25, 0.125],
         "co_lo": [-0.5, None], "co_hi": [0.0, None], "n": [10, 20], "used": [True, False]}
    ).with_columns(interval("co", "co_lo", "co_hi"))  # fmt: skip
    view = TableView(
        "cells", "Every cell", "What is right.", frame,
        {"model": "Model", "lang": "Language", "acc": "Right", "co_ci": "CO", "n": "n",
         "used": "Used"},
        {"lang": "lang", "acc": "share", "co_ci": "interval"},
    )  # fmt: skip
    text = written(view, tmp_path)
    assert r"\begin{tabular}{llrlrl}" in text
    assert r"Model & Language & Right & CO & n & Used \\" in text
    assert r"a\_b & German & 50.0\,\% & $-$0.25 [$-$0.5, 0] & 10 & yes \\" in text
    assert r"c & Chinese & -- & 0.125 & 20 & no \\" in text
    assert r"\label{tab:cells}" in text


def test_texts_are_never_commands(tmp_path: Path) -> None:
    view = TableView("evil", EVIL, EVIL, pl.DataFrame({"text": [EVIL, "a\nb"]}), {"text": EVIL})
    text = written(view, tmp_path)
    known = {"begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule",
             "textbackslash", "textasciitilde", "textasciicircum"}  # fmt: skip
    assert set(re.findall(r"\\([a-z]+)", text)) <= known
    assert "passwd" in text
    assert "a b" in text
    bare = text.replace(r"\\", "")
    assert not re.findall(r"(?<!\\)[%&#$~^](?!-)", bare.replace(r"\&", "").replace(" & ", ""))


@pytest.mark.parametrize(("rows", "kind"), [(40, "table"), (41, "longtable")])
def test_long_tables_break_over_pages(tmp_path: Path, rows: int, kind: str) -> None:
    text = written(TableView("t", "T", "c", pl.DataFrame({"n": list(range(rows))})), tmp_path)
    assert text.count(rf"\begin{{{kind}}}") == text.count(rf"\end{{{kind}}}") == 1
    assert all(f"\n{n} \\\\\n" in text for n in range(rows))


def test_escape_keeps_other_scripts() -> None:
    assert escape("Köln 東京 עברית") == "Köln 東京 עברית"
