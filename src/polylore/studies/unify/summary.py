"""A run's raw rows made into its tables of results, as soon as it ends.

Scores of all evaluations are made here, because what single items contribute is kept of the last
evaluation only: of all of them it would be a hundred times as much.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from polylore.facts.worlds import World, baselines
from polylore.facts.worlds.information import presented
from polylore.metrics.unification import (
    Baselines,
    Series,
    causal,
    course,
    phases,
    transfer,
    unification,
    used_association,
)
from polylore.studies.unify.association import data_association
from polylore.tables import unify as raw
from polylore.tables import unify_results as results

Frames = dict[str, pl.DataFrame]
PLAIN = (pl.col("center") == "none") & ~pl.col("standardize") & (pl.col("distractors") == "all")
"""The headline variant."""
FEWEST = 3
"""Evaluations with scores that a mark can be read from; first and last alone date nothing."""


def summaries(world: World, tables: Mapping[str, pl.DataFrame]) -> Frames:
    """Derived tables of one run: course, transfer, unification, association, phases, causal."""
    answers, values = tables["unify_answers"], tables["unify_values"]
    last = answers["step"].max()
    facts = world.facts.select("fact_id", "value_index", pl.col("entity").cast(pl.String))
    facts = facts.unique("fact_id", maintain_order=True)
    base = world_baselines(world)
    cluster = "fact_id" if world.config.split == "fact" else "entity"
    out: Frames = {
        "unify_course": course(answers, facts, base, values=values, languages=world.languages),
        "unify_transfer": transfer(answers.filter(step=last), facts, cluster=cluster),
        "unify_unification": unification(tables["unify_sims"], tables["unify_grid"]),
        "unify_association": pl.concat(
            [
                data_association(world, answers["run_hash"][0]),
                used_association(values, world.languages, world.value_owner),
            ]
        ),
    }
    out["unify_phases"] = _phases(world, base, out, tables["unify_probe"])
    for name, table in (("unify_patches", raw.PATCHES), ("unify_edits", raw.EDITS)):
        if name not in tables:
            out[name] = table.empty()
    given = {**tables, **out}
    out["unify_causal"] = causal(given["unify_patches"], given["unify_edits"])
    return out


def world_baselines(world: World) -> Baselines:
    """What a model without knowledge of facts reaches, by the world's design where it has one."""
    known = baselines(world)
    owner, cells = world.value_owner, world.value
    own = 0.0
    if owner is not None:
        shown = presented(world)
        own = float(shown[owner[cells] == world.lang].sum())
    return Baselines(known["chance"], known["no_knowledge"], known["language_conditional"], own)


def _phases(
    world: World, base: Baselines, out: Mapping[str, pl.DataFrame], probe: pl.DataFrame
) -> pl.DataFrame:
    rows = out["unify_course"]
    steps = rows["step"].to_numpy()
    last_token = world.name_span[1] - 1
    scores = out["unify_unification"].filter(PLAIN & (pl.col("pair") == "all"))
    u = scores.filter(
        (pl.col("item_kind") == "entity")
        & (pl.col("layer") == pl.col("layer").max())
        & (pl.col("position") == last_token)
        & ~pl.col("trivial")
    )
    heard = probe.filter(
        (pl.col("init") == 0)
        & (pl.col("layer") == pl.col("layer").max())
        & (pl.col("position") == world.prompt_len - 1)
    )
    u = u.filter(pl.col("items") == u["items"].first()) if u.height else u
    series = Series(
        steps=steps,
        loss_train=_numbers(rows, "loss_train"),
        acc_train=_numbers(rows, "acc_train"),
        acc_x=_numbers(rows, "acc_x"),
        pref_mass=_numbers(rows, "pref_mass"),
        u=_at(steps, u, "u_diff"),
        probe=_at(steps, heard, "acc"),
    )
    found = phases(series, base, languages=len(world.languages))
    return results.PHASES.build([{"run_hash": rows["run_hash"][0], **row} for row in found])


def _numbers(rows: pl.DataFrame, name: str) -> np.typing.NDArray[np.float64]:
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _at(
    steps: np.typing.NDArray[np.int64], rows: pl.DataFrame, name: str
) -> np.typing.NDArray[np.float64]:
    """Values at the steps; NaN where there is none, and everywhere if there are too few to date."""
    there = dict(rows.select("step", name).drop_nulls().iter_rows())
    if len(there) < FEWEST:
        there = {}
    return np.array([there.get(int(step), np.nan) for step in steps], dtype=np.float64)
