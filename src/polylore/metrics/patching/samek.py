"""What averaging alone does: the shared vector made from fewer source language pairs.

Specification of `patch`, section 5, control `samek`. A mean over 40 prompts and a vector of one
differ in more than the languages behind them; the fair comparison with `tgt` is at one prompt.
"""

from collections.abc import Iterator

import polars as pl

from polylore.metrics.patching.curves import Analysis, series_of
from polylore.metrics.patching.resample import ALL
from polylore.metrics.patching.values import METRICS
from polylore.tables.patch_derived import SAMEK

WHOLE = "seen"
"""The shared vector made of all source language pairs: the end of the curve."""


def same_k(analysis: Analysis) -> pl.DataFrame:
    """Mean by number of source prompts, per draw of them and over all draws.

    Over all draws, an item counts with its mean over them. The largest number is the setting
    `seen` itself; where it differs between language pairs, pools of pairs have no such row.

    Args:
        analysis: the run.

    Returns:
        Table SAMEK; empty where `samek` was not run.
    """
    fewer = analysis.values.sizes("samek")
    frames = [frame for k in fewer for frame in _fewer(analysis, k)]
    whole = analysis.values.sizes(WHOLE) if fewer else []
    for k in whole:
        rows = list(_rows(analysis, WHOLE, k, None))
        frames += rows if len(whole) == 1 else [r.filter(pl.col("lang_a") != ALL) for r in rows]
    if not frames:
        return SAMEK.empty()
    return SAMEK.validate(pl.concat(frames).select(SAMEK.schema.keys()))


def _fewer(analysis: Analysis, k: int) -> Iterator[pl.DataFrame]:
    yield from _rows(analysis, "samek", k, None)
    # The plan numbers draws over all sizes; here they count within one.
    for number, draw in enumerate(analysis.values.draws(k)):
        for rows in _rows(analysis, "samek", k, draw):
            yield rows.with_columns(draw=pl.lit(number, pl.Int32))


def _rows(analysis: Analysis, setting: str, k: int, draw: int | None) -> Iterator[pl.DataFrame]:
    for intervention in analysis.values.interventions():
        for metric in METRICS:
            found = analysis.values.get(setting, intervention, metric, k=k, draw=draw)
            if found is None:
                continue
            series = series_of(found, analysis.values.axes, analysis.half_I)
            keys = {"setting": setting, "intervention": intervention, "metric": metric, "k": k}
            for rows in analysis.rows(series, keys):
                yield rows.with_columns(draw=pl.lit(None, pl.Int32))
