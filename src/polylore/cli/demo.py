"""`polylore demo`: the whole story in one command."""

import os

import click

from polylore.cli.progress import progress_display


@click.command()
@click.option("--quick", is_flag=True, help="The same story, smaller: about a minute of work.")
@click.option("--out", "-o", default=None, help="Folder to write. [default: runs/demo]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that ask side by side.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def demo(quick: bool, out: str | None, jobs: int | None, quiet: bool) -> None:
    """Teach a small multilingual model real facts and watch it learn them.

    Composes a corpus from the built-in facts, trains a model from scratch, asks every checkpoint
    every fact in every language, and writes a report. Interrupted, the same command goes on.
    """
    import time

    from polylore.studies import demo as study
    from polylore.studies.trace.config import ExecutionConfig

    folder = out or ("runs/demo-quick" if quick else "runs/demo")
    config = study.quick() if quick else study.full()
    execution = ExecutionConfig(jobs=jobs or min(2, os.cpu_count() or 1))
    start = time.monotonic()
    with progress_display(quiet) as progress:
        run = study.demo(config, folder, execution=execution, progress=progress)
    click.echo(f"Done in {time.monotonic() - start:.0f} s.")
    click.echo(f"Report: {run.path / 'report.html'}")
