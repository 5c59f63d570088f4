"""`polylore corpus`: how often a corpus expresses facts, and where."""

import re
from pathlib import Path
from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import printable, show_frame
from polylore.cli.progress import progress_display
from polylore.studies.count.config import CountConfig


@click.group()
def corpus() -> None:
    """Count how often a corpus expresses facts, see where it does, compare counts."""


@corpus.command()
@config_options(
    CountConfig, positional="documents.source", short=["execution.executor", "execution.jobs"]
)
@click.option("--out", "-o", default="runs/count", show_default=True, help="Run folder to write.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def count(
    study: str | None, settings: tuple[str, ...], out: str, quiet: bool, **flags: Any
) -> None:
    """Count the documents that express each fact in each language.

    Give a file, folder, glob pattern or URL, or a YAML file with the settings below. Interrupted,
    the same command goes on where it stopped. `polylore trace --exposure OUT` takes the result.
    """
    config = read_config(CountConfig, study, settings, flags, positional="documents.source")
    from polylore.studies.count.study import count as run_count

    with progress_display(quiet) as progress:
        run = run_count(config, out, progress=progress)
    shards, exposure = run.table("shards"), run.table("exposure")
    for note in run.manifest["notes"]:
        click.echo(f"note: {printable(note)}", err=True)
    met = exposure.filter(exposure["count"] > 0).unique(["fact_id", "lang"]).height
    cells = run.table("facts").height
    conditioned = bool(exposure["lang_conditioned"].any()) if exposure.height else False
    documents, size = int(shards["documents"].sum()), int(shards["text_bytes"].sum())
    files = "1 file" if shards.height == 1 else f"{shards.height:,} files"
    click.echo(f"{documents:,} documents, {size / 1e6:,.1f} MB of text, {files}.")
    click.echo(
        f"{met:,} of {cells:,} cells (a fact in a language) were met in "
        f"{'documents of their language' if conditioned else 'documents of any language'}, "
        f"{exposure['count'].sum():,} exposures in all."
    )
    click.echo(f"Exposure: {run.path / 'tables' / 'exposure.parquet'}")


