"""`polylore compare`: finished traces side by side."""

from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.studies.compare.config import CompareConfig


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN RUN [RUN]...")
@config_options(CompareConfig, study=False)
@click.option("--out", "-o", default="runs/compare", show_default=True, help="Folder to write.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def compare(
    runs: tuple[Path, ...], settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Compare finished traces of several models in one report; no model is needed.

    The first RUN is what the others are held against. Only questions that all were asked in the
    same words are compared; what else differs is named in the report.
    """
    config = read_config(CompareConfig, None, settings, flags)
    from polylore.studies.compare.study import compare as run_compare

    with progress_display(quiet) as progress:
        run = run_compare(runs, out, config, progress=progress)
    click.echo(f"Report: {run.path / 'report.html'}")
