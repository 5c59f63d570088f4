"""What one change does: arm minus baseline, paired over seeds (section 4.4)."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.unification.resampling import mean_over_seeds
from polylore.tables.unify_results import EFFECTS


def effects(outcomes: pl.DataFrame, pairs: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Differences of outcomes between conditions, seed by seed.

    Args:
        outcomes: condition, seed, outcome, value (null where a run has none) and fit: whether the
            run learned what it was told; all did if there is no such column.
        pairs: family, arm, baseline (both conditions).
        seed: seed of the bootstrap over seeds.

    Returns:
        Table EFFECTS: mean difference, percentile interval over seeds (null of one seed), smallest
        and largest difference. A seed counts only if both arms have the outcome. Where any seed's
        two runs are fit only such seeds count; where none's are all do, and are counted in n_unfit.
    """
    if "fit" not in outcomes.columns:
        outcomes = outcomes.with_columns(fit=pl.lit(True))
    known = outcomes.drop_nulls("value").filter(pl.col("value").cast(pl.Float64).is_not_nan())
    names = outcomes["outcome"].unique(maintain_order=True).to_list()
    rows = []
    for pair in pairs.select("family", "arm", "baseline").iter_rows(named=True):
        for outcome in names:
            of = known.filter(outcome=outcome)
            both = of.filter(condition=pair["arm"]).join(
                of.filter(condition=pair["baseline"]), on="seed", suffix="_baseline"
            )
            rows.append(pair | {"outcome": outcome} | _effect(both.sort("seed"), seed))
    return EFFECTS.build(rows)


def _effect(both: pl.DataFrame, seed: int) -> dict[str, Any]:
    both = both.with_columns(fit=pl.col("fit") & pl.col("fit_baseline"))
    every = both.height
    both = both.filter(pl.col("fit") | ~pl.col("fit").any())
    row: dict[str, Any] = {
        "n_seeds": both.height,
        "n_unfit": int((~both["fit"]).sum()),
        "n_left_out": every - both.height,
    }
    if not both.height:
        return row | {"reason": "no seed has the outcome in both arms"}
    arm, base = (both[name].cast(pl.Float64).to_numpy() for name in ("value", "value_baseline"))
    found = mean_over_seeds((arm - base).tolist(), seed=seed)
    numbers = {"effect": found.value, "lo": found.lo, "hi": found.hi, "least": found.least,
               "most": found.most}  # fmt: skip
    return (
        row
        | {"value_arm": float(arm.mean()), "value_baseline": float(base.mean())}
        | {name: None if np.isnan(value) else value for name, value in numbers.items()}
    )
