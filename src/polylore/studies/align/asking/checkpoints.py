"""Checkpoints of several models, named so that none is taken for another."""

from collections.abc import Sequence

import polars as pl

from polylore.errors import ConfigError
from polylore.models.resolve import Resolved
from polylore.studies.series import SeriesConfig
from polylore.tables import raw


def resolve_all(
    models: Sequence[str], names: Sequence[str] | None, series: SeriesConfig
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, object]]:
    """Checkpoints of all models, named so that none is taken for another.

    Args:
        models: folders or names on the hub.
        names: what they are called in tables; by default folder or repository.
        series: which checkpoints.

    Returns:
        Tables CHECKPOINTS and GAPS, and what was skipped or is missing.

    Raises:
        ConfigError: two models of one name, or another number of names than of models.
    """
    if names is not None and len(names) != len(models):
        raise ConfigError(f"There are {len(names)} names for {len(models)} models; give one each.")
    frames, gaps = [], []
    skipped: list[object] = []
    missing: list[object] = []
    for number, model in enumerate(models):
        found: Resolved = series.resolve(model)
        frames.append(_named(found.chosen, None if names is None else names[number]))
        gaps.append(found.gaps)
        skipped.append(found.skipped)
        missing.append(found.missing)
    rows = pl.concat(frames)
    twice = rows.filter(pl.col("ckpt_id").is_duplicated())
    if twice.height:
        raise ConfigError(
            f"Two models are called {twice['model'][0]}; give them different --names."
        )
    return raw.CHECKPOINTS.validate(rows), pl.concat(gaps), {"skipped": skipped, "missing": missing}


def _named(chosen: pl.DataFrame, name: str | None) -> pl.DataFrame:
    """Checkpoints as <model>/<checkpoint>; where steps repeat, each one is a model of its own."""
    model = pl.col("model") if name is None else pl.lit(name)
    frame = chosen.with_columns(model=model)
    if frame["step"].is_duplicated().any():
        frame = frame.with_columns(model=pl.format("{}@{}", "model", "ckpt_id"))
    return frame.with_columns(ckpt_id=pl.format("{}/{}", "model", "ckpt_id"))


def added(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """What was asked before and is not named now, then what is named now."""
    kept = before.join(now, on="ckpt_id", how="anti", maintain_order="left")
    return pl.concat([kept, now])
