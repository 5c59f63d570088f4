"""`polylore checkpoints`: what there is of a model, what is missing, what a schedule chooses."""

from typing import TYPE_CHECKING, Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.config import Config
from polylore.studies.series import SeriesConfig

if TYPE_CHECKING:
    from polylore.models.resolve import Resolved


class CheckpointsStudy(Config):
    """Which model, and what of it."""

    model: str
    """Folder with checkpoints, or a hub model: ORG/NAME[+ORG/NAME]."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints."""


@click.command()
@config_options(CheckpointsStudy, positional="model")
@click.option(
    "--schedule", "-s", metavar="log:20|every:5000|LIST", help="Same as --series.schedule."
)
@click.option("--nearest", is_flag=True, help="Same as --series.nearest true.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def checkpoints(
    study: str | None,
    settings: tuple[str, ...],
    schedule: str | None,
    nearest: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """List a model's checkpoints, its gaps and duplicates, and what a schedule chooses.

    Nothing is downloaded but lists of names and files.
    """
    if schedule is not None:
        flags["opt_series__schedule"] = schedule
    if nearest:
        flags["opt_series__nearest"] = "true"
    config = read_config(CheckpointsStudy, study, settings, flags, positional="model")
    resolved = config.series.resolve(config.model)
    if as_json:
        _json(resolved)
    else:
        _text(resolved, chosen=config.series.schedule not in ("all", ["all"]))


def _json(resolved: "Resolved") -> None:
    import json

    value = {
        "checkpoints": resolved.series.to_dicts(),
        "chosen": resolved.chosen.to_dicts(),
        "gaps": resolved.gaps.to_dicts(),
        "missing": list(resolved.missing),
        "skipped": [{"name": name, "reason": reason} for name, reason in resolved.skipped],
    }
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _text(resolved: "Resolved", *, chosen: bool) -> None:
    import polars as pl

    series = resolved.series
    remarks = [_remarks(row) for row in series.iter_rows(named=True)]
    staged = [c for c in ("stage", "ingredient") if series[c].null_count() < series.height]
    shown = series.select("ckpt_id", *staged, "step", "tokens").with_columns(
        pl.Series("flags", remarks, dtype=pl.String)
    )
    show_frame(shown)
    click.echo(f"{series.height} checkpoints of {series['model'][0]}.")
    for row in resolved.gaps.iter_rows(named=True):
        # A long list says no more than its ends.
        steps = row["missing_steps"]
        listed = ", ".join(map(str, steps)) if len(steps) <= 6 else f"{steps[0]} to {steps[-1]}"
        click.echo(f"gap: {row['n_missing']} missing ({listed})")
    same = series.filter(pl.col("duplicate_of").is_not_null())
    for ckpt_id, other in same.select("ckpt_id", "duplicate_of").iter_rows():
        click.echo(f"equal weights: {ckpt_id} and {other}")
    for name, reason in resolved.skipped:
        click.echo(f"left out: {name}, {reason}")
    if resolved.missing:
        click.echo(f"scheduled but missing: {', '.join(map(str, resolved.missing))}")
    if chosen:
        names = ", ".join(
            name if step is None else f"{name} (for step {step})"
            for name, step in resolved.chosen.select("ckpt_id", "requested_step").iter_rows()
        )
        click.echo(f"The schedule chooses {resolved.chosen.height}: {names}")


def _remarks(row: dict[str, Any]) -> str:
    found = list(row["flags"] or [])
    if row["final"]:
        found.append("final")
    if row["suspect"]:
        found.append("suspect")
    if row["tokens"] is not None and not row["tokens_exact"]:
        found.append("tokens_rounded")
    if row["repo"] is not None and row["path"] is not None:
        found.append("on this machine")
    return ", ".join(found) or "-"
