"""`polylore inject write` and `translate`: a model adds to items, checked before it counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.studies.inject.writer_config import TranslateConfig, WriteConfig

if TYPE_CHECKING:
    from polylore.studies.inject.writer import Outcome


@click.command()
@click.argument("items", type=click.Path(path_type=Path))
@config_options(WriteConfig, study=False)
@click.option("--out", "-o", required=True, help="Folder to write; ITEMS stay as they are.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def write(items: Path, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any) -> int:
    """Let a local model write more paraphrases of passages in ITEMS.

    A text is taken if it keeps the rules of `lint-items`; what was refused stands, with the
    reason, in refused.parquet. Interrupted or not, the same command goes on where it stopped; exit
    code 3 if nothing was taken.
    """
    config = read_config(WriteConfig, None, settings, flags)
    from polylore.studies.inject.writing import write_paraphrases

    with progress_display(quiet) as progress:
        outcome = write_paraphrases(config, items, out, progress=progress)
    return _told(outcome)


@click.command()
@click.argument("items", type=click.Path(path_type=Path))
@config_options(TranslateConfig, study=False)
@click.option("--out", "-o", required=True, help="Folder to write; ITEMS stay as they are.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def translate(items: Path, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any) -> int:
    """Let a local model translate ITEMS into a further language.

    What does not survive the round trip stands, with the reason, in refused.parquet. Interrupted
    or not, the same command goes on where it stopped; exit code 3 if no passage was taken.
    """
    config = read_config(TranslateConfig, None, settings, flags)
    from polylore.studies.inject.translating import translate_items

    with progress_display(quiet) as progress:
        outcome = translate_items(config, items, out, progress=progress)
    return _told(outcome)


def _told(outcome: "Outcome") -> int:
    """Say what came of it; the exit code."""
    if outcome.reasons.height:
        show_frame(outcome.reasons)
        click.echo(f"Refused: {outcome.path / 'refused.parquet'}")
    if not outcome.taken:
        click.echo(
            "No passage was taken, so no items were written; see the reasons above, and try a "
            "stronger model or more attempts."
        )
        return 3
    click.echo(f"Items: {outcome.path} ({outcome.taken} of {outcome.wanted} passages taken)")
    return 0
