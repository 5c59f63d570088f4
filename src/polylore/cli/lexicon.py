"""`polylore lexicon`: what is in a lexicon, and what it cannot show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from polylore.cli.output import show_findings, show_frame
from polylore.cli.values import split

SOURCE = click.argument("source", default="cldr")
LANGUAGES = click.option(
    "--languages", "-l", metavar="CODE,...", help="Languages to keep, for example en,fr,zh."
)
RECOVERY = click.option(
    "--recovery",
    type=click.Choice(["segment", "repeat"]),
    default="segment",
    show_default=True,
    help="Multi-SimLex: how multi-word forms are found.",
)


def _load(source: str, languages: str | None, recovery: str) -> Any:
    from polylore.facts.lexicon import load_lexicon

    return load_lexicon(source, split(languages), recovery=recovery)  # type: ignore[arg-type]


@click.group()
def lexicon() -> None:
    """Count, lint and export lexicons: concepts and their words in many languages.

    SOURCE is cldr (built in), a Multi-SimLex file, a folder of CLDR's annotations, an exported
    lexicon, or a table of words (CSV, TSV, JSONL, Parquet; long or wide).
    """


@lexicon.command()
@SOURCE
@LANGUAGES
@RECOVERY
@click.option("--pairs", "-p", metavar="A-B,...", help="Also count these pairs, such as en-fr.")
def stats(source: str, languages: str | None, recovery: str, pairs: str | None) -> None:
    """Count concepts, forms, homographs and colexified words."""
    from polylore.facts.lexicon import language_stats, pair_stats

    found = _load(source, languages, recovery)
    wanted = _pairs(split(pairs) or [], found.languages)
    show_frame(found.drops.select("step", "unit", "kept", "dropped"))
    click.echo()
    show_frame(language_stats(found))
    if wanted:
        click.echo()
        show_frame(pair_stats(found, wanted))
    click.echo(f"{len(found.concepts)} concepts, {len(found.languages)} languages.")


def _pairs(texts: Sequence[str], languages: Sequence[str]) -> list[tuple[str, str]]:
    from polylore.errors import ConfigError

    known = {f"{a}-{b}": (a, b) for a in languages for b in languages}
    for text in texts:
        if text not in known:
            raise ConfigError(f"--pairs {text}: write A-B with two of {', '.join(languages)}.")
    return [known[text] for text in texts]


@lexicon.command()
@SOURCE
@LANGUAGES
@RECOVERY
@click.option("--strict", is_flag=True, help="Exit with 2 if there is an error or a warning.")
def lint(source: str, languages: str | None, recovery: str, strict: bool) -> None:
    """Find what a lexicon cannot show, before it is asked."""
    from polylore.facts.lexicon import lint_lexicon

    bad = show_findings(lint_lexicon(_load(source, languages, recovery)))
    if strict and bad:
        raise SystemExit(2)


@lexicon.command()
@click.argument("source")
@click.argument("folder", type=click.Path())
@LANGUAGES
@RECOVERY
def export(source: str, folder: str, languages: str | None, recovery: str) -> None:
    """Write a lexicon as plain tables that anything can read.

    A folder with another lexicon is refused.
    """
    from polylore.facts.lexicon.lexicon import MANIFEST
    from polylore.files import refuse_other

    found = _load(source, languages, recovery)
    refuse_other(Path(folder) / MANIFEST, "sha256", found.digest(), "lexicon")
    found.export(folder)
    click.echo(f"Wrote {len(found.concepts)} concepts to {folder}.")
