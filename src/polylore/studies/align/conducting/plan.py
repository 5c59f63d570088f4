"""What `align conduct` will cost, said before anything is asked."""

from pathlib import Path

import polars as pl

from polylore.runs import RunFolder
from polylore.studies.align.asking.checkpoints import resolve_all
from polylore.studies.align.asking.plan import left_to_read
from polylore.studies.align.conducting.config import AlignConductConfig
from polylore.studies.align.conducting.sheet import ConductSheet
from polylore.studies.align.conducting.study import KIND, open_worlds
from polylore.tables.plan import PLAN_TOTALS


def plan(config: AlignConductConfig, out: str | Path) -> pl.DataFrame:
    """Count what is left to ask; reads configurations and tokenizers, never weights.

    Args:
        config: as for `conduct`.
        out: run folder; what it holds already is not counted again.

    Returns:
        Table PLAN_TOTALS.

    Raises:
        PolyloreError: as `conduct`, before anything is written.
    """
    worlds, digests = open_worlds(config)
    checkpoints, _, _ = resolve_all(config.models, config.names, config.series)
    run = RunFolder.find(out, KIND, config.question(), digests)
    sheets = {
        (world.source, world.target): ConductSheet(world, config.ask) for world in worlds.values()
    }
    return PLAN_TOTALS.build(
        left_to_read(
            run,
            checkpoints,
            list(sheets),
            config.series,
            config.ask.dtype,
            lambda lm, part: sheets[part].cost(lm),
        )
    )
