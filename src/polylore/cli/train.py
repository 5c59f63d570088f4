"""`polylore train`: a language model from scratch."""

from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.training.config import TrainConfig


@click.command()
@click.argument("corpus", type=click.Path())
@config_options(TrainConfig)
@click.option("--out", "-o", default="runs/model", show_default=True, help="Folder to write.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def train(
    corpus: str, study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Train a language model from scratch on the CORPUS that `polylore compose` wrote.

    Interrupted or not, the same command goes on where it stopped and ends with the same weights.
    """
    config = read_config(TrainConfig, study, settings, flags)
    from polylore.training.loop import train as run_training

    with progress_display(quiet) as progress:
        folder = run_training(corpus, out, config, progress=progress)
    click.echo(f"Checkpoints: {folder / 'checkpoints'}")
