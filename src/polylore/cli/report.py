"""`polylore report`: derived tables and report of a run, made again without a model."""

from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.studies.trace.config import AnalyseConfig


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_options(AnalyseConfig)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def report(
    folder: Path, study: str | None, settings: tuple[str, ...], quiet: bool, **flags: Any
) -> None:
    """Analyse the raw tables of a run again and write its report; no model is needed.

    Settings not given stay as they were.
    """
    from polylore.runs import RunFolder
    from polylore.studies.trace.analyse import analyse
    from polylore.studies.trace.publish import publish

    run = RunFolder.load(folder)
    noted = run.manifest.get("analysis", {})
    config = read_config(AnalyseConfig, study, settings, flags, base=noted.get("analyse"))
    langs = run.table("facts")["lang"].unique(maintain_order=True).to_list()
    config.refuse_absent_pivot(langs, noted.get("analyse", {}).get("pivot"))
    with run.lock(), progress_display(quiet) as progress:
        run.annotate("analysis", {**noted, "analyse": config.plain()})
        analyse(run, config, run.manifest["config"]["preset"], progress)
        path = publish(run, progress)
    click.echo(f"Report: {path}")
