"""Which cells hold probes whose target is scored together with a suffix.

Where the relation word follows the target, the score is that of target and suffix together: what
it gains is not the gain of the target alone, and the margin over distractors with the same suffix
is to be read instead (specification of `inject`, section 3.1).
"""

import polars as pl

from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.trajectories import CELL, POOLED
from polylore.tables.contract import Table
from polylore.tables.inject import TARGET_SUFFIX
from polylore.tables.injection import SUFFIXED

FLAGS = "flags"


def suffix_shares(found: Measurements) -> pl.DataFrame:
    """Share of the probes of every cell that are scored with their suffix: `CELL` and `suffixed`.

    Null where the log has no flags.
    """
    log = found.log
    if FLAGS in log.columns:
        flagged = pl.col(FLAGS).list.contains(TARGET_SUFFIX)
    else:
        flagged = pl.lit(None, pl.Boolean)
    probes = log.select(*CELL, "probe_id", suffixed=flagged).unique([*CELL, "probe_id"])
    if found.pool:
        probes = probes.with_columns(run_id=pl.lit(POOLED))
    return probes.group_by(CELL).agg(pl.col(SUFFIXED.name).mean())


def with_suffixed(table: Table, frame: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """A table with the share of its cells' probes that are scored with their suffix."""
    if SUFFIXED.name not in table.schema:
        return frame
    frame = frame.drop(SUFFIXED.name, strict=False)
    return table.validate(frame.join(shares, on=CELL, how="left", maintain_order="left"))
