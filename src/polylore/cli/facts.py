"""`polylore facts`: list, show, lint and export fact sets."""

from pathlib import Path
from typing import Any

import click

from polylore.cli.output import show_findings, show_frame
from polylore.cli.values import split

SOURCE = click.argument("source", default="cldr")
LANGUAGES = click.option(
    "--languages", "-l", metavar="CODE,...", help="Languages to keep, for example en,fr,zh."
)
RELATIONS = click.option("--relations", "-r", metavar="NAME,...", help="Relations to keep.")


def _load(source: str, languages: str | None, relations: str | None) -> Any:
    from polylore.facts import load_facts

    return load_facts(source, languages=split(languages), relations=split(relations))


@click.group()
def facts() -> None:
    """List, show, lint and export fact sets.

    SOURCE is cldr (built in), a folder (KLAR, BMLAMA, an export) or a JSONL, CSV or Parquet file.
    """


@facts.command("list")
@SOURCE
@LANGUAGES
@RELATIONS
def list_(source: str, languages: str | None, relations: str | None) -> None:
    """Count the facts per relation and language."""
    import polars as pl

    factset = _load(source, languages, relations)
    counts = factset.facts.pivot(
        on="lang", index="relation", values="fact_id", aggregate_function=pl.len()
    )
    for note in factset.notes:
        click.echo(f"note: {note}", err=True)
    show_frame(counts.fill_null(0))
    click.echo(
        f"{len(factset.fact_ids)} facts, {len(factset.relations)} relations, "
        f"{len(factset.languages)} languages."
    )


@facts.command()
@SOURCE
@LANGUAGES
@RELATIONS
@click.option("--search", "-s", default="", help="Only facts with this text in any language.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="Rows to show."
)
def show(
    source: str, languages: str | None, relations: str | None, search: str, limit: int
) -> None:
    """Show facts as they are asked."""
    import polars as pl

    factset = _load(source, languages, relations)
    rows = factset.facts
    if search:
        # A literal search: text from the command line is no pattern.
        hit = pl.any_horizontal(
            pl.col(c).str.to_lowercase().str.contains(search.lower(), literal=True)
            for c in ("subject", "object", "fact_id")
        )
        ids = rows.filter(hit)["fact_id"].unique(maintain_order=True)
        rows = rows.filter(pl.col("fact_id").is_in(ids.implode()))
    show_frame(rows.select("fact_id", "lang", "subject", "object", "candidates").head(limit))
    if rows.height > limit:
        click.echo(f"... and {rows.height - limit} more rows; raise --limit to see them.")


@facts.command()
@SOURCE
@LANGUAGES
@RELATIONS
@click.option("--strict", is_flag=True, help="Exit with 2 if there is an error or a warning.")
def lint(source: str, languages: str | None, relations: str | None, strict: bool) -> None:
    """Find what a fact set cannot show, before it is asked."""
    from polylore.facts import lint as find

    bad = show_findings(find(_load(source, languages, relations)))
    if strict and bad:
        raise SystemExit(2)


@facts.command()
@click.argument("source")
@click.argument("folder", type=click.Path())
@LANGUAGES
@RELATIONS
@click.option("--limit", type=click.IntRange(min=1), help="Keep this many facts.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of that choice."
)
@click.option("--jsonl", is_flag=True, help="Write JSONL instead of Parquet.")
def export(
    source: str,
    folder: str,
    languages: str | None,
    relations: str | None,
    limit: int | None,
    seed: int,
    jsonl: bool,
) -> None:
    """Write a fact set as plain tables that anything can read.

    A folder with another fact set is refused.
    """
    from polylore.facts.factset import MANIFEST
    from polylore.files import refuse_other

    factset = _load(source, languages, relations)
    if limit is not None:
        factset = factset.sample(limit, seed)
    refuse_other(Path(folder) / MANIFEST, "sha256", factset.digest(), "fact set")
    factset.export(folder, jsonl=jsonl)
    click.echo(f"Wrote {len(factset.fact_ids)} facts to {folder}.")
