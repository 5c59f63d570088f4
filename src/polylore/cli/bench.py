"""`polylore bench`: speed, measured side by side in one process."""

import click

from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display


@click.group(invoke_without_command=True)
@click.pass_context
def bench(ctx: click.Context) -> None:
    """Measure polylore against what one would use instead; ratios, never absolute promises."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(score)


@bench.command()
@click.option(
    "--size",
    type=click.Choice(["20M", "80M"]),
    default="20M",
    show_default=True,
    help="Parameters of the random-weight Llama.",
)
@click.option("--questions", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def score(size: str, questions: int, rounds: int, threads: int, as_json: bool) -> None:
    """Scoring of candidates: polylore against one candidate per forward and sorted batches."""
    import json

    import polars as pl

    from polylore.studies.bench_score import bench_score

    with progress_display(as_json) as progress:
        found = bench_score(
            size, questions=questions, rounds=rounds, threads=threads, progress=progress
        )
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(
        f"Llama of {found['parameters'] / 1e6:.0f}M parameters, random weights, "
        f"{found['threads']} thread(s), {found['questions']} questions, {found['rounds']} rounds."
    )
    show_frame(pl.DataFrame(found["ways"]))
