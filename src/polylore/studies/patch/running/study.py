"""`patch run`: every item of a plan before every checkpoint, raw rows only."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.errors import ModelError, PolyloreError, SelfCheckError
from polylore.models.patching.blocks import block_list
from polylore.models.patching.onsets import checked
from polylore.models.resolve import Resolved
from polylore.models.skeleton import skeleton
from polylore.models.store import Source, Store
from polylore.runs import RunFolder
from polylore.studies.asking import ask_checkpoints, refuse_changed_weights, refuse_missing
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.running.config import PatchAskConfig, PatchRunConfig
from polylore.studies.patch.running.work import (
    INIT,
    PLAN,
    ask_batch,
    plan_batches,
    unit_name,
)
from polylore.tables.raw import CHECKPOINTS

Progress = Callable[[int, int, str], None]


def run_patch(
    config: PatchRunConfig, out: str | Path, *, progress: Progress | None = None
) -> RunFolder:
    """Put a plan before every checkpoint of a model.

    Args:
        config: which plan, which model, and how.
        out: run folder; an unfinished run of the same plan and settings is continued, and
            checkpoints that are new since then are added to it.
        progress: called with (done, total, what); about downloads from a thread of its own.

    Returns:
        The run folder, with the units' raw tables: patch_scores, patch_answers, patch_selfcheck.

    Raises:
        SelfCheckError: checkpoints failed their self-check or could not be read; all others are
            done, and nothing is lost.
        PolyloreError: bad input, in one sentence.
    """
    plan = PatchPlan.load(config.plan)
    resolved = config.series.resolve(config.model, damaged=True)
    outside = config.series.store()
    ask = config.effective_ask(plan.head.config.preset)
    first = _refuse_unfit(plan, ask, resolved, outside)
    checkpoints = resolved.chosen
    if ask.init and not _begins_at_zero(checkpoints):
        checkpoints = pl.concat([_random_row(checkpoints, first), checkpoints])
    question = {"preset": plan.head.config.preset, "ask": ask.plain()}
    run = RunFolder.open(out, "patch", question, {"plan": plan.hash})
    store = config.series.store(str(run.path.resolve()))
    pairs = plan.settings.target_pairs
    with run.lock():
        if not (run.path / PLAN / "plan.json").is_file():
            plan.save(run.path / PLAN)
        refuse_changed_weights(run, checkpoints)
        run.write_table("checkpoints", checkpoints)
        run.write_table("gaps", resolved.gaps)
        run.annotate(
            "series",
            {
                "model": config.model,
                "series": config.series.plain(),
                "skipped": resolved.skipped,
                "missing": resolved.missing,
            },
        )
        batches = plan_batches(run, checkpoints, pairs, ask, config.execution, store)
        ask_checkpoints(
            run,
            batches,
            ask_batch,
            config.execution,
            store,
            [batch.source for batch in batches if batch.source.ckpt_id != INIT],
            units=sum(len(batch.pairs) for batch in batches),
            progress=progress,
            what="patching",
        )
        wanted = [unit_name(ckpt, pair) for ckpt in checkpoints["ckpt_id"] for pair in pairs]
        refuse_missing(run, wanted)
        refuse_failed(run, wanted)
    return run


def refuse_failed(run: RunFolder, units: list[str]) -> None:
    """Say which checkpoints have no numbers, once all others have.

    Raises:
        SelfCheckError: there are some.
    """
    failed = run.read("patch_selfcheck", units).filter(~pl.col("passed"))
    if not failed.height:
        return
    names = failed["ckpt_id"].unique(maintain_order=True).to_list()
    row = failed.row(0, named=True)
    value = "" if row["value"] is None else f" is {row['value']:.3g}"
    why = row["note"] or f"{row['check']}{value} with a tolerance of {row['tolerance']:.3g}"
    raise SelfCheckError(
        f"{len(names)} of the checkpoints could not be patched: {', '.join(names[:5])}"
        f"{', ...' if len(names) > 5 else ''}; {row['ckpt_id']}: {why.removesuffix('.')}. All "
        f"others are done in {run.path}, which can be scored without them."
    )


def _refuse_unfit(plan: PatchPlan, ask: PatchAskConfig, resolved: Resolved, store: Store) -> Path:
    """Hold plan and settings against the first model that can be opened; returns its folder.

    Raises:
        ConfigError: onsets that it does not have.
        DataError: the plan was made with another tokenizer.
        ModelError: none can be opened, the plan does not fit, or its blocks cannot be told.
    """
    trouble: PolyloreError | None = None
    for row in resolved.chosen.iter_rows(named=True):
        source = Source.of(row)
        try:
            local = source.local and source.path is not None
            folder = Path(str(source.path)) if local else store.small_files(source)
            lm = skeleton(folder)
        except ModelError as error:
            trouble = trouble or error
            continue
        plan.check_tokenizer(lm.tokenizer_hash)
        plan.check_model(lm.context, int(lm.model.get_input_embeddings().weight.shape[0]))
        _, blocks = block_list(lm.model, ask.blocks)
        checked(ask.swept(len(blocks)), len(blocks), None)
        return folder
    raise trouble or ModelError("There is no checkpoint to patch.")


def _begins_at_zero(checkpoints: pl.DataFrame) -> bool:
    first = checkpoints.row(0, named=True)
    return first["step"] == 0 and first["stage"] in (None, 0, 1)


def _random_row(checkpoints: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The randomly initialised model as a checkpoint before all others."""
    first = checkpoints.row(0, named=True)
    row = dict.fromkeys(checkpoints.columns) | {
        "ckpt_id": INIT,
        "family": first["family"],
        "model": first["model"],
        "path": str(folder),
        "step": 0,
        "total_step": None if first["total_step"] is None else 0,
        "stage": first["stage"],
        "ingredient": first["ingredient"],
        "tokens": 0,
        "tokens_exact": True,
        "final": False,
        "suspect": False,
        "flags": ["random_init"],
    }
    return CHECKPOINTS.build([row])
