"""What `align evaluate` will cost, said before anything is asked (`align`, section 7)."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from polylore.models.skeleton import anatomy, skeleton
from polylore.models.store import Source
from polylore.runs import RunFolder
from polylore.studies.align.asking.batches import pending
from polylore.studies.align.asking.checkpoints import resolve_all
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.asking.sets import load_sets
from polylore.studies.align.asking.sheet import sheet_of
from polylore.studies.align.asking.study import build_all, parts_of
from polylore.studies.align.rescore import KIND
from polylore.studies.plan.rows import Row, row
from polylore.tables.plan import PLAN_TOTALS

GIGA = 1e9


def plan(config: AlignEvaluateConfig, out: str | Path) -> pl.DataFrame:
    """Count what is left to ask; reads configurations and tokenizers, never weights.

    Arithmetic is two operations per weight and token; what questions begin with in common is read
    once. Models of one name share their first checkpoint's tokenizer.

    Args:
        config: as for `evaluate`.
        out: run folder; what it holds already is not counted again.

    Returns:
        Table PLAN_TOTALS.

    Raises:
        PolyloreError: as `evaluate`, before anything is written.
    """
    sets = load_sets(config.sets, config.score.pivot)
    prompts = build_all(config, sets)
    checkpoints, _, _ = resolve_all(config.models, config.names, config.series)
    run = RunFolder.find(out, KIND, config.question(), {"sets": sets.digest()})
    parts = parts_of(prompts)
    rows = [row("asking", f"prompts, {mode}", n, "prompts", "of one checkpoint")
            for mode, n in prompts["mode"].value_counts(sort=True).iter_rows()]  # fmt: skip
    store = config.series.store()
    total = 0.0
    units = 0
    for (model,), own in checkpoints.group_by(["model"], maintain_order=True):
        left = [
            (Source.of(one), parts if run is None else pending(run, one["ckpt_id"], parts))
            for one in own.iter_rows(named=True)
        ]
        left = [(source, todo) for source, todo in left if todo]
        units += sum(len(todo) for _, todo in left)
        if not left:
            continue
        first = left[0][0]
        folder = Path(str(first.path)) if first.local else store.small_files(first)
        lm = skeleton(folder, dtype=config.ask.dtype)
        read = {}
        for part in dict.fromkeys(part for _, todo in left for part in todo):
            sheet = sheet_of(sets.questions, prompts, *part, config.ask)
            read[part] = sheet.cost(lm)
        scored = sum(read[part][0] for _, todo in left for part in todo)
        written = sum(read[part][1] for _, todo in left for part in todo)
        size = anatomy(lm.model).parameters
        total += 2.0 * size * (scored + written)
        rows += _of_model(str(model), len(left), size, scored, written)
    rows.insert(0, row("asking", "units", units, "units", "checkpoint x set x language, to do"))
    rows.append(row("arithmetic", "all models", total / GIGA, "GFLOP", "2 x weights x tokens"))
    return PLAN_TOTALS.build(rows)


def _of_model(model: str, n: int, size: int, scored: int, written: int) -> Iterator[Row]:
    yield row("asking", f"{model}: checkpoints", n, "checkpoints", f"{size:,} weights each")
    yield row("reading", f"{model}: scored", scored, "tokens", "shared beginnings once")
    if written:
        yield row("reading", f"{model}: answers", written, "tokens", "prompts, and answers at most")
