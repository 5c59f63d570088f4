"""Work put before checkpoints, wherever these lie: what every study that asks models does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TypeVar

import polars as pl

from polylore.errors import RunError
from polylore.models.store import Source, Store
from polylore.models.store_watch import watched
from polylore.runs import RunFolder, run_batches
from polylore.studies.work_config import WorkConfig

Batch = TypeVar("Batch")
Progress = Callable[[int, int, str], None]


def ask_checkpoints(
    run: RunFolder,
    batches: Sequence[Batch],
    work: Callable[[Batch], int],
    execution: WorkConfig,
    store: Store,
    sources: Iterable[Source],
    *,
    units: int | None = None,
    progress: Progress | None = None,
    what: str = "asking",
) -> None:
    """Have every batch done; what is fetched for it is watched, and tidied up afterwards.

    Args:
        run: folder of the run.
        batches: what is to be done.
        work: does a batch; returns how many units it finished.
        execution: how many processes, and where.
        store: fetches checkpoints.
        sources: where the checkpoints of the batches lie.
        units: units in all batches, for the progress display.
        progress: called with (done, total, what).
        what: what is being done, in a word.
    """
    fetched = [source for source in sources if not source.local]
    store.require(fetched)
    with watched(store, progress if fetched else None):
        run_batches(
            batches,
            work,
            executor=execution.executor,
            jobs=execution.jobs,
            threads=execution.threads,
            cpus=execution.cpus_per_worker,
            gpus=execution.gpus(),
            retries=execution.retries,
            folder=run.path,
            units=units,
            progress=progress,
            what=what,
        )
    if fetched:
        store.sweep()
        run.annotate("downloads", asdict(store.downloads()))


def refuse_missing(run: RunFolder, wanted: Iterable[str]) -> None:
    """What workers have written must be visible here before numbers are made of it.

    Raises:
        RunError: network storage still hides some of it.
    """
    missing = set(wanted).difference(run.units())
    if missing:
        raise RunError(
            f"{len(missing)} finished units do not show in {run.path} yet, {min(missing)} among "
            "them, as happens on slow network storage; run the same command again in a minute."
        )


def refuse_changed_weights(run: RunFolder, checkpoints: pl.DataFrame) -> None:
    """A checkpoint that was asked must not have other weights now.

    Raises:
        RunError: one has.
    """
    if not run.has_table("checkpoints"):
        return
    columns = ("files_hash", "weight_hash")  # either may be unknown, then or now
    before = {row["ckpt_id"]: row for row in run.table("checkpoints").iter_rows(named=True)}
    asked = {unit.rpartition("/")[0] for unit in run.units()}
    for row in checkpoints.iter_rows(named=True):
        old = before.get(row["ckpt_id"])
        if old is None or row["ckpt_id"] not in asked:
            continue
        known = [(old.get(c), row[c]) for c in columns if old.get(c) and row[c]]
        if known and known[-1][0] != known[-1][1]:
            raise RunError(
                f"Checkpoint {row['ckpt_id']} has other weights than when {run.path} asked it; "
                "give another folder with --out."
            )
