"""`polylore unify`: when do two languages share one fact?"""

import json
from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.errors import ConfigError
from polylore.facts.worlds.config import WorldConfig
from polylore.facts.worlds.presets import PRESETS, token_preset


@click.group()
def unify() -> None:
    """Make controlled worlds, and see when two languages share one fact."""


@unify.group()
def world() -> None:
    """Make a world of facts in several languages, and read its data card."""


@world.command()
@config_options(WorldConfig)
@click.option("--out", "-o", default="worlds/world", show_default=True, help="Folder to write.")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), help="Start from a named way of sharing tokens."
)
@click.option(
    "--amount", type=float, help="Share of letters of subword, or of false friends of theirs."
)
@click.option("--steps", type=click.IntRange(min=1), help="Training steps, for counts of it.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=512, show_default=True,
    help="Presentations per step.",
)  # fmt: skip
@click.option("--dump-stream", metavar="FILE", help="Write the documents of these steps as JSONL.")
@click.option("--export", metavar="FOLDER", help="Write the world as an ordinary fact set as well.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def make(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    preset: str | None,
    amount: float | None,
    steps: int | None,
    batch_size: int,
    dump_stream: str | None,
    export: str | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Make a world: facts, tokenizer and data card; nothing is written if a check fails."""
    if preset is None and amount is not None:
        raise ConfigError("--amount needs --preset subword or false_friends.")
    if preset is not None and study is not None:
        raise ConfigError("Give a study file or --preset, not both.")
    if dump_stream is not None and steps is None:
        raise ConfigError("--dump-stream needs --steps.")
    base = token_preset(preset, amount) if preset is not None else None
    config = read_config(WorldConfig, study, settings, flags, base=base)
    from polylore.facts import worlds

    made = worlds.make_world(config, steps=steps, batch_size=batch_size)
    card = worlds.make_card(made, steps=steps, batch_size=None if steps is None else batch_size)
    worlds.save_world(made, out, card=card)
    if export is not None:
        factset = worlds.to_factset(made, Path(out).name)
        factset.export(export)
        _write_design(made, export)
        click.echo(f"Fact set: {export}")
    if dump_stream is not None:
        with progress_display(quiet) as progress:
            n = worlds.dump_stream(
                made, dump_stream, steps=int(steps or 0), batch_size=batch_size, progress=progress
            )
        click.echo(f"Stream: {dump_stream} ({n} documents)")
    for warning in card["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"World: {out} ({made.world_hash[:12]}); its card: polylore unify world card {out}")


def _write_design(made: Any, folder: str) -> None:
    from polylore.facts.worlds import design_table
    from polylore.files import write_parquet

    write_parquet(design_table(made), Path(folder) / "design.parquet")


@world.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), help="Training steps, for counts of it.")
@click.option("--batch-size", type=click.IntRange(min=1), default=512, show_default=True)
@click.option("--parameters", type=click.IntRange(min=1), help="Size of the model to be trained.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a page.")
def card(
    folder: Path, steps: int | None, batch_size: int, parameters: int | None, as_json: bool
) -> None:
    """Print the data card of a world, made anew from its tables."""
    from polylore.facts.worlds import card_markdown, load_world, make_card

    made = make_card(
        load_world(folder),
        steps=steps,
        batch_size=None if steps is None else batch_size,
        parameters=parameters,
    )
    click.echo(json.dumps(made, indent=2) if as_json else card_markdown(made))
