"""Figures and tables as files."""

import xml.etree.ElementTree as ET
from pathlib import Path

import altair as alt
import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.report import (
    ROWS,
    Chart,
    Page,
    Report,
    export_figures,
    export_plotted,
    export_tables,
    shapes,
)
from polylore.report.export import figure


def test_every_figure_is_written(evil_report: Report, tmp_path: Path) -> None:
    written = export_figures(evil_report, tmp_path, formats=("svg",))
    assert [p.name for p in written] == [f"{c.id}.svg" for c in evil_report.charts()]
    for path, chart in zip(written, evil_report.charts(), strict=True):
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        text = " ".join(root.itertext())
        assert chart.title in text
        assert "Preset default" in text
        # Something is drawn beside the text.
        marks = [e for e in root.iter() if e.tag.endswith("path") and e.get("d")]
        # One for each language at least.
        assert len(marks) >= 4, chart.id


def test_every_figure_has_its_numbers(evil_report: Report, tmp_path: Path) -> None:
    written = export_plotted(evil_report, tmp_path)
    assert [p.name for p in written] == [f"{c.id}.csv" for c in evil_report.charts()]
    for path, chart in zip(written, evil_report.charts(), strict=True):
        read = pl.read_csv(path, infer_schema=False)
        assert read.height == chart.frame.height
        assert set(read.columns) <= set(chart.frame.columns)


def test_png_has_pixels(evil_report: Report, tmp_path: Path) -> None:
    chart = next(iter(evil_report.charts()))
    one = Report("r", "", (), (), (Page("p", "P", "", (chart,)),), {})
    (path,) = export_figures(one, tmp_path, formats=("png",))
    raw = path.read_bytes()
    assert raw.startswith(b"\x89PNG")
    width, height = (int.from_bytes(raw[i : i + 4], "big") for i in (16, 20))
    assert width > 1000
    assert height > 400


def test_figures_carry_their_data(evil_report: Report) -> None:
    for chart in evil_report.charts():
        spec = figure(chart)
        assert len(spec["datasets"][ROWS]) == chart.frame.height
        assert spec["data"] == {"name": ROWS}


def test_what_no_svg_can_hold_is_drawn_as_signs(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"letter": ["\x04", "\x7f", "\x9b", "\ufffe", "a\tb"], "n": [1, 2, 3, 4, 5]}
    )
    spec = {"mark": "bar", "encoding": {"x": {"field": "letter", "type": "nominal"},
            "y": {"field": "n", "type": "quantitative"}}, "data": {"name": ROWS}}  # fmt: skip
    chart = Chart("odd", "Said: \x00", "caption", "description", spec, frame)
    report = Report("r", "", (), (), (Page("p", "P", "", (chart,)),), {})
    svg, png = export_figures(report, tmp_path)
    drawn = "".join(ET.parse(svg).getroot().itertext())
    assert all(sign in drawn for sign in ("\u2404", "\u2421", "\ufffd", "Said: \u2400"))
    assert png.stat().st_size > 1000


def test_unknown_format_is_refused(evil_report: Report, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not as pdf"):
        export_figures(evil_report, tmp_path, formats=("pdf",))


def test_a_chart_cannot_choose_its_folder(evil_report: Report, tmp_path: Path) -> None:
    good = next(iter(evil_report.charts()))
    bad = Chart("../up", good.title, good.caption, good.description, good.spec, good.frame)
    report = Report("r", "", (), (), (Page("p", "P", "", (bad,)),), {})
    with pytest.raises(DataError, match="cannot be a file name"):
        export_figures(report, tmp_path / "figures")
    assert not list(tmp_path.rglob("up*"))


def test_tables_are_parquet_and_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ['a,"b"', "שלום"], "items": [["x", "y"], None], "n": [1, 2]})
    parquet, text = export_tables({"mixed": frame}, tmp_path)
    assert pl.read_parquet(parquet).equals(frame)
    back = pl.read_csv(text)
    assert back["text"].to_list() == frame["text"].to_list()
    assert back["items"].to_list() == ['["x", "y"]', None]
    with pytest.raises(DataError, match="cannot be a file name"):
        export_tables({"a/b": frame}, tmp_path)


def test_what_a_model_writes_cannot_end_the_process(tmp_path: Path) -> None:
    """Characters that XML has no place for abort the drawing library."""
    odd = "".join(map(chr, (*range(32), 0x7F, 0xFFFE, 0xFFFF)))
    frame = pl.DataFrame({"answer": [odd, "b"], "n": [1, 2]})
    bars = alt.Chart(alt.NamedData(name=ROWS)).mark_bar().encode(x="n:Q", y="answer:N")
    chart = Chart("odd", f"Answers {odd}", odd, odd, shapes.plain(bars), frame)
    report = Report("r", "", (), (), (Page("p", "P", "", (chart,)),), {})
    svg, png = export_figures(report, tmp_path)
    assert "Answers" in " ".join(ET.fromstring(svg.read_text(encoding="utf-8")).itertext())
    assert png.stat().st_size > 1000
