"""The few chart shapes that reports are drawn with.

Each takes names of columns and returns a Vega-Lite specification without data, size or colours:
the chart's frame, the page's width and the theme fill these in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from polylore.report.axes import rows
from polylore.report.model import ROWS

Tips = Mapping[str, tuple[str, str]]
"""Column to (words, d3 format, or an empty string for text) in the pop-up of a mark."""


def _tips(tips: Tips) -> list[Any]:
    return [
        alt.Tooltip(f"{column}:Q", title=words, format=form)
        if form
        else alt.Tooltip(f"{column}:N", title=words)
        for column, (words, form) in tips.items()
    ]


def _colour(series: str | None, order: Sequence[str]) -> dict[str, Any]:
    if series is None or len(order) < 2:
        return {}
    scale = alt.Scale(domain=list(order))
    return {
        "color": alt.Color(
            f"{series}:N", scale=scale, legend=alt.Legend(title=None, symbolOpacity=1)
        )
    }


def plain(chart: Any) -> dict[str, Any]:
    """An Altair chart as a bare specification, without Altair's own configuration."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    spec.pop("$schema", None)
    return {"data": {"name": ROWS}, **_without_data(spec)}


def _without_data(spec: dict[str, Any]) -> dict[str, Any]:
    # A layer with a source of its own would escape the facet it stands in.
    kept = {key: value for key, value in spec.items() if key != "data"}
    if "layer" in kept:
        kept["layer"] = [_without_data(layer) for layer in kept["layer"]]
    if "spec" in kept:
        kept["spec"] = _without_data(kept["spec"])
    return kept


def lines(
    x: Any,
    y: Any,
    tips: Tips,
    *,
    series: str | None = None,
    order: Sequence[str] = (),
    band: tuple[str, str] | None = None,
    reference: str | None = None,
    reference_band: tuple[str, str] | None = None,
    step: bool = False,
) -> list[Any]:
    """Layers of a line with its band, beside a dashed reference line or a grey ribbon."""
    colour = _colour(series, order)
    shape: dict[str, Any] = {"interpolate": "step-after"} if step else {}
    layers = []
    if reference_band:
        grey = alt.Chart(rows()).mark_area(style="reference-area", **shape)
        layers.append(grey.encode(x=x, y=alt.Y(f"{reference_band[0]}:Q"), y2=reference_band[1]))
    if band:
        area = alt.Chart(rows()).mark_area(opacity=0.2, **shape)
        layers.append(area.encode(x=x, y=alt.Y(f"{band[0]}:Q"), y2=band[1], **colour))
    if reference:
        style: dict[str, Any] = {"strokeDash": [4, 3], "strokeWidth": 1.3, "opacity": 0.85}
        dashed = alt.Chart(rows()).mark_line(
            **({"style": "reference"} if not colour else style), **shape
        )
        layers.append(dashed.encode(x=x, y=alt.Y(f"{reference}:Q"), **colour))
    layers.append(alt.Chart(rows()).mark_line(**shape).encode(x=x, y=y, **colour))
    points = alt.Chart(rows()).mark_point(size=26, opacity=1)
    layers.append(points.encode(x=x, y=y, tooltip=_tips(tips), **colour))
    return layers


def areas(
    x: Any,
    y: Any,
    end: str,
    series: str,
    order: Sequence[str],
    tips: Tips,
    *,
    outline: str | None = None,
) -> list[Any]:
    """Layers of areas that the frame has stacked, from `y` to `end`, under a thin line."""
    colour = _colour(series, order)
    chart = alt.Chart(rows())
    layers = [
        chart.mark_area(opacity=0.75, line=False).encode(
            x=x, y=y, y2=end, tooltip=_tips(tips), **colour
        )
    ]
    if outline:
        thin = chart.mark_line(style="reference")
        layers.append(thin.encode(x=x, y=alt.Y(f"{outline}:Q")))
    return layers


def panels(layers: Sequence[Any], field: str, order: Sequence[str], height: int = 100) -> Any:
    """Small multiples: one panel per value of `field`, in the given order, sharing both axes."""
    header = alt.Header(title=None, labelLimit=165)  # else a long name runs into its neighbour
    chart = alt.layer(*layers, data=rows()).properties(height=height, width=150)
    facet = alt.Facet(f"{field}:N", sort=list(order), title=None, header=header)
    # Flush: marks that touch a panel's edge must not push its neighbours out of line.
    return plain(chart.facet(facet, columns=4, bounds="flush"))


