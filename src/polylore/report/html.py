"""Writes a report as one HTML file that works offline, anywhere, and runs nothing from data."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polylore.files import atomic_path
from polylore.report import embed, languages, theme
from polylore.report.factlist import fact_values
from polylore.report.model import Block, Chart, FactList, Report, TableView
from polylore.report.tabular import columns, language_codes, plotted, table_values

_SCRIPTS = ("core.js", "charts.js", "tables.js", "facts.js", "start.js")


_NBSP = "\N{NO-BREAK SPACE}"


def write_html(report: Report, path: str | Path) -> Path:
    """Write the report to `path`; returns it."""
    path = Path(path)
    text = render(report)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def render(report: Report) -> str:
    """The whole page as text."""
    # Autoescaping covers every string; only `embed` makes markup, and only from escaped JSON and
    # from this package's own files.
    environment = Environment(
        loader=PackageLoader("polylore.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_typeset,
    )
    vega = embed.vega_bundle() if any(report.charts()) else ""
    script = embed.own_scope("\n".join(_asset(name) for name in _SCRIPTS))
    style = _style()
    return environment.get_template("page.html").render(
        report=report,
        policy=embed.policy([s for s in (vega, script) if s], [style]),
        style=embed.source_text(style, "style"),
        vega=embed.source_text(vega, "script") if vega else "",
        script=embed.source_text(script, "script"),
        shared=embed.json_text(_shared(report)),
        kind=lambda block: type(block).__name__.lower(),
        data=_block_data,
        lang=languages.properties,
    )


def _typeset(value: Any) -> Any:
    # A number and its unit stay on one line.
    if isinstance(value, str) and not isinstance(value, Markup):
        return value.replace(" %", f"{_NBSP}%").replace("n = ", f"n{_NBSP}={_NBSP}")
    return value


def _asset(name: str) -> str:
    return files("polylore.report").joinpath("templates", name).read_text(encoding="utf-8")


def _style() -> str:
    # The palettes come from `theme`, so that page and charts cannot differ.
    light, dark = theme.variables(theme.LIGHT), theme.variables(theme.DARK)
    palettes = (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{"
        f":root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )
    return palettes + f":root{{--font:{theme.FONT}}}\n" + _asset("style.css")


def _shared(report: Report) -> dict[str, Any]:
    frames = []
    codes: list[str] = []
    for page in report.pages:
        for block in page.blocks:
            if isinstance(block, Chart | TableView):
                frames.append(block.frame)
            elif isinstance(block, FactList):
                codes.extend(block.languages)
    codes = list(dict.fromkeys([*codes, *language_codes(frames)]))
    return {
        "languages": {code: languages.properties(code) for code in codes},
        "light": theme.chart_config(theme.LIGHT),
        "dark": theme.chart_config(theme.DARK),
    }


def _block_data(block: Block) -> Markup:
    if isinstance(block, TableView):
        return embed.json_text(table_values(block))
    if isinstance(block, FactList):
        return embed.json_text(fact_values(block))
    if isinstance(block, Chart):
        table = TableView(
            block.id, block.title, "", block.frame, block.labels, block.formats
        )  # fmt: skip
        return embed.json_text(
            {
                "spec": dict(block.spec),
                "layout": block.layout,
                "rows": columns(plotted(block.frame)),
                "table": table_values(table),
            }
        )
    raise TypeError(f"{type(block).__name__} carries no data")
