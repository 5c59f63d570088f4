"""Runs that failed: why, and as rows of the table of runs."""

from typing import Any

import polars as pl

from polylore.errors import DataError
from polylore.files import read_json
from polylore.runs import RunFolder
from polylore.studies.unify.config import MeasureConfig, RunConfig, run_hash
from polylore.studies.unify.rows import failed_row
from polylore.studies.unify.study import missing
from polylore.studies.unify.worker import failure_of
from polylore.tables.unify import RUNS

_LINES = 8
"""Lines at the end of a traceback that are kept in the table; all of it stays in `failed`."""


def failure(run: RunFolder, condition: str, seed: int) -> dict[str, Any] | None:
    """What a failed run left (why, trace and more); None if it did not fail."""
    note = failure_of(run.path, f"{condition} seed {seed}")
    if not note.is_file():
        return None
    try:
        found = read_json(note)
    except DataError:
        found = None
    return found if isinstance(found, dict) else {}


def why(note: dict[str, Any]) -> str:
    """The reason in one line."""
    return str(note.get("why") or "it left no message")


def failed_runs(run: RunFolder) -> pl.DataFrame:
    """Rows of RUNS for runs of a sweep that failed and have not been repeated since."""
    measure = MeasureConfig.parse(run.manifest["config"]["measure"])
    of = {one["name"]: one for one in run.manifest["conditions"]}
    rows = []
    for condition, seed in missing(run).iter_rows():
        note = failure(run, condition, seed)
        if note is None:
            continue
        config = RunConfig.parse(of[condition]["config"]).seeded(seed)
        trace = str(note.get("trace", "")).strip().splitlines()[-_LINES:]
        rows.append(
            failed_row(
                config,
                run_hash=run_hash(config, measure),
                sweep=note.get("sweep"),
                family=of[condition]["family"],
                condition=condition,
                seed=seed,
                device=str(note.get("device", "unknown")),
                error="\n".join([why(note), *trace]),
            )
        )
    return pl.concat(rows) if rows else RUNS.empty()
