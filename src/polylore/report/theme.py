"""One look for everything: colours, type and chart style, light and dark.

The same two palettes feed the page's style sheet and the charts, so nothing can drift apart. Hues
are those of Okabe and Ito, chosen for colour-blind readers; light and dark variants differ only in
lightness. Up to twenty languages are never told apart by colour: they get panels or rows of their
own, and colour is kept for the few things that are compared within one.
"""

from dataclasses import dataclass, fields
from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif'


@dataclass(frozen=True)
class Palette:
    """Colours of one mode."""

    page: str
    card: str
    ink: str
    muted: str
    line: str
    accent: str
    good: str
    bad: str
    open: str
    good_soft: str
    bad_soft: str
    open_soft: str
    series: tuple[str, ...]
    """Colours of compared series, in order of use."""
    ramp: tuple[str, ...]
    """Sequential colours from none to all."""


LIGHT = Palette(
    page="#fbfbf9",
    card="#ffffff",
    ink="#1c2430",
    muted="#586273",
    line="#dfe2e8",
    accent="#0b5c9e",
    good="#0a6b4f",
    bad="#a23b00",
    open="#6a5300",
    good_soft="#e0f2ec",
    bad_soft="#fbe9df",
    open_soft="#f7efd3",
    series=("#0b6cb3", "#bf4b00", "#00845f", "#a8487f", "#8a6d00", "#5f6b7a"),
    ramp=("#f3f5f7", "#cfe1ee", "#96c0dd", "#549ac6", "#1d72aa", "#0b4f82", "#06335a"),
)
DARK = Palette(
    page="#12161c",
    card="#191e26",
    ink="#e6e9ef",
    muted="#a1abba",
    line="#303845",
    accent="#7cbcf2",
    good="#6fd3ae",
    bad="#ffa273",
    open="#e8cd6d",
    good_soft="#17352c",
    bad_soft="#3d2518",
    open_soft="#37301a",
    series=("#5db0ee", "#ff9152", "#3fc79a", "#e394c2", "#d9bb4a", "#a1abba"),
    ramp=("#1e2530", "#1d3a55", "#1d547e", "#2474ab", "#4b9ad2", "#8cc2ea", "#d3eafb"),
)


def variables(palette: Palette) -> str:
    """The palette as CSS custom properties."""
    colours = {f.name: getattr(palette, f.name) for f in fields(palette)}
    return "".join(
        f"--{name.replace('_', '-')}:{colour};"
        for name, colour in colours.items()
        if isinstance(colour, str)
    )


def chart_config(palette: Palette, *, font: str = FONT) -> dict[str, Any]:
    """The palette as a Vega-Lite configuration; charts name roles (styles), never colours."""
    return {
        "background": None,
        "font": font,
        "padding": 2,
        "view": {"stroke": None},
        "axis": {
            "labelColor": palette.muted,
            "titleColor": palette.muted,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelPadding": 4,
            "domain": False,
            "ticks": False,
            "gridColor": palette.line,
            "gridWidth": 1,
        },
        "axisX": {"grid": False, "domain": True, "domainColor": palette.line, "ticks": True,
                  "tickColor": palette.line, "tickSize": 4},
        "axisBand": {"domain": False, "ticks": False, "grid": False, "labelSeparation": 6},
        "header": {
            "labelColor": palette.ink,
            "labelFontSize": 12,
            "labelFontWeight": 600,
            "labelAnchor": "start",
            "labelPadding": 4,
            "title": None,
        },
        "legend": {
            "labelColor": palette.ink,
            "titleColor": palette.muted,
            "labelFontSize": 12,
            "labelLimit": 320,
            "titleLimit": 400,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "orient": "top",
            "direction": "horizontal",
            "symbolStrokeWidth": 2.5,
            "symbolType": "circle",
            "offset": 10,
            "columnPadding": 16,
            "gradientThickness": 10,
            "gradientLength": 180,
        },
        "title": {"color": palette.ink, "subtitleColor": palette.muted, "anchor": "start",
                  "fontSize": 15, "fontWeight": 600, "subtitleFontSize": 11, "offset": 14},
        "facet": {"spacing": {"row": 36, "column": 18}},
        "range": {
            "category": list(palette.series),
            "ordinal": list(palette.ramp),
            "ramp": list(palette.ramp),
            "heatmap": list(palette.ramp),
        },
        "mark": {"color": palette.series[0]},
        "line": {"strokeWidth": 2},
        "rule": {"color": palette.series[0]},
        "area": {"color": palette.series[0]},
        "point": {"filled": True, "size": 34},
        "rect": {"stroke": palette.page, "strokeWidth": 1},
        "bar": {"discreteBandSize": {"band": 0.7}},
        "style": {
            "reference": {"stroke": palette.muted, "strokeDash": [4, 3], "strokeWidth": 1.2,
                          "color": palette.muted},
            "on-ramp": {"fill": palette.ink, "color": palette.ink},
            "on-dark": {"fill": palette.card, "color": palette.card},
            "reference-area": {"fill": palette.muted, "fillOpacity": 0.16, "color": palette.muted},
            "reference-tick": {"stroke": palette.muted, "color": palette.muted,
                               "strokeWidth": 2, "thickness": 2},
        },
    }  # fmt: skip
