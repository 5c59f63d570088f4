"""Frames as compact column-wise JSON values, for the page's tables and charts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.report.model import TableView

ROW_LIMIT = 5000
"""Rows of one table inside the page; the whole table is in the run folder."""


def interval(value: str, low: str = "lo", high: str = "hi") -> pl.Expr:
    """Column `<value>_ci` = [value, low, high], for the format `interval`."""
    parts = [pl.col(name).cast(pl.Float64) for name in (value, low, high)]
    return pl.concat_list(parts).alias(f"{value}_ci")


def plotted(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that a chart can draw: all but lists."""
    return frame.select(
        name for name, dtype in frame.schema.items() if not isinstance(dtype, pl.List)
    )


def plain_value(value: Any) -> Any:
    """A JSON value: short floats, infinity as a sign, NaN as null, lists element by element."""
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {str(k): plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple | pl.Series):
        return [plain_value(v) for v in value]
    return str(value)


def columns(frame: pl.DataFrame) -> dict[str, list[Any]]:
    """Column name to JSON values."""
    return {name: [plain_value(v) for v in frame[name].to_list()] for name in frame.columns}


def table_values(view: TableView) -> dict[str, Any]:
    """What the page's script needs to show one table.

    Raises:
        DataError: the view names a column that its frame does not have.
    """
    labels = dict(view.labels) or {name: name for name in view.frame.columns}
    # A column that says nothing anywhere, such as reasons when nothing failed, is left out.
    void = [n for n in list(labels)[1:] if n in view.frame and view.frame[n].is_null().all()]
    labels = {name: label for name, label in labels.items() if name not in void}
    formats = {
        name: view.formats.get(name) or _guess(view.frame.schema[name])
        for name in labels
        if name in view.frame.columns
    }
    hidden = {f.split("@")[1] for f in formats.values() if "@" in f} - set(labels)
    sort_key = {view.sort[0]} - set(labels) if view.sort else set()
    wanted = [*labels, *sorted(hidden | sort_key)]
    absent = [name for name in wanted if name not in view.frame.columns]
    if absent:
        raise DataError(f"Table {view.id} of the report has no column {', '.join(absent)}.")
    frame = view.frame
    if view.sort:
        # Sorted before it is cut, so that a long table keeps its most telling rows.
        frame = frame.sort(view.sort[0], descending=view.sort[1], nulls_last=True,
                           maintain_order=True)  # fmt: skip
    shown = frame.head(ROW_LIMIT)
    return {
        "columns": [
            {"name": name, "label": label, "format": formats[name]}
            for name, label in labels.items()
        ],
        "values": columns(shown.select(wanted)),
        "rows": shown.height,
        "all_rows": frame.height,
        "sort": list(view.sort) if view.sort and view.sort[0] in labels else None,
    }


def _guess(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "number"
    return "text"


def language_codes(frames: Iterable[pl.DataFrame]) -> list[str]:
    """Every value of a column that holds language codes, in order of appearance."""
    found: dict[str, None] = {}
    for frame in frames:
        for name in ("lang", "lang_a", "lang_b"):
            if name in frame.columns and frame.schema[name] == pl.String:
                found.update(dict.fromkeys(frame[name].drop_nulls().unique(maintain_order=True)))
    return list(found)
