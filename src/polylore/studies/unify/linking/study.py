"""`unify link`: the states of every checkpoint, then what they say about accuracy."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.errors import DataError, ModelError
from polylore.facts import FactSet
from polylore.files import read_json
from polylore.metrics.unification import FRESH
from polylore.models.store import Source, Store
from polylore.runs import RunFolder
from polylore.studies.asking import ask_checkpoints, refuse_changed_weights
from polylore.studies.unify.linking.answers import Answers, read_answers, refuse_other_facts
from polylore.studies.unify.linking.config import LinkConfig
from polylore.studies.unify.linking.prompts import LinkPrompts
from polylore.studies.unify.linking.work import Batch, read_batch, unit_name
from polylore.studies.unify.worker import failure_of
from polylore.tables.course import places

Progress = Callable[[int, int, str], None]
KIND = "unify-link"
SCHEMA = 1
"""Raised when what a unit holds changes its meaning, so that old ones are not taken for new."""


def run_link(config: LinkConfig, out: str | Path, *, progress: Progress | None = None) -> RunFolder:
    """Compare the states of parallel facts in every checkpoint that has answers.

    Args:
        config: which model, facts and answers.
        out: run folder; an unfinished run of the same facts and settings is continued, and
            checkpoints that are new since then are added to it.
        progress: called with (done, total, what); about downloads from a thread of its own.

    Returns:
        The run folder with raw tables, to be scored; `failed_checkpoints` names those that could
        not be read.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    answers = read_answers(config)
    factset = _facts(config, answers)
    states = config.states
    variant = answers.variant if states.variant is None else states.variant
    bos = answers.bos if states.bos is None else states.bos
    LinkPrompts(factset, states, variant=variant, bos=bos)  # what cannot be built is noticed now
    resolved = config.series.resolve(config.model, damaged=True)
    checkpoints = _answered(resolved.chosen, answers, config)
    question = {"states": states.plain() | {"variant": variant, "bos": bos}, "schema": SCHEMA}
    run = RunFolder.open(out, KIND, question, {"facts": factset.digest()})
    store = config.series.store(str(run.path.resolve()))
    with run.lock():
        refuse_changed_weights(run, checkpoints)
        _write_inputs(run, config, factset, answers, checkpoints)
        run.annotate("notes", {"skipped": resolved.skipped, "missing": resolved.missing})
        batches = _batches(run, config, checkpoints, store, variant, bos)
        ask_checkpoints(
            run,
            batches,
            read_batch,
            config.execution,
            store,
            [batch.source for batch in batches if not batch.ckpt_id.startswith(FRESH)],
            progress=progress,
            what="reading checkpoints",
        )
    return run


def failed_checkpoints(run: RunFolder) -> dict[str, str]:
    """Checkpoints and fresh copies of a run that could not be read, and why."""
    wanted = [*run.table("checkpoints")["ckpt_id"], *fresh_ids(run)]
    notes = {ckpt: failure_of(run.path, unit_name(ckpt)) for ckpt in wanted}
    return {
        ckpt: str(read_json(note)["why"])
        for ckpt, note in notes.items()
        if note.is_file() and not run.is_done(unit_name(ckpt))
    }


def fresh_ids(run: RunFolder) -> list[str]:
    """Names of the fresh copies of a run."""
    return [f"{FRESH}{k + 1}" for k in range(run.manifest["config"]["states"]["fresh"])]


def _facts(config: LinkConfig, answers: Answers) -> FactSet:
    if config.facts is None or Path(config.answers).is_file():
        return answers.factset
    factset = config.facts.load()
    refuse_other_facts(factset, answers, config.answers)
    return factset


