"""`align evaluate`: parallel sets before every checkpoint, raw rows first, then every table."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.align.asking.batches import Part, plan_batches, unit_name
from polylore.studies.align.asking.checkpoints import added, resolve_all
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.asking.sets import (
    Sets,
    empty_options,
    load_sets,
    not_chosen,
    prompts_of,
)
from polylore.studies.align.asking.work import ask_batch
from polylore.studies.align.rescore import KIND, score
from polylore.studies.asking import ask_checkpoints, refuse_changed_weights, refuse_missing

Progress = Callable[[int, int, str], None]


def evaluate(
    config: AlignEvaluateConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    report: bool = True,
) -> RunFolder:
    """Ask models parallel sets, score the answers, write the report.

    Args:
        config: which models, which sets, and how.
        out: run folder; an unfinished run of the same questions is continued, and models and
            checkpoints that are new since then are added to it.
        progress: called with (done, total, what); about downloads from a thread of its own.
        report: also write `report.html`, figures and CSV.

    Returns:
        The run folder.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    sets = load_sets(config.sets, config.score.pivot)
    prompts = build_all(config, sets)
    checkpoints, gaps, notes = resolve_all(config.models, config.names, config.series)
    run = RunFolder.open(out, KIND, config.question(), {"sets": sets.digest()})
    store = config.series.store(str(run.path.resolve()))
    parts = parts_of(prompts)
    with run.lock():
        if run.has_table("checkpoints"):
            refuse_changed_weights(run, checkpoints)
            checkpoints = added(run.table("checkpoints"), checkpoints)
        run.write_table("checkpoints", checkpoints)
        run.write_table("gaps", gaps)
        run.write_table("align_questions", sets.questions)
        run.write_table("align_items", sets.items)
        run.write_table("align_prompts", prompts)
        run.write_table("facts", sets.facts)
        blank = empty_options(sets.questions)
        run.annotate(
            "series",
            {
                "models": config.models,
                "series": config.series.plain(),
                **notes,
                "not_chosen": not_chosen(sets, config.ask),
                "empty_options": [list(row) for row in blank["dataset", "lang", "item"].rows()],
            },
        )
        batches = plan_batches(run, checkpoints, parts, config.ask, config.execution, store)
        ask_checkpoints(
            run,
            batches,
            ask_batch,
            config.execution,
            store,
            [batch.source for batch in batches],
            units=sum(len(batch.parts) for batch in batches),
            progress=progress,
        )
        refuse_missing(run, (unit_name(c, p) for c in checkpoints["ckpt_id"] for p in parts))
        score(run, config.score, progress=progress)
        if report:
            from polylore.studies.align.publish import publish

            publish(run, progress)
    return run


def parts_of(prompts: pl.DataFrame) -> list[Part]:
    """Every set and language that is asked."""
    return list(prompts.select("dataset", "lang").unique(maintain_order=True).iter_rows())


def build_all(config: AlignEvaluateConfig, sets: Sets) -> pl.DataFrame:
    """Table ALIGN_PROMPTS: everything that will be asked.

    Raises:
        ConfigError: nothing can be asked in the modes given.
    """
    prompts = prompts_of(sets, config.ask, config.score.pivot)
    lone = sum(not_chosen(sets, config.ask).values())
    if not prompts.height and lone:
        raise ConfigError(
            f"There is nothing to choose between: none of {lone} items has two options. Give facts "
            "with candidates in every language, or ask for written answers with --ask.modes "
            "generate."
        )
    if not prompts.height:
        raise ConfigError(
            "No set can be asked in the modes given; letter_ll and text_ll need options, rank "
            "needs a free-form set."
        )
    return prompts
