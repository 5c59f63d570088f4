"""Grids of squares with words in them; what was not tested is hatched."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from polylore.report.axes import rows
from polylore.report.shapes import Tips

DARK = 0.55
"""Share of the ramp from which on words are written in the colour of the page."""
_HATCHES = (((0, 1), (0, 1)), ((0, 0.5), (0.5, 1)), ((0.5, 1), (0, 0.5)))
"""Ends of the lines of a hatch: x from and to, y from and to, as shares of the square."""


def marked(frame: pl.DataFrame, value: str, domain: tuple[float, float]) -> pl.DataFrame:
    """The frame with `empty` and `dark`, which the squares are drawn by."""
    low, high = domain
    dark = (pl.col(value) - low) / (high - low) > DARK
    return frame.with_columns(empty=pl.col(value).is_null(), dark=dark.fill_null(False))


def squares(
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    value: str,
    title: str,
    tips: Tips,
    *,
    domain: tuple[float, float] = (0, 1),
    form: str = ".0%",
    lines: tuple[str, ...] = (),
) -> list[Any]:
    """Layers of coloured squares with up to two lines of words; empty ones are hatched.

    Args:
        x: keywords of the x channel of a band scale, `shorthand` among them.
        y: the same of y.
        value: column that is coloured; the frame comes from `marked`.
        title: of the legend.
        tips: pop-up.
        domain: values of both ends of the ramp.
        form: format of the legend.
        lines: columns of short words, one per line.
    """
    across, down = alt.X(**x), alt.Y(**y)
    chart = alt.Chart(rows())
    full = chart.transform_filter(alt.FieldEqualPredicate(field="empty", equal=False))
    colour = alt.Color(
        f"{value}:Q",
        title=title,
        scale=alt.Scale(domain=list(domain), clamp=True),
        legend=alt.Legend(format=form, tickCount=5, titleLimit=400),
    )
    tooltip = [
        alt.Tooltip(f"{c}:Q", title=words, format=f) if f else alt.Tooltip(f"{c}:N", title=words)
        for c, (words, f) in tips.items()
    ]
    layers = [full.mark_rect().encode(x=across, y=down, color=colour, tooltip=tooltip)]
    for ends_x, ends_y in _HATCHES:
        layers.append(_hatch(chart, x, y, ends_x, ends_y))
    for number, line in enumerate(lines):
        shift = 0 if len(lines) == 1 else (-6, 7)[number]
        for dark, style in ((False, "on-ramp"), (True, "on-dark")):
            text = full.transform_filter(alt.FieldEqualPredicate(field="dark", equal=dark))
            words = text.mark_text(fontSize=10, style=style, dy=shift)
            layers.append(words.encode(x=across, y=down, text=f"{line}:N"))
    return layers


def _hatch(
    chart: Any,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    ends_x: tuple[float, float],
    ends_y: tuple[float, float],
) -> Any:
    fields = {"x": x["shorthand"].partition(":")[0], "y": y["shorthand"].partition(":")[0]}
    empty = chart.transform_filter(alt.FieldEqualPredicate(field="empty", equal=True))
    line = empty.mark_rule(style="reference", strokeDash=[1, 0], opacity=0.5)
    return line.encode(
        x=alt.X(**x, bandPosition=ends_x[0]),
        x2=alt.X2(fields["x"], bandPosition=ends_x[1]),
        y=alt.Y(**y, bandPosition=ends_y[0]),
        y2=alt.Y2(fields["y"], bandPosition=ends_y[1]),
    )
