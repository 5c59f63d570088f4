"""What averaging alone does: the shared vector made from fewer source language pairs.

Specification of `patch`, section 5, control `samek`. A mean over 40 prompts and a vector of one
differ in more than the languages behind them; the fair comparison with `tgt` is at one prompt.
"""

import polars as pl

from polylore.metrics.patching.curves import Analysis, series_of
from polylore.metrics.patching.values import METRICS
from polylore.tables.patch import SAMEK


def same_k(analysis: Analysis) -> pl.DataFrame:
    """Mean by number of source prompts, per draw of them and over all draws.

    Over all draws, an item counts with its mean over them.

    Args:
        analysis: the run.

    Returns:
        Table SAMEK; empty where `samek` was not run.
    """
    frames: list[pl.DataFrame] = []
    for intervention in analysis.values.interventions():
        for metric in METRICS:
            for k in analysis.values.sizes():
                for draw in (None, *analysis.values.draws(k)):
                    found = analysis.values.get(
                        "samek", intervention, metric, "src_b", k=k, draw=draw
                    )
                    if found is None:
                        continue
                    series = series_of(found, analysis.values.axes, analysis.half_I)
                    keys = {"setting": "samek", "intervention": intervention, "metric": metric,
                            "k": k}  # fmt: skip
                    # The plan numbers draws over all sizes; here they count within one.
                    number = None if draw is None else draw % 10
                    frames += [
                        rows.with_columns(draw=pl.lit(number, pl.Int32))
                        for rows in analysis.rows(series, keys)
                    ]
    if not frames:
        return SAMEK.empty()
    return SAMEK.validate(pl.concat(frames).select(SAMEK.schema.keys()))
