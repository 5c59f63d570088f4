"""`polylore patch`: when does a shared concept space emerge, shown causally?"""

from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig


@click.group()
def patch() -> None:
    """Show causally when a shared concept space emerges in training."""


@patch.command()
@config_options(PatchConfig, positional="model")
@click.option("--out", "-o", default="runs/patch/plan", show_default=True, help="Folder to write.")
@click.option("--dry-run", is_flag=True, help="Say what it costs, and write nothing.")
@click.option(
    "--retokenise",
    metavar="PLAN",
    help="Carry this plan over to the model's tokenizer: same pairs and texts, new ids.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def plan(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    retokenise: str | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Make a plan: prompts, and which states go where. Needs the tokenizer, never the weights."""
    config = read_config(PatchConfig, study, settings, flags, positional="model")
    from polylore.studies.patch.planning.build import make_plan
    from polylore.studies.patch.planning.build import retokenise as carry_over
    from polylore.studies.patch.planning.cost import plan_cost
    from polylore.studies.patch.planning.plan import PatchPlan
    from polylore.studies.patch.planning.source import open_model

    model = open_model(config)
    with progress_display(quiet) as progress:
        if retokenise is None:
            made = make_plan(config, model.tokenizer, progress=progress)
        else:
            made = carry_over(PatchPlan.load(retokenise), model.tokenizer)
    made.check_model(model.positions, model.vocabulary)
    costs = plan_cost(made, model.anatomy.layers, model.anatomy.parameters)
    show_frame(costs.select("topic", "name", "value", "unit", "remark"), header=False)
    for reason, found in made.head.dropped.items():
        if found["n"]:
            click.echo(f"Left out: {found['n']} {reason.replace('_', ' ')}.")
    if dry_run:
        click.echo("Nothing was written.")
        return
    made.save(out)
    click.echo(f"Plan: {out} ({made.hash[:12]})")


@patch.command()
@config_options(PatchRunConfig, positional="model", short=["execution.executor"])
@click.option("--out", "-o", default="runs/patch/run", show_default=True, help="Run folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def run(study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any) -> None:
    """Put a plan before every checkpoint of a model; keep raw rows.

    Interrupted or not, the same command goes on where it stopped and never repeats a finished unit.
    A checkpoint that cannot be read or fails its self-check is recorded, the others go on, and the
    command ends with an error.
    """
    config = read_config(PatchRunConfig, study, settings, flags, positional="model")
    from polylore.studies.patch.running.study import run_patch

    with progress_display(quiet) as progress:
        made = run_patch(config, out, progress=progress)
    click.echo(f"Run: {made.path}; next: polylore patch score {made.path}")


@patch.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_options(PatchScoreConfig, study=False)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def score(folder: Path, settings: tuple[str, ...], quiet: bool, **flags: Any) -> None:
    """Make all numbers of a run from its raw rows; no model is needed.

    Settings not given stay as they were.
    """
    from polylore.studies.patch.scoring import open_patch_run
    from polylore.studies.patch.scoring import score as score_run

    opened = open_patch_run(folder)
    before = opened.manifest.get("analysis", {}).get("score")
    config = read_config(PatchScoreConfig, None, settings, flags, base=before)
    with opened.lock(), progress_display(quiet) as progress:
        score_run(opened, config, progress=progress)
    click.echo(f"Tables: {opened.path / 'tables'}; next: polylore patch report {folder}")


@patch.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def report(folder: Path, quiet: bool) -> None:
    """Write the page of a scored run, with its figures and tables."""
    from polylore.studies.patch.scoring import open_patch_run
    from polylore.studies.patch.scoring import report as report_run

    opened = open_patch_run(folder)
    with opened.lock(), progress_display(quiet) as progress:
        path = report_run(opened, progress=progress)
    click.echo(f"Report: {path}")