def _answered(checkpoints: pl.DataFrame, answers: Answers, config: LinkConfig) -> pl.DataFrame:
    """Checkpoints that have answers of the same weights.

    Raises:
        DataError: there are none, or the answers are another model's.
    """
    known = answers.frame.drop_nulls("right")["ckpt_id"].unique()
    kept = checkpoints.filter(~pl.col("suspect") & pl.col("ckpt_id").is_in(known.implode()))
    if not kept.height:
        raise DataError(
            f"The answers in {config.answers} are about the checkpoints {_some(known.sort())}, but "
            f"{config.model} has {_some(checkpoints['ckpt_id'])}; give answers of this model."
        )
    if answers.checkpoints is not None:
        theirs = answers.checkpoints.select("ckpt_id", theirs="weight_hash")
        both = kept.join(theirs, on="ckpt_id").filter(pl.col("weight_hash") != pl.col("theirs"))
        if both.height:
            raise DataError(
                f"Checkpoint {both['ckpt_id'][0]} of {config.model} has other weights than the one "
                f"that was asked in {config.answers}; ask it anew with `polylore trace`."
            )
    return kept


def _some(names: pl.Series) -> str:
    return ", ".join(names.head(3).to_list()) + (", ..." if len(names) > 3 else "")


def _write_inputs(
    run: RunFolder,
    config: LinkConfig,
    factset: FactSet,
    answers: Answers,
    checkpoints: pl.DataFrame,
) -> None:
    run.write_table("checkpoints", checkpoints)
    run.write_table("facts", factset.facts)
    run.write_table("templates", factset.templates)
    right = answers.frame.join(
        factset.facts.select("fact_id", "lang"), on=["fact_id", "lang"], how="semi"
    ).filter(pl.col("ckpt_id").is_in(checkpoints["ckpt_id"].implode()))
    run.write_table("unify_link_answers", right.with_columns(model=pl.lit(checkpoints["model"][0])))
    if answers.exposure is not None:
        run.write_table("exposure", answers.exposure)
    run.annotate(
        "analysis",
        {
            "model": config.model,
            "series": config.series.plain(),
            "answers": config.answers,
            "matcher": answers.matcher,
            "agreement": answers.agreement,
            "analyse": config.analyse.plain(),
            "notes": list(factset.notes),
        },
    )


def _batches(
    run: RunFolder,
    config: LinkConfig,
    checkpoints: pl.DataFrame,
    store: Store,
    variant: int,
    bos: bool,
) -> list[Batch]:
    """Pending work: fresh copies first, then the checkpoints in their order."""
    model = str(checkpoints["model"][0])
    when = {ckpt: (step, tokens) for ckpt, step, tokens in places(checkpoints).iter_rows()}
    work = [(row["ckpt_id"], Source.of(row)) for row in checkpoints.iter_rows(named=True)]
    copies = [name for name in fresh_ids(run) if not run.is_done(unit_name(name))]
    if copies:
        folder = str(_architecture([source for _, source in work], store))
        work = [(name, Source(name, folder)) for name in copies] + work
    due = [(ckpt, source) for ckpt, source in work if not run.is_done(unit_name(ckpt))]
    for ckpt, _ in due:
        failure_of(run.path, unit_name(ckpt)).unlink(missing_ok=True)
    batches = []
    for number, (ckpt, source) in enumerate(due):
        ahead = number + config.execution.jobs
        upcoming = due[ahead][1] if ahead < len(due) else None
        step, tokens = when.get(ckpt, (None, None))
        batches.append(
            Batch(
                str(run.path.absolute()), model, ckpt, step, tokens, source, upcoming, store,
                config.states, variant, bos, config.execution,
            )
        )  # fmt: skip
    return batches


def _architecture(sources: list[Source], store: Store) -> Path:
    """The folder of the first checkpoint that has a configuration; weights are not needed.

    Raises:
        ModelError: none has.
    """
    for source in sources:
        folder = Path(str(source.path)) if source.path else store.small_files(source)
        if (folder / "config.json").is_file():
            return folder
    raise ModelError("No checkpoint has a config.json, so no fresh copy can be made of it.")
