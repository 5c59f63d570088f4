"""What one run injects, when and where: everything that is known before a model is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from polylore.corpus.injection import (
    Injector,
    RowFormat,
    crossed,
    latin_square,
    make_schedule,
    place,
    plan_exposure,
    published_arms,
    published_plan,
    published_schedule,
)
from polylore.corpus.injection.format import Tokens
from polylore.corpus.injection.square import Condition
from polylore.errors import ConfigError, DataError
from polylore.facts.people import Fiction
from polylore.studies.inject.conditions import BACKGROUND, SHAM, RunSpec
from polylore.studies.inject.config import NEVER, NOT_INJECTED
from polylore.studies.inject.items import PUBLISHED, Items
from polylore.studies.inject.schedule import Readings, readings
from polylore.tables import raw
from polylore.tables.inject import ARMS, PLAN, SCHEDULE

SQUARE_SEED = 0
"""Decides which items go together, in all runs of a study."""


@dataclass(frozen=True)
class Design:
    """The plan of one run."""

    arms: pl.DataFrame
    """Contract ARMS: what is asked about every item of the study."""
    schedule: pl.DataFrame
    """Contract SCHEDULE: what is injected."""
    plan: pl.DataFrame
    """Contract PLAN."""
    injector: Injector | None
    """None where nothing is injected."""
    exposure: pl.DataFrame
    """Contract `tables.raw.EXPOSURE`: joins with the study `trace`."""
    updates: int
    readings: Readings
    conditions: tuple[Condition, ...] = ()
    """Arms and languages in which items take turns over the seeds; empty where they take none."""


def make_design(
    spec: RunSpec, items: Items, tokens: Mapping[str, Tokens], form: RowFormat
) -> Design:
    """Assign items to arms, lay out their exposures, and give each its row.

    Args:
        spec: the run.
        items: the items of the study.
        tokens: tokens of every passage, those of the sham run included.
        form: what rows look like.

    Raises:
        ConfigError, DataError: a plan that cannot be made or does not fit the run.
    """
    config = spec.config
    paper = config.plan.preset == "paper"
    conditions = () if paper else _conditions(spec, items.fiction)
    assigned, schedule = _paper(spec) if paper else _default(spec, items.fiction, conditions)
    updates = _updates(spec, schedule)
    found = readings(schedule, updates, 0 if paper else config.plan.first, config.probes)
    fiction = items.fiction
    if spec.role == SHAM:
        fiction, schedule = _sham(items, schedule)
    if spec.role == BACKGROUND:
        nothing = raw.EXPOSURE.empty()
        empty = SCHEDULE.empty()
        return Design(_never(assigned), empty, PLAN.empty(), None, nothing, updates, found)
    batch = config.background.batch_size
    if paper:
        plan = published_plan(fiction.passages, tokens, batch, length=form.length, eos=form.eos)
    else:
        plan = place(
            schedule,
            fiction.passages,
            tokens,
            form,
            batch,
            mode={arm.name: arm.mode for arm in config.arms},
            per_row=config.plan.per_row,
            split=config.plan.split,
            seed=spec.seed,
        )
    injector = Injector(
        plan, tokens, form, batch, steps=updates, allow_dose=paper or config.plan.allow_dose
    )
    injector.check_steps(updates)
    exposure = plan_exposure(plan, fiction.passages, fiction.probes)
    if spec.role == SHAM:
        return Design(_never(assigned), schedule, plan, injector, exposure, updates, found)
    return Design(assigned, schedule, plan, injector, exposure, updates, found, conditions)


def _paper(spec: RunSpec) -> tuple[pl.DataFrame, pl.DataFrame]:
    if not spec.config.items.source.startswith(PUBLISHED):
        raise ConfigError(
            "plan.preset: paper is the plan of the published items; set items.source to "
            f"{PUBLISHED}FOLDER, or use plan.preset: default."
        )
    return published_arms(), published_schedule()


def _conditions(spec: RunSpec, fiction: Fiction) -> tuple[Condition, ...]:
    """What items take turns in."""
    langs = sorted(set(fiction.passages["lang"]))
    wanted = spec.config.plan.languages or langs
    lost = sorted(set(wanted) - set(langs))
    if lost:
        raise ConfigError(
            f"plan.languages: no passage is in {lost[0]}; there are {', '.join(langs)}."
        )
    injected = [arm for arm in spec.config.arms if arm.n]
    mixed = [arm.name for arm in injected if arm.texts == "languages"]
    return tuple(crossed([arm.name for arm in injected], wanted, mixed))


def _default(
    spec: RunSpec, fiction: Fiction, conditions: Sequence[Condition]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    config = spec.config
    injected = [item for item in fiction.items["item_id"] if item not in set(fiction.controls)]
    passages = fiction.passages
    wanted = config.plan.languages or sorted(set(passages["lang"]))
    assigned = latin_square(
        injected, conditions, spec.seed, seed=SQUARE_SEED, controls=fiction.controls
    )
    intervals = {arm.name: arm.interval for arm in config.arms if arm.n > 1}
    assigned = ARMS.validate(
        assigned.with_columns(
            interval=pl.col("arm").replace_strict(intervals, default=None, return_dtype=pl.Int64)
        )
    )
    arms = [arm for arm in config.arms if arm.n]
    schedule = make_schedule(
        assigned.filter(pl.col("arm") != NEVER),
        passages.filter(pl.col("lang").is_in(wanted)),
        arms,
        first=config.plan.first,
        last=config.plan.last,
        stagger=config.plan.stagger,
        seed=spec.seed,
    )
    return assigned, schedule


def _updates(spec: RunSpec, schedule: pl.DataFrame) -> int:
    last = schedule["step"].max()
    if not isinstance(last, int):
        raise DataError("The plan places nothing; a run with it would show nothing.")
    train = spec.config.train
    if "updates" in train.model_fields_set:
        if train.updates <= last:
            raise ConfigError(
                f"The last exposure is at step {last}, but train.updates is {train.updates}; make "
                f"at least {last + 1} updates, and more to see what is kept."
            )
        return train.updates
    return last + 1 + spec.config.plan.tail


def _sham(items: Items, schedule: pl.DataFrame) -> tuple[Fiction, pl.DataFrame]:
    """The same schedule with other items in the place of each."""
    if items.sham is None:
        raise DataError(
            "The sham run needs other items; give items.sham, or set controls.sham off."
        )
    real = sorted(set(schedule["item_id"]))
    others = sorted(set(items.sham.items["item_id"]) - set(items.sham.controls))
    if len(others) < len(real):
        raise DataError(
            f"The sham run needs {len(real)} other items, but items.sham has {len(others)}."
        )
    turned = dict(zip(real, others[: len(real)], strict=True))
    renamed = schedule.with_columns(pl.col("item_id").replace_strict(turned))
    return items.sham, SCHEDULE.validate(renamed)


def _never(assigned: pl.DataFrame) -> pl.DataFrame:
    """All items as never injected, which they are in a control run."""
    return ARMS.validate(
        assigned.with_columns(
            arm=pl.lit(NEVER),
            inject_lang=pl.lit(NOT_INJECTED),
            interval=pl.lit(None, dtype=pl.Int64),
        )
    )
