"""The part of the analysis that sums up representations; one checkpoint in memory at a time."""

from collections.abc import Callable

import polars as pl

from polylore import metrics
from polylore.runs import RunFolder
from polylore.tables.course import course
from polylore.tables.similarity import SIMILARITY, SIMILARITY_CONTROLS, SIMILARITY_SUMMARY

Progress = Callable[[int, int, str], None]


def similarity_tables(
    run: RunFolder,
    *,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    cells: pl.DataFrame | None,
    controls: pl.DataFrame | None,
    pivot: str,
    draws: metrics.Draws | None,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Tables SIMILARITY_SUMMARY and SIMILARITY_CONTROLS; nothing if nothing was measured.

    Both are empty where the analysis has another pivot than the one that was compared with.

    Args:
        run: run folder with units of similarity.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        cells: table CELLS, if there is one.
        controls: table CONTROLS, if there is one.
        pivot: pivot language of the analysis.
        draws: bootstrap draws.
        seed: seed of permutations.
        progress: called with (done, total, what).
    """
    noted = run.manifest.get(SIMILARITY.name)
    there = {unit.rpartition("/")[0]: unit for unit in run.units() if _is_part(unit)}
    ckpt_ids = [ckpt for ckpt in course(checkpoints)["ckpt_id"] if ckpt in there]
    if noted is None or not ckpt_ids:
        return {}
    summaries, compared = [SIMILARITY_SUMMARY.empty()], [SIMILARITY_CONTROLS.empty()]
    for number, ckpt in enumerate(ckpt_ids if noted["pivot"] == pivot else []):
        rows, base = (run.read(name, [there[ckpt]]) for name in ("similarity", "similarity_base"))
        summaries.append(
            metrics.similarity_summary(
                rows, base, facts, checkpoints, cells, final=ckpt_ids[-1], draws=draws
            )
        )
        if controls is not None:
            compared.append(
                metrics.similarity_controls(
                    rows, controls, facts, checkpoints, final=ckpt_ids[-1], draws=draws, seed=seed
                )
            )
        if progress:
            progress(number + 1, len(ckpt_ids), "summing up similarity")
    return {"similarity_summary": pl.concat(summaries), "similarity_controls": pl.concat(compared)}


def _is_part(unit: str) -> bool:
    return unit.endswith(f"/{SIMILARITY.name}")
