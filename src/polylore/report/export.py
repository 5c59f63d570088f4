"""Figures as SVG and PNG, tables as CSV beside Parquet."""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.files import atomic_path, write_parquet
from polylore.report import theme
from polylore.report.embed import vegalite_version
from polylore.report.model import ROWS, Chart, Report
from polylore.report.tabular import columns, plotted

_FONT = "Arial, Liberation Sans, Noto Sans, DejaVu Sans, sans-serif"
_WIDTHS = {"wide": 640, "half": 420}
_WRAP = {"wide": 120, "half": 88, "panels": 120}
_PANEL = 150
_PANEL_COLUMNS = 4
PNG_SCALE = 2.0
"""Pixels per unit of the figure."""


def export_figures(
    report: Report, folder: str | Path, formats: Sequence[str] = ("svg", "png")
) -> list[Path]:
    """Write every figure as `<folder>/<chart id>.<format>`, in the light theme on white.

    Returns the files written, in order.

    Raises:
        ConfigError: a format is neither svg nor png.
    """
    unknown = [f for f in formats if f not in ("svg", "png")]
    if unknown:
        raise ConfigError(f"Figures can be written as svg or png, not as {', '.join(unknown)}.")
    written = []
    for chart in report.charts():
        spec = figure(chart)
        for name in formats:
            path = Path(folder) / f"{safe_name(chart.id)}.{name}"
            with atomic_path(path) as temporary:
                temporary.write_bytes(_draw(spec, name))
            written.append(path)
    return written


def export_plotted(report: Report, folder: str | Path) -> list[Path]:
    """Write what every figure shows as `<folder>/<chart id>.csv`; returns the files, in order."""
    written = []
    for chart in report.charts():
        path = Path(folder) / f"{safe_name(chart.id)}.csv"
        with atomic_path(path) as temporary:
            plotted(chart.frame).write_csv(temporary)
        written.append(path)
    return written


def figure(chart: Chart) -> dict[str, Any]:
    """The whole Vega-Lite specification of a figure, data and title included."""
    spec = dict(chart.spec)
    values = columns(plotted(chart.frame))
    names = list(values)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]
    spec["title"] = {
        "text": chart.title,
        "subtitle": textwrap.wrap(chart.caption, _WRAP[chart.layout]),
    }
    spec["datasets"] = {ROWS: rows}
    if chart.layout == "panels":
        spec["columns"] = _PANEL_COLUMNS
        spec["spec"] = {**spec["spec"], "width": _PANEL}
    else:
        spec["width"] = _WIDTHS[chart.layout]
    config = theme.chart_config(theme.LIGHT, font=_FONT)
    spec["config"] = {**config, "background": "#ffffff", "padding": 16}
    clean: dict[str, Any] = _drawable(spec)
    return clean


_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _drawable(value: Any) -> Any:
    """The same with signs for characters that no SVG can hold, which would end the process.

    A model may answer anything, and what it answers may be a label.
    """
    if isinstance(value, str):
        return _UNDRAWABLE.sub(_sign, value)
    if isinstance(value, Mapping):
        return {_drawable(key): _drawable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(inner) for inner in value]
    return value


def _sign(found: re.Match[str]) -> str:
    code = ord(found.group())
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def _draw(spec: dict[str, Any], name: str) -> bytes:
    import vl_convert

    # No address is allowed: the data is in the specification, so nothing has to be fetched.
    options: dict[str, Any] = {"vl_version": vegalite_version(), "allowed_base_urls": []}
    if name == "svg":
        return str(vl_convert.vegalite_to_svg(spec, **options)).encode("utf-8")
    return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, **options))


def export_tables(frames: Mapping[str, pl.DataFrame], folder: str | Path) -> list[Path]:
    """Write every table as `<folder>/<name>.parquet` and `.csv`; lists become JSON in the CSV.

    Raises:
        DataError: a table's name cannot be a file name.
    """
    written = []
    for name, frame in frames.items():
        base = Path(folder) / safe_name(name)
        parquet, text = base.with_suffix(".parquet"), base.with_suffix(".csv")
        write_parquet(frame, parquet)
        with atomic_path(text) as temporary:
            flat(frame).write_csv(temporary)
        written += [parquet, text]
    return written


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with list columns as JSON text, which CSV can hold."""
    nested = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    return frame.with_columns(
        pl.Series(
            name,
            [
                None if cell is None else json.dumps(cell.to_list(), ensure_ascii=False)
                for cell in frame[name]
            ],
            dtype=pl.String,
        )
        for name in nested
    )


def safe_name(name: str) -> str:
    """The name, if it can be that of a file.

    Raises:
        DataError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise DataError(
            f"'{name}' cannot be a file name: use letters, digits, hyphens and underscores."
        )
    return name
