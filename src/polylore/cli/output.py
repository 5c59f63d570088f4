"""Tables on a terminal."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import polars as pl


def show_frame(frame: "pl.DataFrame", *, header: bool = True) -> None:
    """Print every row and column of a frame, aligned, with lists joined by commas."""
    from rich.cells import cell_len

    head = [list(frame.columns)] if header else []
    rows = [*head, *([_cell(v) for v in values] for values in frame.iter_rows())]
    # Wide characters (zh, ja, ko) take two columns; len() would misalign them.
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    for row in rows:
        cells = []
        for text, width, right in zip(row, widths, numeric, strict=True):
            space = " " * (width - cell_len(text))
            cells.append(space + text if right else text + space)
        click.echo("  ".join(cells).rstrip())


def show_findings(findings: "pl.DataFrame") -> int:
    """Print what a linter found (contract LINT); returns how many are errors or warnings."""
    for row in findings.iter_rows(named=True):
        colour = {"error": "red", "warning": "yellow"}.get(row["severity"], "blue")
        click.secho(f"{row['severity']:<8}", fg=colour, nl=False)
        place = " ".join(filter(None, (row["lang"], row["relation"])))
        click.echo(
            f"{row['rule']} {f'[{place}] ' if place else ''}({row['count']}): {row['message']}"
        )
        if row["examples"]:
            click.echo(f"        for example {'; '.join(map(printable, row['examples']))}")
    bad = findings.filter(findings["severity"].is_in(["error", "warning"])).height
    click.echo(f"{findings.height} findings, {bad} of them errors or warnings.")
    return bad


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        text = ", ".join(map(str, value))
        return text if len(text) <= 60 else text[:57] + "..."
    return printable(str(value))


def printable(text: str) -> str:
    """The text without control characters: data must not steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
