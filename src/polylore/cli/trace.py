"""`polylore trace`: which facts each checkpoint recalls, in which languages."""

from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.studies.trace.config import TraceConfig


@click.command()
@config_options(TraceConfig, positional="model", short=["execution.executor"])
@click.option("--out", "-o", default="runs/trace", show_default=True, help="Run folder to write.")
@click.option(
    "--with-referee",
    is_flag=True,
    help="Train the model again without some documents and hold the labels against the truth.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def trace(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    with_referee: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Trace which facts each checkpoint recalls in each language.

    Give a folder with checkpoints, or a YAML file with the settings below. Interrupted or not, the
    same command goes on where it stopped and never asks a finished unit again.

    With --with-referee the model must have been trained by polylore on a corpus with held-out and
    untaught facts. It is trained anew without some of the pivot's documents, which shows what those
    documents caused, and the report says how far labels and rates can be believed.
    """
    config = read_config(TraceConfig, study, settings, flags, positional="model")
    if with_referee:
        from polylore.studies.referee.study import trace_with_referee as run_trace
    else:
        from polylore.studies.trace.study import trace as run_trace

    with progress_display(quiet) as progress:
        run = run_trace(config, out, progress=progress)
    click.echo(f"Report: {run.path / 'report.html'}")
