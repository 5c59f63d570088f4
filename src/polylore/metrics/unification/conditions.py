"""Conditions: means over runs whose intervals draw seeds first, then entities (section 2.10)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.unification.resampling import DRAWS, cluster_weights, over_runs, score_draws
from polylore.metrics.unification.transfer import HELD_OUT, cells_of
from polylore.tables.unify_results import CONDITIONS


@dataclass(frozen=True)
class RunDraws:
    """A number of one run and its draws over entities."""

    condition: str
    outcome: str
    value: float
    """NaN if the run has none."""
    draws_D: Array
    fit: bool = True
    """Whether the run learned what it was told."""


def acc_draws(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    seed: int,
    population: str = HELD_OUT,
    cluster: str = "entity",
    draws: int = DRAWS,
) -> tuple[float, Array]:
    """Accuracy of a population at one step of one run, and its draws.

    Args:
        answers: table ANSWERS of one run and step.
        facts: frame with fact_id and the cluster column.
        seed: seed of the draws; give every run its own.
        population: cells that count; default X.
        cluster: column that is drawn: entity, or fact_id in a fact split.
        draws: number of draws.

    Returns:
        Share right and its draws; NaN without such cells.
    """
    named = facts.select("fact_id", cluster_=pl.col(cluster)).unique("fact_id")
    cells = cells_of(answers.filter(population=population)).join(
        named, on="fact_id", maintain_order="left"
    )
    if not cells.height:
        return float("nan"), np.full(draws, np.nan)
    weights = cluster_weights(cells["cluster_"].cast(pl.String).to_list(), draws=draws, seed=seed)
    acc = cells["acc"].to_numpy()
    return float(acc.mean()), divide(weights @ acc, weights.sum(axis=1))


def u_draws(sims: pl.DataFrame, *, seed: int, draws: int = DRAWS) -> dict[str, tuple[float, Array]]:
    """U_norm and U_diff of one cell of the grid, and their draws over entities.

    Args:
        sims: rows of SIMS of one run, step, layer, position and variant; several pairs of languages
            are averaged in every draw.
        seed: seed of the draws; give every run its own.
        draws: number of draws.

    Returns:
        Value and draws of `u_norm` and `u_diff`; NaN without items that are not trivial.
    """
    kept = sims.filter(~pl.col("trivial")).drop_nulls(["par_i", "within_i_a", "within_i_b"])
    nothing = (float("nan"), np.full(draws, np.nan))
    if not kept.height:
        return {"u_norm": nothing, "u_diff": nothing}
    kept = kept.with_columns(
        pair=pl.concat_str("lang_a", "lang_b", separator="-"),
        within=(pl.col("within_i_a") + pl.col("within_i_b")) / 2,
    )
    items = kept.select("item", "entity").unique(maintain_order=True)
    wide = [
        items.select("item")
        .join(kept.pivot(on="pair", index="item", values=name), on="item", maintain_order="left")
        .drop("item")
        .cast(pl.Float64)
        .fill_null(float("nan"))
        .to_numpy()
        for name in ("par_i", "within")
    ]
    weights = cluster_weights(items["entity"].to_list(), draws=draws, seed=seed)
    whole = np.concatenate([np.ones((1, items.height)), weights])
    scores = [values_DC.mean(axis=1) for values_DC in score_draws(wide[0], wide[1], whole)]
    return {
        name: (float(values[0]), values[1:])
        for name, values in zip(("u_norm", "u_diff"), scores, strict=True)
    }


def conditions(runs: Iterable[RunDraws], *, seed: int = 0) -> pl.DataFrame:
    """Table CONDITIONS: of runs that are fit, and of the others only where no run is."""
    groups: dict[tuple[str, str], list[RunDraws]] = {}
    for run in runs:
        groups.setdefault((run.condition, run.outcome), []).append(run)
    rows = []
    for (condition, outcome), every in groups.items():
        own = [r for r in every if r.fit] or every
        found = over_runs([r.value for r in own], [r.draws_D for r in own], seed=seed)
        known = sum(not np.isnan(r.value) for r in own)
        row: dict[str, Any] = {
            "condition": condition,
            "outcome": outcome,
            "n_seeds": known,
            "n_unfit": sum(not r.fit for r in own),
            "n_left_out": len(every) - len(own),
        }
        numbers = {"value": found.value, "lo": found.lo, "hi": found.hi, "least": found.least,
                   "most": found.most}  # fmt: skip
        row |= {name: None if np.isnan(v) else v for name, v in numbers.items()}
        rows.append(row | {"reason": None if known else "no run has it"})
    return CONDITIONS.build(rows)
