"""`polylore inject report`: tables and page of a run, made anew from its raw readings."""

from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.studies.inject.analysis_config import InjectAnalyseConfig


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_options(InjectAnalyseConfig)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def report(
    folder: Path, study: str | None, settings: tuple[str, ...], quiet: bool, **flags: Any
) -> None:
    """Analyse the raw readings of a run and write its report.

    No model is needed. Settings not given stay as they were. An unfinished run lists what is
    missing.
    """
    from polylore.studies.inject.raw import open_inject
    from polylore.studies.inject.report import noted
    from polylore.studies.inject.report import report as write_report

    raw = open_inject(folder)
    config = read_config(InjectAnalyseConfig, study, settings, flags, base=noted(raw).plain())
    with raw.folder.lock(), progress_display(quiet) as progress:
        path = write_report(folder, config, progress=progress)
    click.echo(f"Report: {path}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", "-o", default="answers", show_default=True, help="Folder to write.")
@click.option(
    "--depth",
    default="memorization",
    show_default=True,
    help="Depth whose first probe asks for a fact; `all`: every probe, as wordings of its fact.",
)
def answers(folder: Path, out: str, depth: str) -> None:
    """Write readings of a run as a fact set and traces.

    The folder is a fact set: give it to `polylore trace --facts.source`. In it lies a trace of each
    training run, for `polylore report`.
    """
    from polylore.studies.inject.as_trace import export_answers
    from polylore.studies.inject.raw import open_inject

    made = export_answers(open_inject(folder), out, depth)
    click.echo(f"Facts: {made.facts}")
    for path in made.tables:
        click.echo(f"Table: {path}")
    for path in made.traces:
        click.echo(f"Trace: {path} (`polylore report` analyses it)")
    if not made.traces:
        click.echo("No free answers were read (probes.extras_every), so there is no trace.")