@corpus.command()
@config_options(
    CountConfig, positional="documents.source", short=["execution.executor", "execution.jobs"]
)
@click.option("--out", "-o", default="runs/count", show_default=True, help="Its run folder.")
@click.option("--size", help="Plan for a corpus of so much, like this one: 10TB, 500GB, ...")
@click.option(
    "--sample",
    "megabytes",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Megabytes of text to count of each kind of file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def plan(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    size: str | None,
    megabytes: int,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Say what a count will cost in time, memory and disk.

    A sample is counted now to know it.

    Takes what `polylore corpus count` takes. What is finished in the run folder is not planned
    again.
    """
    config = read_config(CountConfig, study, settings, flags, positional="documents.source")
    from polylore.cli.plan import show_plan
    from polylore.studies.plan.corpus import plan_corpus

    with progress_display(quiet or as_json) as progress:
        made = plan_corpus(
            config,
            out,
            size=None if size is None else _bytes(size),
            megabytes=megabytes,
            progress=progress,
        )
    show_plan(made, as_json=as_json)


def _bytes(text: str) -> int:
    """10TB as a number."""
    from polylore.errors import ConfigError

    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGTP]?)B?\s*", text)
    if not found or not float(found[1]):
        raise ConfigError(f"--size is {text!r}; give a number of bytes such as 10TB or 500GB.")
    power = " kMGTP".index(found[2] or " ")
    return round(float(found[1]) * 1000.0**power)


@corpus.command()
@click.argument("fact")
@config_options(CountConfig, positional="documents.source")
@click.option("--lang", "-l", "langs", help="Only in this language of the fact, or these.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Documents to show.",
)
@click.option("--any-language", is_flag=True, help="Also documents of other languages.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines for programs.")
def sample(
    fact: str,
    study: str | None,
    settings: tuple[str, ...],
    langs: str | None,
    limit: int,
    any_language: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show documents that express the fact with the id FACT.

    Subject and object are marked. They are the first ones in the order of the corpus.
    """
    import json

    config = read_config(CountConfig, study, settings, flags, positional="documents.source")
    from polylore.studies.count.sample import sample_documents

    wanted = None if langs is None else [code.strip() for code in langs.split(",")]
    found = 0
    for hit in sample_documents(config, fact, langs=wanted, any_language=any_language):
        found += 1
        if as_json:
            click.echo(json.dumps(hit.plain(), ensure_ascii=False))
        else:
            _show(hit)
        if found >= limit:
            break
    if not found:
        click.echo(f"No document expresses {printable(fact)}.", err=True)


def _show(hit: Any) -> None:
    where = f"{hit.shard}, document {hit.number}"
    if hit.doc_id is not None:
        where += f" ({hit.doc_id})"
    language = f", {hit.doc_lang}" if hit.doc_lang else ""
    click.secho(printable(f"{where}{language}; the fact in {hit.lang}:"), fg="blue")
    line = "  "
    for text, role in hit.excerpt():
        shown = printable(" ".join(text.split("\n")))
        if role is None:
            line += shown
        else:
            line += click.style(
                f"[{shown}]", bold=True, fg="green" if role == "subject" else "cyan"
            )
    click.echo(line)


@corpus.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["wimbd", "infini-gram"]),
    required=True,
    help="How it was counted: whole documents, exactly; or pairs within 1,000 tokens.",
)
@click.option("--facts", required=True, help="The fact set that was counted.")
@click.option("--name", help="Name of the source; the file's by default.")
def import_(file: Path, out: Path, kind: str, facts: str, name: str | None) -> None:
    """Turn a published frequency FILE into an exposure table OUT.

    FILE is JSON, OUT is Parquet.
    """
    from polylore.corpus.frequencies import contradictions, read_frequencies
    from polylore.facts import load_facts
    from polylore.files import write_parquet

    factset = load_facts(facts)
    exposure = read_frequencies(file, factset, kind=kind, source=name)  # type: ignore[arg-type]
    odd = contradictions(exposure, factset)
    if odd.height:
        first = odd.row(0, named=True)
        click.echo(
            f"note: {odd.height} pairs of equal strings have different counts, such as "
            f"{printable(first['subject'])} / {printable(first['object'])}: {first['counts']}.",
            err=True,
        )
    write_parquet(exposure, out)
    known = exposure.height - exposure["count"].null_count()
    click.echo(
        f"{known:,} of {exposure.height:,} cells have a count ({exposure['unit'][0]}): {out}"
    )


@corpus.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--facts", help="Fact set, for relations and names; found in a counting run.")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Rows with the worst disagreement.",
)
@click.option(
    "--corpus-docs",
    type=click.IntRange(min=1),
    help="Documents of the corpus: no count can be larger.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Bootstrap draws over facts.",
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder for the two tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def agree(
    a: Path,
    b: Path,
    facts: str | None,
    worst: int,
    corpus_docs: int | None,
    draws: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare two sources of counts, A and B.

    Each is an exposure table, or a folder that holds one.
    """
    import json

    from polylore.studies.count.agree import compare

    summary, rows = compare(
        a, b, facts=facts, worst=worst, corpus_documents=corpus_docs, draws=draws, out=out
    )
    if as_json:
        value = {"agreement": summary.to_dicts(), "worst": rows.to_dicts()}
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
        return
    one = summary.row(0, named=True)
    click.echo(f"a: {one['source_a']} ({one['unit_a']}); b: {one['source_b']} ({one['unit_b']})")
    if one["unit_a"] != one["unit_b"]:
        click.echo("note: the units differ, so only ranks can be compared.", err=True)
    pooled = summary.filter(summary["relation"] == "all")
    show_frame(pooled.drop("source_a", "source_b", "unit_a", "unit_b", "relation"))
    click.echo("Worst disagreements:")
    show_frame(rows.head(10).drop("source_a", "source_b"))
    if out is not None:
        click.echo(f"Tables: {out}")
