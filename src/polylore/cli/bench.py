"""`polylore bench`: speed, measured side by side in one process."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.config import Config
from polylore.studies.bench.config import (
    BenchConfig,
    InjectBenchConfig,
    PatchBenchConfig,
    TrainBenchConfig,
)

if TYPE_CHECKING:
    from polylore.studies.bench.count import Part

_COLUMNS = {
    "name": "way",
    "batch": "batch",
    "seconds": "seconds",
    "candidates_per_second": "candidates/s",
    "speedup": "polylore faster",
    "spread": "lowest to highest",
    "largest_difference": "difference",
    "note": "note",
}


def _measured(
    measure: Callable[..., dict[str, Any]], config: Config, as_json: bool
) -> dict[str, Any] | None:
    """What was measured; None if it was printed as JSON, and nothing else is to be."""
    with progress_display(as_json) as progress:
        found = measure(config, progress=progress)
    if not as_json:
        return found
    click.echo(json.dumps(found, indent=2))
    return None


@click.group(invoke_without_command=True)
@click.pass_context
def bench(ctx: click.Context) -> None:
    """Measure polylore against what one would use instead; ratios, never absolute promises."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(score)


@bench.command()
@config_options(BenchConfig)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def score(study: str | None, settings: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Scoring of candidates: polylore, plain loops, lm-eval, vLLM.

    vLLM takes part if it is installed. Every way starts from the same texts and must find the same
    log-probabilities. A way with a batch size gets the quickest of several. Takes some minutes;
    fewer questions take less.
    """
    config = read_config(BenchConfig, study, settings, flags)
    from polylore.studies.bench.score import bench_score

    found = _measured(bench_score, config, as_json)
    if found is None:
        return
    click.echo(
        f"{found['questions']} questions, demonstrations shared by {found['shared']}; "
        f"{found['rounds']} rounds, {found['threads']} thread(s), {found['dtype']} on "
        f"{found['device']}. Times are medians; the difference is the largest one in log-"
        "probability from one candidate per forward."
    )
    for model in found["models"]:
        click.echo(f"\nLlama of {model['parameters'] / 1e6:.0f}M parameters, random weights:")
        _show(model["ways"])


def _show(ways: list[dict[str, Any]]) -> None:
    import polars as pl

    rows = []
    shown_columns = {key: title for key, title in _COLUMNS.items() if key in {*ways[0], "spread"}}
    for way in ways:
        spread = None
        if way["speedup"] is not None:
            spread = f"{way['speedup_lowest']:.3g} to {way['speedup_highest']:.3g}"
        shown = way | {"spread": spread, "note": way["note"] or None}
        rows.append({title: shown[key] for key, title in shown_columns.items()})
    show_frame(pl.DataFrame(rows, infer_schema_length=None))


@bench.command("patch")
@config_options(PatchBenchConfig)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def patch(study: str | None, settings: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Patching from every onset on: polylore, plain hooks and nnsight.

    Every way patches the same prompts with the same vectors and must find the same
    log-probabilities. Takes some minutes; fewer prompts or rounds take less.
    """
    config = read_config(PatchBenchConfig, study, settings, flags)
    from polylore.studies.bench.patch import bench_patch

    found = _measured(bench_patch, config, as_json)
    if found is None:
        return
    click.echo(
        f"Llama of {found['parameters'] / 1e6:.0f}M parameters in {found['layers']} layers, random "
        f"weights: {found['prompts']} prompts of {found['tokens']} tokens, {found['suffix']} of "
        f"them behind the patch; clean and {found['layers'] + 1} onsets, which are "
        f"{found['forwards']} forward passes with hooks; {found['rounds']} rounds, "
        f"{found['threads']} thread(s), {found['dtype']} on {found['device']}, engine "
        f"{found['engine']}. Times are medians; the difference is the largest one in "
        "log-probability from plain hooks."
    )
    _show(found["ways"])


@bench.command("train")
@config_options(TrainBenchConfig)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def train(study: str | None, settings: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Training of tiny models, alone and stacked, beside bare PyTorch.

    Takes a minute for small recipes; fewer rounds or steps take less.
    """
    import polars as pl

    config = read_config(TrainBenchConfig, study, settings, flags)
    from polylore.studies.bench.train import bench_train

    found = _measured(bench_train, config, as_json)
    if found is None:
        return
    click.echo(
        f"Recipe {found['recipe']}, {found['parameters']:,} parameters, rows of {found['tokens']} "
        f"tokens; {found['steps']} updates in each of {found['rounds']} rounds, "
        f"{found['threads']} thread(s) on {found['device']}. Numbers are medians; the difference "
        "is the largest one in loss from the recipe as one writes it down."
    )
    rows = [
        {
            "way": way["name"],
            "runs": way["runs"],
            "tokens/s": way["tokens_per_second"],
            "of bare": way["ratio"],
            "lowest to highest": f"{way['ratio_lowest']:.3g} to {way['ratio_highest']:.3g}",
            "difference": way["largest_difference"],
        }
        for way in found["ways"]
    ]
    show_frame(pl.DataFrame(rows, infer_schema_length=None))
    click.echo(
        f"Two processes train {found['two_processes']:.2f} times as many tokens as one "
        f"({found['two_processes_lowest']:.2f} to {found['two_processes_highest']:.2f})."
    )


@bench.command("inject")
@config_options(InjectBenchConfig)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def inject(study: str | None, settings: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """What injection adds to a training step.

    It is held against the same step without it. Takes a minute; fewer rounds or steps take less.
    """
    import polars as pl

    config = read_config(InjectBenchConfig, study, settings, flags)
    from polylore.studies.bench.inject import bench_inject

    found = _measured(bench_inject, config, as_json)
    if found is None:
        return
    click.echo(
        f"{found['parameters']:,} parameters, steps of {found['batch']} rows of {found['length']} "
        f"tokens, {found['injected_rows']} of them with a passage; {found['steps']} steps in each "
        f"of {found['rounds']} rounds, {found['threads']} thread(s) on {found['device']}. Numbers "
        "are medians."
    )
    rows = [
        {
            "what": way["name"],
            "ms per step": way["milliseconds"],
            "of the step": way["ratio"],
            "lowest to highest": f"{way['ratio_lowest']:.3g} to {way['ratio_highest']:.3g}",
        }
        for way in found["ways"]
    ]
    show_frame(pl.DataFrame(rows))


@bench.command("count")
@click.option("--megabytes", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--shards", type=click.IntRange(min=2), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["txt", "jsonl"]),
    default="txt",
    show_default=True,
    help="What is compressed with zst.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(["speed", "processes"]),
    multiple=True,
    default=["speed", "processes"],
    show_default=True,
    help="One process against the bare matcher, or two processes against one, and memory.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the made-up text.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def count(
    megabytes: int,
    shards: int,
    rounds: int,
    kind: str,
    parts: tuple["Part", ...],
    seed: int,
    as_json: bool,
) -> None:
    """Counting exposures: against the bare matcher, processes, memory."""
    from polylore.runs.executor import limit_threads
    from polylore.studies.bench.count import bench_count

    limit_threads(1)  # as in the workers of `corpus count`; CPU seconds are those of all threads
    with progress_display(as_json) as progress:
        found = bench_count(
            megabytes=megabytes,
            shards=shards,
            rounds=rounds,
            kind=kind,
            parts=parts,
            seed=seed,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(
        f"{found['bytes'] / 1e6:.0f} MB of made-up text in {found['languages']} languages "
        f"({found['kind']}), {found['patterns']:,} patterns."
    )
    if "speed" in parts:
        click.echo(
            f"matcher alone  {found['matcher_mb_per_cpu_second']:6.0f} MB per CPU second as the "
            f"library builds it, {found['laid_out_mb_per_cpu_second']:.0f} laid out for the text\n"
            f"whole way      {found['whole_mb_per_cpu_second']:6.0f} MB per CPU second, "
            f"{found['ratio']:.2f} of the one "
            f"({found['ratio_lowest']:.2f} to {found['ratio_highest']:.2f}), "
            f"{found['ratio_laid_out']:.2f} of the other "
            f"({found['ratio_laid_out_lowest']:.2f} to {found['ratio_laid_out_highest']:.2f})"
        )
    if "processes" in parts:
        click.echo(
            f"two processes  {found['two_processes']:6.2f} times as fast as one "
            f"({found['two_processes_lowest']:.2f} to {found['two_processes_highest']:.2f})\n"
            f"peak memory    {found['peak_mb_of_all']:6.0f} MB on all, "
            f"{found['peak_mb_of_a_part']:.0f} MB on {found['part']:.0%} of it"
        )
