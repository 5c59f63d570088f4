"""Who is shown what and when: the arms of the experiment, and the sweep of intervals."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from acceptance.inject.world import AWAY, HOME, World
from polylore.corpus.draw import ordered
from polylore.corpus.injection import (
    STANDARD,
    ArmConfig,
    Injector,
    RowFormat,
    interval_sweep,
    latin_square,
    make_schedule,
    passage_tokens,
    place,
)
from polylore.corpus.injection.format import Encode
from polylore.tables.inject import SCHEDULE

BATCH = 32
FIRST = 8
"""Updates on the background alone, before the first exposure."""
N, INTERVAL = 6, 40
AFTERWARDS = 160
"""Updates after the last exposure: an acquisition window, and 120 of forgetting."""
SWEEP, SWEEP_N = (4, 16, 64), 5


@dataclass(frozen=True)
class Design:
    """The conditions of a stage."""

    arms: tuple[ArmConfig, ...]
    width: int
    """Items start within so many steps of each other."""
    afterwards: int

    @property
    def names(self) -> list[str]:
        """The arms, and the never-injected one."""
        return [arm.name for arm in self.arms]


ARMS = Design(
    tuple(arm if not arm.n else arm.model_copy(update={"n": min(arm.n, N), "interval": INTERVAL})
          for arm in STANDARD),
    INTERVAL,
    AFTERWARDS,
)  # fmt: skip
INTERVALS = Design((*interval_sweep(SWEEP, SWEEP_N), STANDARD[-1]), 96, max(SWEEP) + 2)


@dataclass(frozen=True)
class Plan:
    """What a run injects."""

    assigned: pl.DataFrame
    """Contract `tables.inject.ARMS`."""
    schedule: pl.DataFrame
    """Contract `tables.inject.SCHEDULE`."""
    injector: Injector
    updates: int
    """Length of the run."""


def stagger(schedule: pl.DataFrame, width: int, seed: int) -> pl.DataFrame:
    """Let items start at different even steps, so that no step is given many passages.

    Item by item, the start within `width` is taken at which the fullest step of its exposures is
    least full; of equals, the first in a drawn order.
    """
    load = np.zeros(int(schedule["step"].max()) + width + 1, dtype=np.int64)  # type: ignore[arg-type]
    steps = {
        str(item): rows["step"].to_numpy() for (item,), rows in schedule.group_by("item_id")
    }
    offsets: dict[str, int] = {}
    for item in ordered(steps, seed, "stagger"):
        starts = [int(s) for s in ordered((str(s) for s in range(0, width, 2)), seed, item)]
        best = min(starts, key=lambda s: (load[steps[item] + s].max(), load[steps[item] + s].sum()))  # noqa: B023
        load[steps[item] + best] += 1
        offsets[item] = best
    shift = pl.col("item_id").replace_strict(offsets, return_dtype=pl.Int64)
    return SCHEDULE.validate(
        schedule.with_columns(pl.col("step") + shift).sort("step", "item_id")
    )


def make_plan(
    world: World, design: Design, seed: int, form: RowFormat, encode: Encode
) -> Plan:
    """The plan of a run: arms by Latin square over items and seeds, half in each language."""
    fiction = world.fiction
    conditions = [(name, lang) for name in design.names for lang in (HOME, AWAY)]
    items = fiction.items.filter(~pl.col("control"))["item_id"].to_list()
    assigned = latin_square(items, conditions, seed, seed=0, controls=fiction.controls)
    flat = make_schedule(
        assigned, fiction.passages, design.arms, first=FIRST, stagger=False, seed=seed
    )
    schedule = stagger(flat, design.width, seed)
    tokens = passage_tokens(fiction.passages, encode)
    plan = place(schedule, fiction.passages, tokens, form, BATCH, seed=seed)
    updates = int(schedule["step"].max()) + design.afterwards  # type: ignore[arg-type]
    updates += updates % 2
    return Plan(assigned, schedule, Injector(plan, tokens, form, BATCH, steps=updates), updates)
