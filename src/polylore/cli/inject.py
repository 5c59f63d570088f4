"""`polylore inject`: facts put into a running training, and what becomes of them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polylore.cli.inject_report import answers, report
from polylore.cli.inject_write import translate, write
from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_findings
from polylore.cli.progress import progress_display
from polylore.errors import DataError, RunError
from polylore.facts.people.make import FictionConfig
from polylore.studies.built_in import INJECT_STUDIES
from polylore.studies.inject.config import InjectConfig

if TYPE_CHECKING:
    from polylore.facts.people import Fiction


@click.group()
def inject() -> None:
    """Inject facts into a running training, and watch how they arrive and fade."""


@inject.command("make-items")
@config_options(FictionConfig, study=False)
@click.option(
    "--languages", default="en,de", show_default=True, help="Languages, or paths of packs."
)
@click.option(
    "--tokenizer", help="tokenizer.json, or a folder with it: make variants equally long in tokens."
)
@click.option("--out", "-o", default="items", show_default=True, help="Folder to write.")
def make_items(
    languages: str, tokenizer: str | None, out: str, settings: tuple[str, ...], **flags: Any
) -> None:
    """Make fictional items: subjects, passages and probes."""
    config = read_config(FictionConfig, None, settings, flags)
    from polylore.facts.people import fictional_facts, load_pack, make_fiction
    from polylore.facts.people.facts import facts_of
    from polylore.files import write_parquet

    packs = [load_pack(name.strip()) for name in languages.split(",") if name.strip()]
    encode = _encoder(tokenizer)
    length = len if encode is None else lambda text: len(encode([text])[0])
    fiction = make_fiction(packs, config, length)
    _refuse_other(fiction, out)
    fiction.export(out)
    facts = facts_of(fiction, fictional_facts(packs, config))
    write_parquet(facts, Path(out) / "facts.parquet")
    click.echo(
        f"Items: {out} ({fiction.items.height} items, {fiction.passages.height} passages, "
        f"{fiction.probes.height} probes; {fiction.digest()[:12]})"
    )


def _refuse_other(fiction: "Fiction", folder: str) -> None:
    """Items that are there already, changed by hand or made otherwise, are kept."""
    from polylore.facts.people import read_fiction

    if not any(Path(folder).glob("items.*")):
        return
    try:
        same = read_fiction(folder).digest() == fiction.digest()
    except DataError:
        same = False
    if not same:
        raise RunError(f"{folder} holds other items; choose another folder or delete it.")


def _encoder(tokenizer: str | None) -> Callable[[list[str]], list[list[int]]] | None:
    """What gives texts the tokens of a tokenizer, if one is named."""
    if tokenizer is None:
        return None
    from polylore.corpus.documents.tokens import load_tokenizer

    loaded = load_tokenizer(tokenizer)

    def encode(texts: list[str]) -> list[list[int]]:
        return [one.ids for one in loaded.encode_batch(texts, add_special_tokens=False)]

    return encode


@inject.command("lint-items")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--published", is_flag=True, help="The folder holds the published items (JSON).")
@click.option("--tokenizer", help="tokenizer.json, or a folder with it, for findings on tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def lint_items(folder: Path, published: bool, tokenizer: str | None, as_json: bool) -> int:
    """Show what makes probes easier or harder than they look.

    The exit code is 3 if there are errors.
    """
    from polylore.facts.people import lint_items as lint
    from polylore.facts.people import read_fiction, read_published

    fiction = read_published(folder) if published else read_fiction(folder)
    found = lint(fiction, _encoder(tokenizer))
    if as_json:
        for row in found.iter_rows(named=True):
            click.echo(json.dumps(row, ensure_ascii=False))
    elif found.height:
        show_findings(found)
    else:
        click.echo("No findings.")
    return 3 if found.filter(severity="error").height else 0


@inject.command()
def studies() -> None:
    """List the built-in studies, for the place of a YAML file."""
    for name, about in INJECT_STUDIES.purposes():
        click.echo(f"{name:12}{about}")


def _config(study: str | None, settings: tuple[str, ...], flags: dict[str, Any]) -> InjectConfig:
    path = None if study is None else INJECT_STUDIES.file(study)
    return read_config(InjectConfig, path, settings, flags)


@inject.command()
@click.argument("study", required=False, metavar="[STUDY]")
@config_options(InjectConfig, study=False, short=["execution.jobs"])
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def plan(
    study: str | None, settings: tuple[str, ...], as_json: bool, quiet: bool, **flags: Any
) -> None:
    """Say what a study will cost, and start nothing.

    STUDY is as for `inject run`. Some updates and readings are timed on this machine unless
    --execution.calibrate no.
    """
    config = _config(study, settings, flags)
    from polylore.studies.inject.dry_run import dry_run, sentences

    with progress_display(quiet or as_json) as progress:
        costs, findings = dry_run(config, progress)
    if as_json:
        click.echo(json.dumps(costs, indent=2))
        return
    click.echo("\n".join(sentences(costs)))
    spoken = findings.filter(findings["severity"] != "note")
    if spoken.height:
        click.echo("What the linter finds in the items:")
        show_findings(spoken)


@inject.command()
@click.argument("study", required=False, metavar="[STUDY]")
@config_options(InjectConfig, study=False, short=["execution.jobs", "execution.executor"])
@click.option("--out", "-o", default="runs/inject", show_default=True, help="Run folder.")
@click.option("--no-report", is_flag=True, help="Write raw tables only.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def run(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    no_report: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Run a study, and write its report.

    STUDY is a YAML file, or the name of a built-in one (see `inject studies`).
    Interrupted or not, the same command goes on where it stopped. With several processes:
    `torchrun --nproc-per-node 8 -m polylore inject run ...`.
    """
    config = _config(study, settings, flags)
    from polylore.studies.inject.study import run_inject

    with progress_display(quiet) as progress:
        done = run_inject(config, out, progress=progress)
        if int(os.environ.get("RANK", "0")) > 0:
            return
        path = None
        if not no_report:
            from polylore.studies.inject.report import report as write_report

            with done.lock():
                path = write_report(done.path, progress=progress)
    click.echo(f"Run folder: {done.path}" if path is None else f"Report: {path}")


inject.add_command(report)
inject.add_command(answers)
inject.add_command(write)
inject.add_command(translate)
