"""Which states of a run are read (specification of `inject`, section 4.3)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.studies.inject.config import ProbingConfig


@dataclass(frozen=True)
class Readings:
    """States at which probes are read."""

    states: tuple[int, ...]
    """All of them, ascending."""
    extras: frozenset[int]
    """Those at which margins, swapped subjects and free answers are read as well."""


def readings(schedule: pl.DataFrame, updates: int, first: int, config: ProbingConfig) -> Readings:
    """The states of a run that are read.

    By default: the baseline; the state before every exposure, and dense lags behind it; one
    interval behind the last exposure of every item, where the next one would come; log-spaced
    states behind the last exposure of all. The union is read for all probes, as the control items
    are needed at every one of them.

    Args:
        schedule: contract `tables.inject.SCHEDULE`; empty for nothing but the baseline.
        updates: last state of the run.
        first: last state of the baseline.
        config: how states are chosen.

    Raises:
        ConfigError: no state would be read.
    """
    if config.at == "default":
        chosen = {*range(first + 1), updates, *_after_exposures(schedule, updates, config)}
    else:
        step = int(config.at.partition(":")[2] or 1)
        chosen = set(range(0, updates + 1, step))
    states = tuple(sorted(t for t in chosen if 0 <= t <= updates))
    if not states:
        raise ConfigError("No state of the run would be read, so it would show nothing.")
    every = config.extras_every
    return Readings(states, frozenset(states[::every]) if every else frozenset())


def _after_exposures(schedule: pl.DataFrame, updates: int, config: ProbingConfig) -> set[int]:
    if not schedule.height:
        return set()
    steps = schedule["step"].unique().to_list()
    chosen = {step + lag for step in steps for lag in (0, *config.lags)}
    chosen |= set(_next_exposures(schedule))
    last = max(steps)
    decades = np.log10(max(1, updates - last))
    for k in range(int(decades * config.per_decade) + 1):
        chosen.add(last + round(10 ** (k / config.per_decade)))
    return chosen


def _next_exposures(schedule: pl.DataFrame) -> list[int]:
    """Where each item's next exposure would come, had it one more: needed for the threshold."""
    ends = schedule.sort("step").group_by("item_id").agg(pl.col("step"))
    return [steps[-1] + steps[-1] - steps[-2] for steps in ends["step"] if len(steps) > 1]
