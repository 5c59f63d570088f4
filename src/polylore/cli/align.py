"""`polylore align`: is knowledge aligned across languages, or does it only look so?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polylore.cli.arms import compare, run
from polylore.cli.conduct import conduct
from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.errors import ConfigError
from polylore.facts.fiction.config import WorldConfig
from polylore.studies.align.arms.config import ArmsScoreConfig
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.conducting.config import ConductScoreConfig
from polylore.studies.align.config import AlignRescoreConfig, AlignScoreConfig

if TYPE_CHECKING:
    from polylore.runs import RunFolder


@click.group()
def align() -> None:
    """Performance, consistency and conductivity across languages."""


for command in (run, compare, conduct):
    align.add_command(command)
align.add_command(run, "train-arms")


@align.command()
@config_options(
    AlignEvaluateConfig, positional="models", short=["execution.executor", "execution.jobs"]
)
@click.option("--out", "-o", default="runs/align", show_default=True, help="Run folder.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and ask nothing.")
@click.option("--no-report", is_flag=True, help="Tables only.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def evaluate(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    no_report: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Ask models parallel sets in every language, and report.

    The answers are scored, too. Interrupted or not, the same command goes on where it stopped; more
    models can be added to a run by naming them in it.
    """
    config = read_config(AlignEvaluateConfig, study, settings, flags, positional="models")
    if dry_run:
        from polylore.studies.align.asking.plan import plan

        show_frame(plan(config, out), header=False)
        click.echo("Nothing was asked.")
        return
    from polylore.studies.align.asking.study import evaluate as run_evaluate

    with progress_display(quiet) as progress:
        run = run_evaluate(config, out, progress=progress, report=not no_report)
    _say(run)


@align.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_options(AlignScoreConfig, study=False)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def report(folder: Path, settings: tuple[str, ...], quiet: bool, **flags: Any) -> None:
    """Score a run's answers again and write its report.

    No model is needed. Settings not given stay as they were. Of a run of `align conduct` only
    --draws and --seed count, of one of `align run` --margins, too.
    """
    from polylore.metrics.align.claims import too_few_draws
    from polylore.runs import RunFolder
    from polylore.studies.align.arms import study as arms
    from polylore.studies.align.conducting import study as conducting
    from polylore.studies.align.publish import publish
    from polylore.studies.align.rescore import open_align_run, score

    run = RunFolder.load(folder)
    before = run.manifest.get("analysis", {})
    if run.manifest.get("kind") == conducting.KIND:
        known = {"opt_draws", "opt_seed"}
        other = sorted(name for name, value in flags.items() if value and name not in known)
        if other or settings:
            raise ConfigError(f"{folder} is a run of `align conduct`; give it --draws and --seed.")
        asked = read_config(ConductScoreConfig, None, (), flags, base=before.get("conduct"))
        with run.lock(), progress_display(quiet) as progress:
            conducting.score(run, asked)
            click.echo(f"Report: {publish(run, progress)}")
        return
    if run.manifest.get("kind") == arms.KIND:
        known = {"opt_draws", "opt_seed", "opt_margins"}
        other = sorted(name for name, value in flags.items() if value and name not in known)
        if other or settings:
            raise ConfigError(
                f"{folder} is a run of `align run`; give it --draws, --seed and --margins."
            )
        run, trained = arms.open_arms_run(folder)
        how = read_config(ArmsScoreConfig, None, (), flags, base=before.get("arms"))
        trained = trained.model_copy(update={"score": how})
        with run.lock(), progress_display(quiet) as progress:
            arms.score(run, trained, progress=progress)
            click.echo(f"Report: {publish(run, progress)}")
        warning = too_few_draws(run.table("align_claims"), how.draws)
        if warning:
            click.echo(warning, err=True)
        return
    run = open_align_run(folder)
    # The run has kept the exposure; the file that it came from may be gone.
    base = before.get("score", {}) | {"exposure": None}
    config = read_config(AlignScoreConfig, None, settings, flags, base=base)
    with run.lock(), progress_display(quiet) as progress:
        score(run, config, progress=progress)
        publish(run, progress)
    _say(run)


