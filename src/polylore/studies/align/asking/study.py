"""`align evaluate`: parallel sets before every checkpoint, raw rows first, then every table."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, RunError
from polylore.facts.choices.ask import build_prompts
from polylore.models.resolve import Resolved
from polylore.models.store_watch import watched
from polylore.runs import RunFolder, run_batches
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.asking.sets import Sets, empty_options, load_sets
from polylore.studies.align.asking.work import Part, ask_batch, plan_batches, unit_name
from polylore.studies.align.rescore import KIND, score
from polylore.studies.trace.study import refuse_changed_weights
from polylore.tables import raw

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
    prompts = _prompts(config, sets)
    checkpoints, gaps, notes = _resolve(config)
    run = RunFolder.open(out, KIND, config.question(), {"sets": sets.digest()})
    store = config.series.store(str(run.path.resolve()))
    parts: list[Part] = list(
        prompts.select("dataset", "lang").unique(maintain_order=True).iter_rows()
    )
    with run.lock():
        if run.has_table("checkpoints"):
            refuse_changed_weights(run, checkpoints)
            checkpoints = _added(run.table("checkpoints"), checkpoints)
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
                "empty_options": [list(row) for row in blank["dataset", "lang", "item"].rows()],
            },
        )
        batches = plan_batches(run, checkpoints, parts, config.ask, config.execution, store)
        store.require([batch.source for batch in batches])
        remote = any(not batch.source.local for batch in batches)
        with watched(store, progress if remote else None):
            run_batches(
                batches,
                ask_batch,
                executor=config.execution.executor,
                jobs=config.execution.jobs,
                threads=config.execution.threads,
                cpus=config.execution.cpus_per_worker,
                gpus=config.execution.gpus(),
                retries=config.execution.retries,
                folder=run.path,
                units=sum(len(batch.parts) for batch in batches),
                progress=progress,
                what="asking",
            )
        wanted = {unit_name(ckpt, part) for ckpt in checkpoints["ckpt_id"] for part in parts}
        missing = wanted.difference(run.units())
        if missing:
            raise RunError(
                f"{len(missing)} finished units do not show in {run.path} yet, {min(missing)} "
                "among them; run the same command again in a minute."
            )
        if remote:
            store.sweep()
            run.annotate("downloads", asdict(store.downloads()))
        score(run, config.score, progress=progress)
        if report:
            from polylore.studies.align.publish import publish

            publish(run, progress)
    return run


def _prompts(config: AlignEvaluateConfig, sets: Sets) -> pl.DataFrame:
    free = sets.items["n_options"] == 0
    made = []
    for manner in config.ask.manners():
        for items, modes in (
            (sets.items.filter(~free), config.ask.effective_modes()),
            (sets.items.filter(free), config.ask.free_modes()),
        ):
            questions = sets.questions.join(
                items, on=["dataset", "item"], how="semi", maintain_order="left"
            )
            if questions.height:
                made.append(build_prompts(questions, items, modes, manner, config.score.pivot))
    prompts = pl.concat(made)
    if not prompts.height:
        raise ConfigError(
            "No set can be asked in the modes given; letter_ll and text_ll need options, rank "
            "needs a free-form set."
        )
    return prompts


def _resolve(
    config: AlignEvaluateConfig,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, object]]:
    """Checkpoints of all models, named so that none is taken for another.

    Raises:
        ConfigError: two models of one name, or another number of names than of models.
    """
    if config.names is not None and len(config.names) != len(config.models):
        raise ConfigError(
            f"There are {len(config.names)} names for {len(config.models)} models; give one each."
        )
    frames, gaps = [], []
    skipped: list[object] = []
    missing: list[object] = []
    for number, model in enumerate(config.models):
        found: Resolved = config.series.resolve(model)
        name = None if config.names is None else config.names[number]
        frames.append(_named(found.chosen, name))
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


def _added(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """What was asked before and is not named now, then what is named now."""
    kept = before.join(now, on="ckpt_id", how="anti", maintain_order="left")
    return pl.concat([kept, now])
