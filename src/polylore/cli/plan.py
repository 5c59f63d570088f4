"""`polylore plan`: what a trace will cost, before anything starts."""

from typing import TYPE_CHECKING, Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.progress import progress_display
from polylore.studies.trace.config import TraceConfig

if TYPE_CHECKING:
    from polylore.studies.plan.corpus import CorpusPlan
    from polylore.studies.plan.plan import Plan

_SCALES = {
    "bytes": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")),
    "s": ((3600, "h"), (60, "min"), (1, "s")),
    "GPU hours": ((1, "GPU h"), (1 / 60, "GPU min"), (1 / 3600, "GPU s")),
}
_POWERS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@click.command()
@config_options(TraceConfig, positional="model", short=["execution.executor"])
@click.option(
    "--out", "-o", default="runs/trace", show_default=True, help="Run folder to plan for."
)
@click.option("--measure", is_flag=True, help="Time a few real batches on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def plan(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    measure: bool,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Say what a trace will cost: prompts, tokens, FLOPs, time, memory, downloads, disk.

    Takes what `polylore trace` takes, counts with the code that will do the work, and starts
    nothing. What is finished in the run folder is not counted again. For counting exposures in a
    corpus: `polylore corpus plan`.
    """
    config = read_config(TraceConfig, study, settings, flags, positional="model")
    from polylore.studies.plan.plan import plan as make_plan

    with progress_display(quiet or as_json) as progress:
        made = make_plan(config, out, measured=measure, progress=progress)
    show_plan(made, as_json=as_json)


def show_plan(made: "Plan | CorpusPlan", *, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        _json(made)
    else:
        _text(made)


def _json(made: "Plan | CorpusPlan") -> None:
    import json

    value: dict[str, Any] = {"title": made.title, "totals": made.totals.to_dicts()}
    units = getattr(made, "units", None)
    if units is not None:
        value["units"] = units.to_dicts()
    value["notes"] = list(made.notes)
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _text(made: "Plan | CorpusPlan") -> None:
    import polars as pl

    from polylore.cli.output import show_frame

    click.secho(made.title, bold=True)
    for (topic,), part in made.totals.group_by("topic", maintain_order=True):
        click.secho(f"\n{topic}", bold=True)
        amounts = [_amount(value, unit) for value, unit in part.select("value", "unit").iter_rows()]
        shown = part.select("name", pl.Series("amount", amounts), "remark")
        show_frame(shown, header=False)
    for note in made.notes:
        click.echo(f"\n{note}")


def _amount(value: float | None, unit: str) -> str:
    """A number as people say it: 12.3M tokens, 4.50 GB, 2.1 h."""
    if value is None:
        return "unknown"
    if unit in _SCALES:
        size, name = next((s for s in _SCALES[unit] if value >= s[0]), _SCALES[unit][-1])
        return f"{value / size:.3g} {name}"
    if unit == "FLOPs":
        return f"{value:.3g} {unit}"
    if value < 100_000:
        return f"{value:,.0f} {unit}"
    size, sign = next(s for s in _POWERS if value >= s[0])
    return f"{value / size:.3g}{sign} {unit}"
