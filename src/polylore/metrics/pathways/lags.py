"""The lag behind the pivot, beside the one that frequency alone would produce (`trace`, 2.4)."""

from typing import Any

import polars as pl

from polylore.metrics.acquisition import RUN, acquisition
from polylore.metrics.index import combine_variants
from polylore.metrics.lag import lag
from polylore.metrics.simulated_lag import DRAWS, simulated_lag
from polylore.tables.pathways import LAG_EXPECTED

FEWEST = 10
"""Facts acquired in both languages that a mean lag needs at least."""


def lag_expected(
    grades: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame,
    curves: pl.DataFrame,
    *,
    pivot: str,
    event: str = "sustained",
    k: int = RUN,
    n: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Mean lag of the facts that both languages acquired, observed and simulated.

    In the simulated worlds a fact is right iff a uniform number, drawn once per fact and language,
    is below its no-donor probability at the checkpoint. The interval of the difference is the
    observed lag minus the 95 % range of those worlds: it covers 0 where frequency alone explains
    the lag. A language that leads more, or lags less, than frequency explains has a negative one.

    Args:
        grades: table GRADES, any number of matchers; wordings are combined.
        checkpoints: table CHECKPOINTS.
        exposure: frame of `exposure_at`.
        curves: table NO_DONOR_CURVE; where a checkpoint has no curve, its share right stands in.
        pivot: pivot language.
        event: ``sustained`` or ``first``.
        k: length of a run.
        n: number of worlds.
        seed: seed of the worlds.

    Returns:
        Table LAG_EXPECTED; empty with fewer than two checkpoints on the timeline.
    """
    frames = []
    known = exposure.drop_nulls("exposure")
    for matcher in grades["matcher"].unique(maintain_order=True).to_list():
        own = combine_variants(grades.filter(matcher=matcher)).with_columns(
            variant=pl.lit(0, dtype=pl.Int32())
        )
        acquired = acquisition(own, checkpoints, k=k)
        if not acquired.height:
            continue
        lags = lag(acquired, pivot=pivot, event=event)
        rows = {row["lang"]: row for row in _summary(lags).iter_rows(named=True)}
        worlds = simulated_lag(
            _like(known, own),
            checkpoints,
            _curve(curves.filter(matcher=matcher, form="main"), own),
            pivot=pivot,
            event=event,
            k=k,
            n=n,
            seed=seed,
        )
        simulated = {row["lang"]: row for row in worlds.iter_rows(named=True)}
        langs = [c for c in own["lang"].unique(maintain_order=True) if c != pivot]
        frames += [_row(lang, matcher, rows.get(lang), simulated.get(lang)) for lang in langs]
    return LAG_EXPECTED.build(frames)


def _summary(lags: pl.DataFrame) -> pl.DataFrame:
    orders = ("pivot_first", "tie", "language_first")
    return lags.group_by("lang", maintain_order=True).agg(
        pl.len().cast(pl.Int64()).alias("both"),
        pl.col("lag_steps").mean().alias("observed"),
        *((pl.col("order") == o).sum().cast(pl.Int64()).alias(o) for o in orders),
    )


def _like(exposure: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Exposure of the facts, languages and checkpoints that were answered."""
    on = ["ckpt_id", "fact_id", "lang"]
    return exposure.join(answers.select(on), on=on, how="semi", maintain_order="left")


def _curve(curves: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Intercept and slope of every checkpoint; a constant where nothing could be fitted."""
    keys = ["ckpt_id"] if (curves["relation"] == "all").all() else ["ckpt_id", "relation"]
    share = answers.drop_nulls("y").group_by(keys).agg(_right=pl.col("y").sum(), _n=pl.len())
    odds = (pl.col("_right") + 0.5) / (pl.col("_n") - pl.col("_right") + 0.5)
    fitted = curves.select(*keys, "intercept", "slope")
    return share.join(fitted, on=keys, how="left").select(
        *keys,
        pl.when(pl.col("intercept").is_null()).then(odds.log()).otherwise("intercept")
        .alias("intercept"),
        pl.when(pl.col("intercept").is_null()).then(0.0).otherwise("slope").alias("slope"),
    )  # fmt: skip


def _row(
    lang: str, matcher: str, seen: dict[str, Any] | None, world: dict[str, Any] | None
) -> dict[str, Any]:
    counts = ("both", "pivot_first", "tie", "language_first")
    row: dict[str, Any] = {"lang": lang, "matcher": matcher}
    row |= {name: seen[name] if seen else 0 for name in counts}
    if seen is None or seen["both"] < FEWEST:
        return row | {"reason": f"fewer than {FEWEST} facts acquired in both languages"}
    row["observed"] = seen["observed"]
    if world is None or world["lag_steps"] is None:
        return row | {"reason": "no exposure known at the checkpoints"}
    mean, lo, hi = (float(world[c]) for c in ("lag_steps", "lo", "hi"))
    row |= {"simulated": mean, "simulated_lo": lo, "simulated_hi": hi}
    row["difference"] = row["observed"] - mean
    row |= {"difference_lo": row["observed"] - hi, "difference_hi": row["observed"] - lo}
    return row
