"""`polylore compose`: a training corpus from a fact set."""

from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.config import Config
from polylore.corpus.config import ComposeConfig
from polylore.studies.trace.config import FactsConfig


class ComposeStudy(Config):
    """What a composed corpus is made of."""

    facts: FactsConfig = FactsConfig()
    """Which facts, in which languages."""
    compose: ComposeConfig = ComposeConfig()
    """How often each is told, and what else is read."""


@click.command()
@config_options(ComposeStudy)
@click.option("--out", "-o", default="runs/corpus", show_default=True, help="Folder to write.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def compose(
    study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Compose a training corpus in which every exposure to every fact is known."""
    config = read_config(ComposeStudy, study, settings, flags)
    from polylore.corpus import compose as run_compose

    with progress_display(quiet) as progress:
        corpus = run_compose(config.facts.load(), config.compose, out, progress)
    counts = corpus.manifest["counts"]
    click.echo(f"{counts['documents']} documents in {len(counts['languages'])} languages: {out}")
