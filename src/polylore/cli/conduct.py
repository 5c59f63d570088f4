"""`polylore align conduct`: what a model was taught in one language, asked in another."""

from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.studies.align.conducting.config import AlignConductConfig

SHOWN = ("arm", "step", "source", "target", "n", "acc_s", "acc_t", "cd", "cd_lo", "cd_hi",
         "gate_pass")  # fmt: skip


@click.command()
@config_options(
    AlignConductConfig, positional="models", short=["execution.executor", "execution.jobs"]
)
@click.option("--out", "-o", default="runs/align/conduct", show_default=True, help="Run folder.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and ask nothing.")
@click.option("--no-report", is_flag=True, help="Tables only.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def conduct(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    no_report: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Ask models in one language what they were taught in another.

    The world is a folder that `polylore align world` wrote. Interrupted or not, the same command
    goes on where it stopped; more models can be added to a run by naming them in it.
    """
    config = read_config(AlignConductConfig, study, settings, flags, positional="models")
    if dry_run:
        from polylore.studies.align.conducting.plan import plan

        show_frame(plan(config, out), header=False)
        click.echo("Nothing was asked.")
        return
    from polylore.studies.align.conducting.study import conduct as run_conduct

    with progress_display(quiet) as progress:
        run = run_conduct(config, out, progress=progress, report=not no_report)
    table = run.table("align_conductivity")
    own = (table["subset"] == "valid") & (table["scoring"] == "default")
    show_frame(table.filter(own).select(SHOWN))
    click.echo("Valid facts of type 1, default scoring; cd is null where nothing was learned.")
    click.echo(f"Tables: {run.path / 'tables'}")
