"""`polylore align run` and `compare`: training arms that differ in one factor."""

import tempfile
from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.errors import ConfigError
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.siblings import MAY_DIFFER
from polylore.studies.built_in import ALIGN_RUNS


@click.command()
@config_options(ArmsConfig)
@click.option("--out", "-o", default="runs/arms", show_default=True, help="Run folder.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and train nothing.")
@click.option("--allow-confounded", is_flag=True, help="Also judge arms that are no siblings.")
@click.option("--force", is_flag=True, help="Train although memory will probably not suffice.")
@click.option("--no-report", is_flag=True, help="Tables only.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def run(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    allow_confounded: bool,
    force: bool,
    no_report: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train sibling arms from one checkpoint, ask and compare them.

    STUDY.yaml says which; `align_cpu` and `align_cpu_tiny` are built in. Interrupted or not, the
    same command goes on where it stopped; arms and seeds can be added. Under a launcher (torchrun,
    accelerate launch) its processes train every arm together.
    """
    if study is None:
        names = "; ".join(f"{name}: {what}" for name, what in ALIGN_RUNS.purposes())
        raise ConfigError(f"Give a YAML file of arms, or a built-in run ({names}).")
    config = read_config(ArmsConfig, ALIGN_RUNS.file(study), settings, flags)
    from polylore.metrics.align.claims import too_few_draws
    from polylore.studies.align.arms.study import plan, prepare, run_arms
    from polylore.studies.align.arms.work import is_main

    if dry_run:
        with tempfile.TemporaryDirectory() as nowhere:
            click.echo("\n".join(plan(prepare(config, Path(nowhere) / "run")).lines()))
        return
    with progress_display(quiet) as progress:
        made = run_arms(
            config, out, progress=progress, report=not no_report,
            allow_confounded=allow_confounded, force=force,
            tell=lambda line: click.echo(line, err=True),
        )  # fmt: skip
    if not is_main():
        return
    arms = made.table("align_arms")
    capped = arms.filter(arms["stopped"] == "cap")["run_id"].to_list()
    if capped:
        click.echo(f"gate never passed (kept, and marked): {', '.join(capped)}", err=True)
    apart = made.table("align_siblings").filter(~made.table("align_siblings")["siblings"])
    for arm, minus, beyond in apart.select("arm", "minus", "beyond").iter_rows():
        click.echo(f"no siblings: {arm} and {minus} ({'; '.join(beyond[:3])})", err=True)
    warning = too_few_draws(made.table("align_claims"), config.score.draws)
    if warning:
        click.echo(warning, err=True)
    where = made.path / ("tables" if no_report else "report.html")
    click.echo(f"{'Tables' if no_report else 'Report'}: {where}; {arms.height} trainings.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--arm", required=True, help="Arm that is judged.")
@click.option("--minus", required=True, help="Arm that it is compared with.")
@click.option(
    "--factor",
    type=click.Choice(list(MAY_DIFFER)),
    default="data",
    show_default=True,
    help="What is declared to differ.",
)
@click.option("--allow-confounded", is_flag=True, help="Show differences all the same, marked.")
def compare(folder: Path, arm: str, minus: str, factor: str, allow_confounded: bool) -> None:
    """Print how two arms' manifests differ, and what that changes.

    Arms that differ in more than the declared factor are no siblings: nothing is compared unless
    --allow-confounded says so.
    """
    from polylore.cli.output import show_frame
    from polylore.studies.align.arms.study import compare_arms

    show_frame(
        compare_arms(
            folder, arm, minus, factor=factor, allow_confounded=allow_confounded, tell=click.echo
        )
    )
