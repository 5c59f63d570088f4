"""`inject plan`: what a study would cost, without running it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.study import Study

Progress = Callable[[int, int, str], None]
_UNITS = ("", "k", "M", "G", "T", "P", "E")


def dry_run(
    config: InjectConfig, progress: Progress | None = None
) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Costs of every run, as `estimate.run_costs` gives them, and findings in the items (LINT).

    Raises:
        PolyloreError: bad input, in one sentence; the same as a run would give.
    """
    study = Study(config)
    with tempfile.TemporaryDirectory(prefix="polylore-inject-") as folder:
        return study.costs(Path(folder), progress), study.findings


def sentences(costs: list[dict[str, Any]]) -> list[str]:
    """The costs in plain words."""
    lines = []
    for one in costs:
        taken = ""
        if "share" in one:
            about = "about " if one["scaled"] else ""
            taken = (
                f"; on this machine {about}{_duration(one['training_seconds'])} and "
                f"{_duration(one['reading_seconds'])} of reading, {one['share']:.1%} of training"
            )
        lines.append(
            f"{one['run_id']}: {one['updates']:,} updates, {_short(one['tokens'])} tokens, "
            f"{_short(one['training_flop'])}FLOP; {one['probes']:,} probes "
            f"({one['probe_tokens']:,} tokens) at {one['readings']:,} states, with "
            f"{one['heldout_tokens']:,} tokens of held-out text, "
            f"{one['flop_share']:.1%} of the FLOP of training{taken}; {_short(one['disk_bytes'])}B "
            f"on disk; {one['injected_tokens']:,} tokens injected, at most "
            f"{one['highest_row_share']:.1%} of a step's rows and {one['highest_loss_share']:.1%} "
            "of its loss."
        )
    lines += _turns(costs)
    flop = sum(one["training_flop"] + one["reading_flop"] for one in costs)
    largest = max(costs, key=lambda one: one["memory_bytes"])
    lines.append(
        f"In all: {len(costs)} {'run' if len(costs) == 1 else 'runs'}, {_short(flop)}FLOP, "
        f"{_short(sum(one['disk_bytes'] for one in costs))}B{_seconds(costs)}; "
        f"{_short(largest['parameters'])} parameters take {_short(largest['memory_bytes'])}B of "
        "memory before activations."
    )
    return lines


def _turns(costs: list[dict[str, Any]]) -> list[str]:
    """How many seeds take every item through arms and languages, where these are fewer."""
    short: dict[tuple[int, int, int], list[str]] = {}
    for one in costs:
        arms, both = one["seeds_for_arms"], one["seeds_for_all"]
        if both is not None and one["seeds"] < both:
            names = short.setdefault((one["seeds"], arms, both), [])
            names += [one["condition"]] if one["condition"] not in names else []
    return [
        f"{', '.join(names)}: items take turns from seed to seed; every item has been in every arm "
        f"after {_seeds(arms)}, and in every arm in every language after {_seeds(both)}, but this "
        f"study has {_seeds(seeds)}."
        for (seeds, arms, both), names in short.items()
    ]


def _seeds(number: int) -> str:
    return f"{number} seed" if number == 1 else f"{number} seeds"


def _seconds(costs: list[dict[str, Any]]) -> str:
    """Time of all runs; nothing where it was not taken."""
    if not all("share" in one for one in costs):
        return ""
    training, reading = (
        sum(one[f"{part}_seconds"] for one in costs) for part in ("training", "reading")
    )
    return (
        f"; one after the other on this machine {_duration(training + reading)}, of which "
        f"{_duration(reading)} are readings"
    )


def _short(number: float) -> str:
    power = 0
    while number >= 1000 and power < len(_UNITS) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {_UNITS[power]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
