"""The study `trace`: which facts can each checkpoint recall in each language?

Facts and checkpoints in, raw rows first, then derived tables, then the report. Each stage can be
interrupted and repeated; finished units are never asked again.
"""

import random
from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.errors import DataError
from polylore.facts import FactSet, build_prompts
from polylore.files import read_parquet
from polylore.models.vllm import require_vllm
from polylore.runs import RunFolder
from polylore.studies.asking import ask_checkpoints, refuse_changed_weights, refuse_missing
from polylore.studies.trace.analyse import analyse
from polylore.studies.trace.ask import ask_batch, parts_of, plan_batches, unit_name
from polylore.studies.trace.config import AskConfig, TraceConfig
from polylore.studies.trace.equal_answers import note_equal_answers
from polylore.studies.trace.similarity import Measure, Sentences, settle
from polylore.tables import raw
from polylore.tables.course import course

Progress = Callable[[int, int, str], None]


def trace(
    config: TraceConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    analysed: bool = True,
    report: bool = True,
) -> RunFolder:
    """Ask every checkpoint every fact in every language, analyse the answers, write the report.

    Args:
        config: what to ask of which checkpoints.
        out: run folder; an unfinished run of the same configuration is continued, and checkpoints
            that are new since then are added to it.
        progress: called with (done, total, what); about downloads from a thread of its own.
        analysed: also compute the derived tables.
        report: also write `report.html`, figures and CSV.

    Returns:
        The run folder.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    if config.ask.backend == "vllm":
        require_vllm()
    factset = config.facts.load()
    config.analyse.refuse_absent_pivot(factset.languages)
    config.refuse_nothing(factset)
    resolved = config.series.resolve(config.model)
    checkpoints = resolved.chosen
    exposure = read_exposure(config.exposure)
    ask = config.effective_ask()
    prompts, asked = make_prompts(factset, ask, checkpoints)
    measure = Measure.of(config, factset.languages)
    if measure is not None:
        Sentences(factset, measure)  # what cannot be built is noticed before anything is written
    run = open_run(config, factset, out)
    store = config.series.store(str(run.path.resolve()))
    with run.lock():
        refuse_changed_weights(run, checkpoints)
        run.write_table("checkpoints", checkpoints)
        run.write_table("gaps", resolved.gaps)
        run.annotate("resolved", {"skipped": resolved.skipped, "missing": resolved.missing})
        write_inputs(run, config, factset, prompts, asked, exposure)
        if measure is not None:
            settle(run, measure)
        langs = factset.languages
        batches = plan_batches(run, checkpoints, langs, ask, config.execution, store, measure)
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
        rows = checkpoints.iter_rows(named=True)
        refuse_missing(
            run,
            (unit_name(row["ckpt_id"], p) for row in rows for p in parts_of(row, langs, measure)),
        )
        note_equal_answers(run, config.series.duplicates, cache_dir=config.series.cache_dir)
        if config.referee.corpus is not None:
            bring_truth(run, config)
        if analysed:
            analyse(run, config.analyse, config.preset, progress)
        if report:
            from polylore.studies.trace.publish import publish

            publish(run, progress)
    return run


def bring_truth(run: RunFolder, config: TraceConfig) -> None:
    """Store what the designed corpus says about the facts asked, once what was read is verified.

    Raises:
        PolyloreError: corpus and model do not belong together, or a held-out cell was told.
    """
    from polylore.studies.referee.ground import open_ground

    ground = open_ground(config.model, config.referee.corpus)
    asked = run.table("facts").select("fact_id", "lang")
    run.write_table("design", ground.corpus.design.join(asked, on=["fact_id", "lang"], how="semi"))
    strings = ground.string_exposure().join(asked, on=["fact_id", "lang"], how="semi")
    run.write_table("string_exposure", strings)


def open_run(config: TraceConfig, factset: FactSet, out: str | Path) -> RunFolder:
    """The run folder of a trace, new or continued.

    Raises:
        RunError: the folder holds something else.
    """
    return RunFolder.open(out, "trace", config.question(), {"facts": factset.digest()})


def find_run(config: TraceConfig, factset: FactSet, out: str | Path) -> RunFolder | None:
    """The run folder of a trace if it was begun; nothing is written.

    Raises:
        RunError: the folder holds something else.
    """
    return RunFolder.find(out, "trace", config.question(), {"facts": factset.digest()})


def write_inputs(
    run: RunFolder,
    config: TraceConfig,
    factset: FactSet,
    prompts: pl.DataFrame,
    asked: pl.DataFrame | None,
    exposure: pl.DataFrame | None,
) -> None:
    """Store what is asked, and the settings of the analysis; checkpoints have their own table."""
    run.write_table("facts", factset.facts)
    run.write_table("templates", factset.templates)
    run.write_table("prompts", prompts)
    if asked is not None:
        run.write_table("asked", asked)
    if exposure is not None:
        run.write_table("exposure", exposure)
    run.annotate(
        "analysis",
        {
            "model": str(config.model),
            "series": config.series.plain(),
            "exposure": config.exposure,
            "analyse": config.analyse.plain(),
            "referee": config.referee.plain(),
            "notes": list(factset.notes),
        },
    )


def make_prompts(
    factset: FactSet, ask: AskConfig, checkpoints: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """All prompts, and which checkpoint is asked which where that differs.

    In the published form one random generator runs through all checkpoints, so each checkpoint
    sees other demonstrations; by default all see the same. Some wordings may be kept for the last
    checkpoint.
    """
    rng = random.Random(ask.seed)

    def build(variants: list[int]) -> pl.DataFrame:
        return build_prompts(
            factset,
            variants=variants,
            n_shot=ask.n_shot,
            seed=ask.seed,
            demos=ask.demos,
            delimiter=ask.delimiter,
            bos=ask.bos,
            rng=rng,
        )

    drifting = ask.demos == "paper" and ask.n_shot > 0
    if not drifting and not ask.final_variants:
        return build(ask.variants), None
    ids = checkpoints["ckpt_id"].to_list()
    last = course(checkpoints)["ckpt_id"][-1]
    usual = build(ask.variants)
    frames, asked = [], []
    for number, ckpt_id in enumerate(ids):
        own = [build(ask.variants) if drifting and number else usual]
        if ckpt_id == last and ask.final_variants:
            own.append(build(ask.final_variants))
        frames += own
        asked += [f.select(pl.lit(ckpt_id).alias("ckpt_id"), "prompt_id", "lang") for f in own]
    return pl.concat(frames).unique("prompt_id", keep="first", maintain_order=True), pl.concat(
        asked
    )


def read_exposure(source: str | None) -> pl.DataFrame | None:
    """The exposure table of a file, or of a training or counting folder.

    Raises:
        DataError: there is none, or it is not an exposure table.
    """
    if source is None:
        return None
    path = Path(source)
    if path.is_dir():
        counted = path / "tables" / "exposure.parquet"
        path = counted if counted.is_file() else path / "exposure.parquet"
    if not path.is_file():
        raise DataError(f"There is no exposure table {path}; give {raw.EXPOSURE_FILE}.")
    return raw.EXPOSURE.validate(read_parquet(path, raw.EXPOSURE_FILE))
