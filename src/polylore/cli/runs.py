"""`polylore runs`: what lies in run folders."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polylore.cli.output import show_frame
from polylore.cli.values import nearest

if TYPE_CHECKING:
    from polylore.runs import RunFolder

_BLANK = "nothing made yet"


@click.group()
def runs() -> None:
    """List run folders and show what is in one."""


@runs.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
def list_(folder: Path) -> None:
    """List the run folders under FOLDER (default: runs)."""
    import polars as pl

    from polylore.errors import PolyloreError, RunError
    from polylore.runs import RunFolder

    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}; name the one that holds your runs.")
    rows = []
    for manifest in sorted(folder.rglob("manifest.json")):
        if "units" in manifest.relative_to(folder).parts:
            continue
        try:
            run = RunFolder.load(manifest.parent)
            rows.append(
                {
                    "run": str(manifest.parent),
                    "kind": str(run.manifest.get("kind", "?")),
                    "units": len(run.units()),
                    "tables": len(run.table_names()),
                    "created": str(run.manifest.get("created", "?")),
                    "report": _report(run),
                }
            )
        except PolyloreError:
            rows.append({"run": str(manifest.parent), "kind": "unreadable"})
    if not rows:
        click.echo(f"No runs under {folder}.")
        return
    show_frame(pl.DataFrame(rows, infer_schema_length=None))


def _report(run: "RunFolder") -> str:
    """Whether there is a report; of a run that was refused or stopped early, that it is blank."""
    if (run.path / "report.html").exists():
        return "yes"
    return _BLANK if run.is_blank() else "no"


@runs.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--table", "-t", help="Print the first rows of this table.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Rows to print.",
)
def show(folder: Path, table: str | None, limit: int) -> None:
    """Show a run's manifest and tables, or the rows of one table."""
    import yaml

    from polylore.errors import RunError
    from polylore.runs import RunFolder

    run = RunFolder.load(folder)
    if table is not None:
        own = {*run.table_names(), *run.unit_table_names()}
        if table not in own:
            raise RunError(
                f"The run {folder} has no table {table}{nearest(table, own)}; `polylore runs show "
                f"{folder}` lists its tables."
            )
        frame = run.table(table) if run.has_table(table) else run.read(table)
        show_frame(frame.head(limit))
        click.echo(f"{frame.height} rows.")
        return
    click.echo(yaml.safe_dump(run.manifest, allow_unicode=True, sort_keys=False).rstrip())
    click.echo(f"finished units: {len(run.units())}")
    if run.is_blank():
        click.echo(f"{_BLANK}: this folder still takes any settings")
    raw = [name for name in run.unit_table_names() if not run.has_table(name)]
    if raw:
        click.echo(f"tables of units: {', '.join(raw)}")
    click.echo(f"tables: {', '.join(run.table_names()) or 'none'}")
    if (run.path / "report.html").exists():
        click.echo(f"report: {run.path / 'report.html'}")
