"""Learning rates, chosen for each condition before its seeds are trained.

Specification of `unify`, section 4.1: chosen by recall of training cells, then by the loss on them,
never by transfer. Every rate trains one run on a world of a seed that no run of the sweep has.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.unify.conditions import Condition
from polylore.studies.unify.config import MeasureConfig, RunConfig, merged, run_hash
from polylore.studies.unify.worker import Task
from polylore.tables.unify_results import TUNING

SEED = 2**31
"""Seed of the worlds and weights that rates are tried on."""
FOLDER, KIND = "tuning", "unify-tuning"
MEASURE = MeasureConfig(
    items=8, scores="ends", variants=False, populations=False, second_sample=False, fresh=0,
    codelength=False, edits=0, patches=0, states=0,
)  # fmt: skip
"""Next to nothing: recall and loss are measured in any case."""


def with_rate(condition: Condition, rate: float) -> Condition:
    """The same with another peak learning rate."""
    plain = merged(condition.config.plain(), {"recipe": {"learning_rate": rate}})
    return replace(condition, config=RunConfig.parse(plain))


def trials(conditions: list[Condition], rates: list[float]) -> list[Task]:
    """One run per condition and rate."""
    found = []
    for condition in conditions:
        for rate in rates:
            config = with_rate(condition, rate).config.seeded(SEED)
            found.append(
                Task(
                    unit=f"{condition.name} rate {rate:g}",
                    condition=condition.name,
                    family=condition.family,
                    seed=SEED,
                    run_hash=run_hash(config, MEASURE),
                    config=config,
                )
            )
    return found


def best_rates(conditions: list[Condition], tuning: RunFolder) -> list[Condition]:
    """The conditions with their best rates.

    Raises:
        ConfigError: a condition diverges with every rate.
    """
    best = dict(tuned(tuning).filter("chosen").select("condition", "lr").iter_rows())
    for condition in conditions:
        if condition.name not in best:
            raise ConfigError(
                f"Condition '{condition.name}' diverges with every learning rate of lr_grid; give "
                "lower ones, and another folder with --out."
            )
    return [with_rate(condition, best[condition.name]) for condition in conditions]


def tuned(tuning: RunFolder) -> pl.DataFrame:
    """Table TUNING: every rate that was tried, and which was chosen."""
    runs = tuning.read("unify_runs")
    last = tuning.read("unify_course").sort("step").group_by("run_hash").last()
    frame = runs.select("condition", "lr", "seed", "run_hash", "status").join(
        last.select("run_hash", "acc_train", "loss_train"), on="run_hash", maintain_order="left"
    )
    order = ("condition", pl.col("status") == "diverged", -pl.col("acc_train"), "loss_train", "lr")
    frame = frame.sort(*order, nulls_last=True)
    first = pl.int_range(pl.len()).over("condition") == 0
    return TUNING.validate(frame.with_columns(chosen=first & (pl.col("status") != "diverged")))


def tuning_of(run: RunFolder) -> pl.DataFrame:
    """The same of a sweep; empty if its rates were given."""
    folder = Path(run.path) / FOLDER
    return tuned(RunFolder.load(folder)) if folder.is_dir() else TUNING.empty()