def single(layers: Sequence[Any], height: int = 240) -> Any:
    """One view with several layers."""
    return plain(alt.layer(*layers, data=rows()).properties(height=height))


def dots(
    value: Any,
    field: str,
    order: Sequence[str],
    tips: Tips,
    *,
    series: str | None = None,
    series_order: Sequence[str] = (),
    interval: tuple[str, str] | None = ("lo", "hi"),
    reference: str | None = None,
    rule: float | None = None,
) -> Any:
    """One row per value of `field`: a dot, its interval, and a tick for what it is held against."""
    colour = _colour(series, series_order)
    several = len(series_order) > 1
    y = alt.Y(
        f"{field}:N",
        sort=list(order),
        title=None,
        axis=alt.Axis(labelLimit=150, labelPadding=10),
    )
    offset: dict[str, Any] = {}
    if several:
        scale = alt.Scale(domain=list(series_order), paddingOuter=0.35)
        offset = {"yOffset": alt.YOffset(f"{series}:N", scale=scale, sort=list(series_order))}
    chart = alt.Chart(rows())
    layers = []
    if rule is not None:
        layers.append(chart.mark_rule(style="reference").encode(x=alt.datum(rule)))
    if interval:
        low, high = interval
        bar = chart.mark_rule(strokeWidth=2, opacity=0.55)
        layers.append(bar.encode(x=alt.X(f"{low}:Q"), x2=high, y=y, **offset, **colour))
    if reference:
        tick = chart.mark_tick(style="reference-tick", size=7 if several else 11, opacity=0.9)
        layers.append(tick.encode(x=alt.X(f"{reference}:Q"), y=y, **offset))
    point = chart.mark_point(size=46, opacity=1)
    layers.append(point.encode(x=value, y=y, tooltip=_tips(tips), **offset, **colour))
    rows_of = max(1, len(series_order))
    height = len(order) * (20 if rows_of == 1 else 8 + 9 * rows_of)
    return plain(alt.layer(*layers, data=rows()).properties(height=max(60, height)))


def heat_map(
    x: Any,
    y: Any,
    value: str,
    title: str,
    tips: Tips,
    *,
    domain: tuple[float, float] = (0, 1),
    form: str = ".0%",
    row: int = 20,
    rows_count: int = 1,
    mark: str | None = None,
) -> Any:
    """A grid of cells coloured from none to all; a cell without a value stays empty.

    `mark` is a column of short texts that are written into the cells.
    """
    colour = alt.Color(
        f"{value}:Q",
        title=title,
        scale=alt.Scale(domain=list(domain), clamp=True),
        legend=alt.Legend(format=form, tickCount=5, titleLimit=400),
    )
    cells = alt.Chart(rows()).mark_rect().encode(x=x, y=y, color=colour, tooltip=_tips(tips))
    if mark is None:
        return plain(cells.properties(height=max(40, row * rows_count)))
    low, high = domain
    # On dark cells words are written in the colour of the page.
    dark = f"isValid(datum['{value}']) && datum['{value}'] > {low + DARK * (high - low)}"
    texts = [
        alt.Chart(rows())
        .transform_filter(condition)
        .mark_text(fontSize=11, style=style)
        .encode(x=x, y=y, text=f"{mark}:N")
        for condition, style in ((f"!({dark})", "on-ramp"), (dark, "on-dark"))
    ]
    both = alt.layer(cells, *texts, data=rows())
    return plain(both.properties(height=max(40, row * rows_count)))


DARK = 0.55
"""Share of the ramp from which on a cell is dark."""


def spans(
    x: Any,
    end: str,
    field: str,
    order: Sequence[str],
    series: str,
    series_order: Sequence[str],
    tips: Tips,
) -> Any:
    """One bar per value of `field`, made of spans from `x` to `end`.

    Spans of the series named are coloured, all others are grey.
    """
    y = alt.Y(f"{field}:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=150))
    chart = alt.Chart(rows())
    named = {"field": series, "oneOf": list(series_order)}
    place = {"x": x, "x2": end, "y": y, "tooltip": _tips(tips)}
    grey = chart.mark_bar(style="reference-area").transform_filter({"not": named})
    coloured = chart.mark_bar().transform_filter(named)
    layers = [grey.encode(**place), coloured.encode(**place, **_colour(series, series_order))]
    return plain(alt.layer(*layers, data=rows()).properties(height=max(60, 20 * len(order))))