def _say(run: "RunFolder") -> None:
    from polylore.metrics.align.free import left_out

    for dataset, lang, item in run.manifest.get("series", {}).get("empty_options", []):
        click.echo(
            f"not scored by its words: item {item} of {dataset} in {lang} has an empty option",
            err=True,
        )
    for dataset, n in run.manifest.get("series", {}).get("not_chosen", {}).items():
        click.echo(
            f"not asked for a choice: items of {dataset} with fewer than two options ({n})",
            err=True,
        )
    if run.has_table("align_free"):
        for dataset, n in left_out(run.table("align_free")).items():
            click.echo(
                f"not counted where options were ranked: items of {dataset} with a single option "
                f"({n})",
                err=True,
            )
    trusted = run.table("align_trust")
    click.echo(
        f"Report: {run.path / 'report.html'}; {int(trusted['usable'].sum())} of {trusted.height} "
        "cells can be used (align_trust says why not)."
    )


@align.command()
@config_options(AlignRescoreConfig, positional="predictions")
@click.option("--out", "-o", default="runs/align", show_default=True, help="Run folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def rescore(
    study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Score other people's answers to parallel sets.

    The sets are of multiple choice; no model is needed. Cells (a model, set and language) with
    missing rows are left out and listed.
    """
    config = read_config(AlignRescoreConfig, study, settings, flags, positional="predictions")
    from polylore.studies.align.rescore import rescore as run_rescore

    with progress_display(quiet) as progress:
        run = run_rescore(config, out, progress=progress)
    lost = run.table("align_incomplete")
    for row in lost.iter_rows(named=True):
        click.echo(
            f"left out: {row['model']}, {row['dataset']}, {row['lang']}: {row['n']} of "
            f"{row['expected']} items",
            err=True,
        )
    trusted = run.table("align_trust")
    click.echo(
        f"Tables: {run.path / 'tables'}; {int(trusted['usable'].sum())} of {trusted.height} cells "
        "can be used (align_trust says why not)."
    )


@align.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--fictional", is_flag=True, help="FOLDER is a published world (train/ and test/).")
@click.option("--pivot", default="en", show_default=True, help="Language to compare with.")
@click.option("--repair", "-r", multiple=True, metavar="NAME", help="Repairs to apply to worlds.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Also write all findings here.")
@click.option("--strict", is_flag=True, help="Exit with 2 if there is an error or a warning.")
def lint(
    folder: Path,
    fictional: bool,
    pivot: str,
    repair: tuple[str, ...],
    out: Path | None,
    strict: bool,
) -> None:
    """Find what a parallel set or an invented world cannot show.

    FOLDER holds <set>.<lang>.jsonl, or is what `align world` wrote; with --out, every finding is
    written as a Parquet table.
    """
    from polylore.files import write_parquet
    from polylore.studies.align.lint import lint_sets, lint_worlds
    from polylore.studies.align.world import holds_worlds

    worlds = fictional or holds_worlds(folder)
    made = lint_worlds(folder, repair) if worlds else lint_sets(folder, pivot)
    if out is not None:
        for name, frame in made.items():
            write_parquet(frame, out / f"{name}.parquet")
    found = made["align_lint_summary"]
    show_frame(found)
    if "align_baselines" in made:
        click.echo("\nAccuracy without knowledge, in percent:")
        table = made["align_baselines"]
        show_frame(table.pivot(on="baseline", index=["dataset", "lang"], values="acc"))
    bad = found.filter(found["severity"].is_in(["error", "warning"]))
    click.echo(f"{int(found['n'].sum())} findings, {int(bad['n'].sum())} errors or warnings.")
    if strict and bad.height:
        raise SystemExit(2)


@align.command()
@config_options(WorldConfig)
@click.option(
    "--published",
    type=click.Path(path_type=Path),
    help="Read the published worlds of this folder (train/, test/) instead of generating.",
)
@click.option("--repair", "-r", multiple=True, metavar="NAME", help="zh_continents, zh_swap.")
@click.option("--out", "-o", default="runs/align/world", show_default=True, help="Folder to write.")
def world(
    study: str | None,
    settings: tuple[str, ...],
    published: Path | None,
    repair: tuple[str, ...],
    out: str,
    **flags: Any,
) -> None:
    """Make invented facts to inject: what is taught and asked.

    A table says which facts can show conduction.

    The defaults are the published design: 20 answers with 20 subjects each, 10,200 rows.
    """
    config = read_config(WorldConfig, study, settings, flags)
    from polylore.studies.align.world import write_worlds

    made = write_worlds(out, config, published=published, repairs=repair)
    for lang, one in made.items():
        facts = one.rows.filter(one.rows["block"].str.contains("^(source|target)_")).height
        click.echo(f"{lang}: {facts} rows of facts and {one.rows.height - facts} of other kinds")
    click.echo(f"Worlds: {out}")
