"""Axes of scores, which unlike shares may be negative, and names that need several lines."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl


def ends(frame: pl.DataFrame, *names: str) -> tuple[float, float]:
    """Smallest and largest value of these columns; (0, 1) without any."""
    values = pl.concat([frame[n].cast(pl.Float64) for n in names if n in frame.columns])
    known = values.drop_nulls().drop_nans()
    if known.is_empty():
        return 0.0, 1.0
    return float(known.min()), float(known.max())  # type: ignore[arg-type]


def number_axis(
    frame: pl.DataFrame, field: str, title: str | None, *more: str, zero: bool = False,
    axis: Any = alt.X,
) -> Any:  # fmt: skip
    """A channel for numbers that holds this column and these others, with a little air."""
    low, high = ends(frame, field, *more)
    low = min(low, 0.0) if zero else low
    air = 0.04 * max(high - low, 0.1)
    domain = [low if zero and low == 0 else low - air, high + air]
    digits = max(0, 1 - math.floor(math.log10(domain[1] - domain[0])))
    return axis(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(format=f".{min(digits, 3)}~f", tickCount=5),
    )


_LETTERS = 24
"""Letters of a name that fit on one line beside a dot plot."""


def wrapped(names: pl.Series | Sequence[str]) -> list[str]:
    """Names broken into lines."""
    return ["\n".join(textwrap.wrap(str(n), _LETTERS)) or str(n) for n in names]


def in_lines(spec: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A dot plot whose names, which come from `wrapped`, may take several lines."""
    lines = max((str(n).count("\n") + 1 for n in names), default=1)
    for layer in spec["layer"]:
        axis = layer["encoding"].get("y", {}).get("axis")
        if axis is not None:
            axis["labelExpr"] = "split(datum.label, '\\n')"
    return {**spec, "height": max(spec["height"], len(names) * (8 + 13 * lines))}
