"""The lag that frequency alone would produce (specification of `trace`, section 2.4).

A pivot that is read more often leads without any transfer, so an observed lag means something only
beside this one.
"""

import numpy as np
import polars as pl
from scipy.special import expit

from polylore.errors import DataError
from polylore.metrics.acquisition import RUN, first_true, run_starts, timeline
from polylore.metrics.bootstrap import interval
from polylore.metrics.exposure import checked_exposure
from polylore.metrics.index import Array, FactIndex

DRAWS = 1000


def simulated_lag(
    exposure: pl.DataFrame,
    checkpoints: pl.DataFrame,
    curve: pl.DataFrame,
    *,
    pivot: str,
    event: str = "sustained",
    k: int = RUN,
    n: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Mean lag in worlds where a fact is right iff u < p(E).

    One uniform u per (fact, language) and world, the same at all checkpoints;
    p(E) = sigmoid(intercept + slope * log10(1 + E)).

    Args:
        exposure: frame of `exposure_at`; facts without a known exposure are left out.
        checkpoints: table CHECKPOINTS; suspect ones and a final model without a step are left out.
        curve: ckpt_id, intercept, slope: the frequency-only curve of every checkpoint used; with a
            column relation, that of every relation.
        pivot: pivot language.
        event: ``first`` or ``sustained`` (`k` right answers in a row).
        k: length of a run.
        n: number of worlds.
        seed: seed of the worlds.

    Returns:
        lang, both (mean number of facts acquired in both languages), lag_steps (mean over worlds of
        the mean lag over those facts), lo and hi (its 95 % range); no rows without the pivot or
        with fewer than two checkpoints.

    Raises:
        DataError: the curve lacks a checkpoint, or a relation there.
    """
    times = timeline(checkpoints)
    known = exposure.filter(pl.col("ckpt_id").is_in(times["ckpt_id"].to_list()))
    langs = known["lang"].unique(maintain_order=True).to_list()
    schema = {"lang": pl.String()} | dict.fromkeys(("both", "lag_steps", "lo", "hi"), pl.Float64())
    if times.height < 2 or pivot not in langs:
        return pl.DataFrame(schema=schema)
    p_TLF = _probabilities(known, times, langs, curve)
    steps_T = times["step"].to_numpy()
    generator = np.random.default_rng(seed)
    others = [i for i, lang in enumerate(langs) if lang != pivot]
    lag_NL, both_NL = np.full((n, len(others)), np.nan), np.zeros((n, len(others)))
    for world in range(n):
        right_TLF = generator.random(p_TLF.shape[1:]) < p_TLF
        cells_UT = right_TLF.reshape(len(steps_T), -1).T
        starts_UT = cells_UT if event == "first" else run_starts(cells_UT, k)
        at_LF = first_true(starts_UT).reshape(p_TLF.shape[1:])
        own = at_LF[langs.index(pivot)]
        for column, other in enumerate(others):
            both = (own >= 0) & (at_LF[other] >= 0)
            both_NL[world, column] = both.sum()
            if both.any():
                lags = steps_T[at_LF[other][both]] - steps_T[own[both]]
                lag_NL[world, column] = lags.mean()
    lo, hi = interval(lag_NL)
    seen = (~np.isnan(lag_NL)).sum(axis=0)
    mean = np.where(seen > 0, np.nansum(lag_NL, axis=0) / np.maximum(seen, 1), np.nan)
    columns = {"both": both_NL.mean(axis=0), "lag_steps": mean, "lo": lo, "hi": hi}
    return pl.DataFrame({"lang": [langs[i] for i in others]} | columns, schema=schema).fill_nan(
        None
    )


def _probabilities(
    exposure: pl.DataFrame, times: pl.DataFrame, langs: list[str], curve: pl.DataFrame
) -> Array:
    """p by (checkpoint, language, fact); NaN, hence never right, where E is unknown."""
    index = FactIndex.of(exposure)
    keys = ["ckpt_id", "relation"] if "relation" in curve.columns else ["ckpt_id"]
    wanted = times.select("ckpt_id").join(pl.DataFrame({"relation": index.relations}), how="cross")
    fitted = wanted.join(curve, on=keys, how="left", maintain_order="left")
    lacking = fitted.filter(pl.col("intercept").is_null() | pl.col("slope").is_null())
    if lacking.height:
        raise DataError(
            f"The frequency curve lacks checkpoint {lacking['ckpt_id'][0]}; fit it at all of them."
        )
    cells = times.select("ckpt_id").join(pl.DataFrame({"lang": langs}), how="cross")
    e_FC = index.dense(checked_exposure(exposure, index.fact_ids), "exposure", cells)
    e_TLF = e_FC.T.reshape(times.height, len(langs), index.n)
    sizes = np.diff(index.bounds)
    a_TF, b_TF = (
        np.repeat(fitted[c].to_numpy().reshape(times.height, -1), sizes, axis=1)
        for c in ("intercept", "slope")
    )
    return np.asarray(expit(a_TF[:, None] + b_TF[:, None] * np.log10(1 + e_TLF)))
