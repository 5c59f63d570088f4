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
from polylore.studies.built_in import UNIFY_SWEEPS
from polylore.studies.unify.config import MeasureConfig, SweepConfig, TrainConfig
from polylore.studies.unify.linking.config import LinkConfig


@click.group()
def unify() -> None:
    """Make controlled worlds, and see when two languages share one fact."""


@unify.group()
def world() -> None:
    """Make a world of facts in several languages; read its data card."""


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
    """Make a world: facts, tokenizer and data card.

    Nothing is written if a check fails.
    """
    if preset is None and amount is not None:
        raise ConfigError("--amount needs --preset subword or false_friends.")
    if preset is not None and study is not None:
        raise ConfigError("Give a study file or --preset, not both.")
    if dump_stream is not None and steps is None:
        raise ConfigError("--dump-stream needs --steps.")
    base = token_preset(preset, amount) if preset is not None else None
    config = read_config(WorldConfig, study, settings, flags, base=base)
    from polylore.facts import worlds
    from polylore.facts.factset import MANIFEST
    from polylore.files import refuse_other

    made = worlds.make_world(config, steps=steps, batch_size=batch_size)
    factset = None
    if export is not None:
        factset = worlds.to_factset(made, Path(out).name)
        refuse_other(Path(export) / MANIFEST, "sha256", factset.digest(), "fact set")
    card = worlds.make_card(made, steps=steps, batch_size=None if steps is None else batch_size)
    worlds.save_world(made, out, card=card)
    if export is not None and factset is not None:
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


@unify.command()
@config_options(TrainConfig, short=["execution.jobs"])
@click.option("--out", "-o", default="runs/unify/train", show_default=True, help="Run folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def train(
    study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Train one condition with a few seeds, measured on the way.

    The report is written at the end.
    """
    config = read_config(TrainConfig, study, settings, flags)
    _sweep(config.sweep(), out, "train", quiet)


@unify.command()
@click.argument("study", metavar="SWEEP")
@config_options(SweepConfig, study=False, short=["execution.jobs", "execution.executor"])
@click.option("--out", "-o", default="runs/unify/sweep", show_default=True, help="Run folder.")
@click.option("--dry-run", is_flag=True, help="List the runs, and start nothing.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def sweep(
    study: str,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Run a sweep of conditions and seeds, and write its report.

    SWEEP is a YAML file, or the name of a built-in one (see `unify sweeps`).
    Interrupted or not, the same command goes on where it stopped and never repeats a finished run.
    """
    config = read_config(SweepConfig, UNIFY_SWEEPS.file(study), settings, flags)
    if dry_run:
        from polylore.studies.unify.conditions import conditions

        found = conditions(config)
        for one in found:
            click.echo(f"{one.family}\t{one.name}")
        seeds, rates = len(config.all_seeds), len(config.lr_grid)
        more = f", and {len(found) * rates} to choose learning rates" if rates else ""
        click.echo(f"{len(found)} conditions, {seeds} seeds, {len(found) * seeds} runs{more}.")
        return
    _sweep(config, out, Path(study).stem, quiet)


@unify.command()
def sweeps() -> None:
    """List the built-in sweeps."""
    for name, about in UNIFY_SWEEPS.purposes():
        click.echo(f"{name:12}{about}")


@unify.command()
@config_options(LinkConfig, positional="model", short=["execution.executor"])
@click.option("--out", "-o", default="runs/unify/link", show_default=True, help="Run folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def link(study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any) -> int:
    """Hold a real model's unification against what it answers right.

    Give a model and the answers of a finished `polylore trace` of it. Interrupted or not, the same
    command goes on where it stopped. A checkpoint that cannot be read is noted, and the others go
    on.
    """
    config = read_config(LinkConfig, study, settings, flags, positional="model")
    from polylore.studies.unify.linking.scoring import report_link
    from polylore.studies.unify.linking.study import failed_checkpoints, run_link

    with progress_display(quiet) as progress:
        run = run_link(config, out, progress=progress)
        with run.lock():
            path = report_link(run, progress=progress)
    click.echo(f"Report: {path}")
    return _say_failed(failed_checkpoints(run), "checkpoints could not be read")


@unify.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--world", "-w", "world_folder", required=True, type=click.Path(path_type=Path),
    help="Folder of the world that the checkpoints were trained on.",
)  # fmt: skip
@config_options(MeasureConfig, study=False)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--out", "-o", default="runs/unify/measure", show_default=True, help="Run folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def measure(
    folders: tuple[Path, ...],
    world_folder: Path,
    settings: tuple[str, ...],
    device: str,
    out: str,
    quiet: bool,
    **flags: Any,
) -> int:
    """Measure checkpoints of a world: folders, or folders of these.

    A folder without weights, or of another world, is refused; the others are measured.
    """
    config = read_config(MeasureConfig, None, settings, flags)
    from polylore.studies.unify.measuring import measure_folders

    with progress_display(quiet) as progress:
        run, refused = measure_folders(
            folders, world_folder, config, out, device=device, progress=progress
        )
    click.echo(f"Tables: {run.path / 'tables'}")
    return _say_failed(refused, "folders were refused")


def _say_failed(failed: dict[str, str], what: str) -> int:
    """One line for each on the error stream; the exit code of a command that finished."""
    for name, why in failed.items():
        click.echo(f"{name}: {why}", err=True)
    if failed:
        click.echo(f"{len(failed)} {what}; all others are done.", err=True)
    return 3 if failed else 0


@unify.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def report(folder: Path, quiet: bool) -> None:
    """Write tables and page of a sweep, or of `unify link`, anew.

    An unfinished sweep lists what is missing.
    """
    from polylore.runs import RunFolder
    from polylore.studies.unify.linking.scoring import report_link
    from polylore.studies.unify.linking.study import KIND
    from polylore.studies.unify.report import report as report_sweep
    from polylore.studies.unify.scoring import open_sweep

    run = RunFolder.load(folder)
    linked = run.manifest.get("kind") == KIND
    run = run if linked else open_sweep(folder)
    with run.lock(), progress_display(quiet) as progress:
        path = (report_link if linked else report_sweep)(run, progress=progress)
    click.echo(f"Report: {path}")


def _sweep(config: SweepConfig, out: str, name: str, quiet: bool) -> None:
    from polylore.studies.unify.report import report as report_sweep
    from polylore.studies.unify.study import run_sweep

    with progress_display(quiet) as progress:
        run = run_sweep(config, out, name=name, progress=progress)
        with run.lock():
            path = report_sweep(run, progress=progress)
    click.echo(f"Report: {path}")
