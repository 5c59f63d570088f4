"""Axes that several studies share: logarithmic, with an honest place for zero.

Training starts at step 0 and many facts have been read zero times; a plain log axis would drop
both silently. Positions are therefore computed here: log10 of the value, and zero one small gap to
the left of the smallest positive value, labelled 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from polylore.report.model import ROWS

_GAP = 0.1
"""Distance of zero from the smallest positive value: share of the axis, at least 0.3 decades."""


@dataclass(frozen=True)
class LogAxis:
    """A log axis over given non-negative values."""

    zero: float
    """Position of the value 0."""
    low: float
    """Position of the smallest positive value."""
    high: float
    """Position of the largest value."""
    has_zero: bool

    @classmethod
    def over(cls, values: Sequence[float]) -> "LogAxis":
        """The axis that fits these values; negative and null ones are ignored."""
        positive = [math.log10(v) for v in values if v is not None and v > 0]
        low, high = (min(positive), max(positive)) if positive else (0.0, 1.0)
        zero = low - max(0.3, _GAP * (high - low))
        return cls(zero, low, high, any(v == 0 for v in values if v is not None))

    def place(self, column: str) -> pl.Expr:
        """Position of a column's values on the axis."""
        value = pl.col(column).cast(pl.Float64)
        return pl.when(value > 0).then(value.log10()).when(value == 0).then(pl.lit(self.zero))

    def ticks(self) -> list[float]:
        """Positions with a label: zero if it occurs, and round numbers in between."""
        first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
        decades = [float(k) for k in range(first, last + 1, max(1, math.ceil((last - first) / 4)))]
        if len(decades) < 2:
            start, stop = math.floor(self.low), math.ceil(self.high)
            decades = [
                k + math.log10(m)
                for k in range(start, stop + 1)
                for m in (1, 2, 5)
                if self.low - 1e-9 <= k + math.log10(m) <= self.high + 1e-9
            ]
        return [self.zero, *decades] if self.has_zero else decades

    def encode(self, field: str, title: str | None) -> Any:
        """The Altair x channel for positions in `field`."""
        # SI prefixes as people say them: B for 10^9, not G.
        text = "replace(format(pow(10, datum.value), '.2~s'), 'G', 'B')"
        left = self.zero if self.has_zero else self.low
        pad = 0.03 * max(self.high - left, 0.3)
        return alt.X(
            f"{field}:Q",
            title=title,
            scale=alt.Scale(domain=[left - pad, self.high + pad], nice=False, zero=False),
            axis=alt.Axis(
                values=self.ticks(),
                labelExpr=f"datum.value < {self.low - 0.15} ? '0' : {text}",
                labelOverlap="greedy",
                labelFlush=False,
            ),
        )


def rows() -> Any:
    """The named data source that a chart's frame fills."""
    return alt.NamedData(name=ROWS)


def share(field: str, title: str | None, top: float = 1.0, *, axis: Any = alt.X) -> Any:
    """A channel (x unless told) for a share, from 0 to `top`."""
    vertical = axis is alt.Y
    # A little air above, so that a point on the uppermost line is whole.
    domain = [0, top * (1.06 if vertical else 1)]
    return axis(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=domain, nice=False),
        axis=alt.Axis(format=".0%", values=[0, top / 2, top])
        if vertical
        else alt.Axis(format=".0%", tickCount=5),
    )


def upper(frame: pl.DataFrame, *names: str) -> float:
    """A round upper end for a share axis that holds all the given columns."""
    tops = [
        frame[n].max() for n in names if n in frame.columns and frame[n].null_count() < len(frame)
    ]
    top = max((float(t) for t in tops if isinstance(t, int | float)), default=1.0)
    return next((step for step in (0.1, 0.2, 0.4, 0.6, 0.8) if top <= step), 1.0)
