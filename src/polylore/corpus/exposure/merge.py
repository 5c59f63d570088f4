"""Adding exposures up: shards of a corpus, or corpora that were counted alike."""

from collections.abc import Iterable

import polars as pl

from polylore.errors import DataError
from polylore.tables import raw

_ALIKE = ("unit", "exposure_kind", "lang_conditioned", "policy_id")
_KEY = ("fact_id", "lang", "step_lo", "step_hi", "doc_lang")
_SUMS = ("count", "n_subj", "n_obj")
_AT_ONCE = 16


def merge_exposure(frames: Iterable[pl.DataFrame], source: str) -> pl.DataFrame:
    """Sum exposures; the same sums in whatever order they come.

    Args:
        frames: contract `tables.raw.EXPOSURE`, with a source of its own each; empty ones are fine.
        source: name of the sum.

    Returns:
        Contract `tables.raw.EXPOSURE`, sorted; `exact` only if all are.

    Raises:
        DataError: a source comes twice, or they count different things.
    """
    seen: set[str] = set()
    held: list[pl.DataFrame] = []
    for frame in frames:
        names = set(frame["source"].unique())
        if names & seen:
            raise DataError(
                f"{min(names & seen)} is there twice; each shard or corpus must be added once."
            )
        seen |= names
        held.append(frame)
        if len(held) == _AT_ONCE:
            held = [_sum(held)]
    if not held:
        return raw.EXPOSURE.empty()
    total = _sum(held)
    for name in _ALIKE:
        if total[name].n_unique() > 1:
            shown = " and ".join(map(str, total[name].unique().sort().to_list()[:3]))
            raise DataError(f"Counts with {name} {shown} must not be added up.")
    frame = total.with_columns(
        source=pl.lit(source),
        exact=pl.lit(bool(total["exact"].all()) if not total["exact"].null_count() else None),
    )
    return raw.EXPOSURE.validate(frame.sort(_KEY, nulls_last=False))


def _sum(frames: list[pl.DataFrame]) -> pl.DataFrame:
    # A sum with an unknown part is unknown.
    known = {
        name: pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()) for name in _SUMS
    }
    exact = pl.when(pl.col("exact").is_not_null().all()).then(pl.col("exact").all())
    rows = pl.concat(frame.select(*_KEY, *_ALIKE, *_SUMS, "exact") for frame in frames)
    return rows.group_by(*_KEY, *_ALIKE).agg(**known, exact=exact)
