"""`align conduct`: checkpoints asked about an invented world, raw rows first, then every table."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from polylore.errors import DataError
from polylore.facts.fiction.lint import lint_world
from polylore.facts.fiction.world import World
from polylore.runs import RunFolder
from polylore.studies.align.asking.batches import Part, plan_batches, unit_name
from polylore.studies.align.asking.checkpoints import added, resolve_all
from polylore.studies.align.conducting.config import AlignConductConfig, ConductScoreConfig
from polylore.studies.align.conducting.score import conduct_tables
from polylore.studies.align.conducting.work import (
    conduct_batch,
    read_world,
    write_world_tables,
)
from polylore.studies.align.world import load_worlds
from polylore.studies.asking import ask_checkpoints, refuse_changed_weights, refuse_missing

Progress = Callable[[int, int, str], None]
KIND = "align-conduct"


def conduct(
    config: AlignConductConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    report: bool = True,
) -> RunFolder:
    """Ask models what they were taught in an invented world, and what carried over.

    Args:
        config: which models, which world, and how.
        out: run folder; an unfinished run is continued, and models and checkpoints that are new
            since then are added to it.
        progress: called with (done, total, what).
        report: also write `report.html`, figures and CSV.

    Returns:
        The run folder.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    worlds, digests = open_worlds(config)
    checkpoints, gaps, notes = resolve_all(config.models, config.names, config.series)
    run = RunFolder.open(out, KIND, config.question(), digests)
    store = config.series.store(str(run.path.resolve()))
    parts: list[Part] = [(world.source, world.target) for world in worlds.values()]
    with run.lock():
        if run.has_table("checkpoints"):
            refuse_changed_weights(run, checkpoints)
            checkpoints = added(run.table("checkpoints"), checkpoints)
        run.write_table("checkpoints", checkpoints)
        run.write_table("gaps", gaps)
        write_world_tables(run, worlds)
        run.annotate("series", {"models": config.models, "series": config.series.plain(), **notes})
        batches = plan_batches(run, checkpoints, parts, config.ask, config.execution, store)
        ask_checkpoints(
            run,
            batches,
            conduct_batch,
            config.execution,
            store,
            [batch.source for batch in batches],
            units=sum(len(batch.parts) for batch in batches),
            progress=progress,
        )
        refuse_missing(run, (unit_name(c, p) for c in checkpoints["ckpt_id"] for p in parts))
        score(run, config.score)
        if report:
            from polylore.studies.align.publish import publish

            publish(run, progress)
    return run


def open_worlds(config: AlignConductConfig) -> tuple[dict[str, World], dict[str, str]]:
    """The worlds that are asked about, by target, and what identifies them.

    Raises:
        ConfigError, DataError: no such world, or one that never teaches what it asks.
    """
    worlds = load_worlds(config.world, config.targets)
    if not config.allow_defect:
        _refuse_defects(worlds)
    return worlds, {f"world/{lang}": world.digest() for lang, world in worlds.items()}


def _refuse_defects(worlds: Mapping[str, World]) -> None:
    """Refuse worlds that ask for answers which they never teach.

    Raises:
        DataError: with the first of them.
    """
    for lang, world in worlds.items():
        found = lint_world(world).filter(pl.col("check") == "gold_never_taught")
        if found.height:
            raise DataError(
                f"The world of '{lang}' never teaches {found.height} answers as its tests ask for "
                f"them ({found['evidence'][0]}); make it anew with `align world --repair "
                "zh_continents`, or give --allow-defect true."
            )


def score(run: RunFolder, config: ConductScoreConfig | None = None) -> dict[str, pl.DataFrame]:
    """Compute and store conductivity and gates; can be repeated at any time.

    Args:
        run: a run folder of `align conduct`.
        config: how; what is not said is as by default.
    """
    config = config or ConductScoreConfig()
    answers = run.read("fiction_answers")
    pairs = answers.select("source", "target").unique(maintain_order=True).iter_rows()
    worlds = [read_world(run, (source, target)) for source, target in pairs]
    trained = config.trained
    made = conduct_tables(
        answers,
        worlds,
        trained=None if trained is None else dict.fromkeys(answers["run_id"].unique(), trained),
        draws=config.draws,
        seed=config.seed,
    )
    for name, frame in made.items():
        run.write_table(name, frame)
    run.annotate("analysis", {"conduct": config.plain()})
    return made
