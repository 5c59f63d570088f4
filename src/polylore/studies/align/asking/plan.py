"""What `align evaluate` and `align conduct` will cost (specification of `align`, section 7)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from polylore.models import LanguageModel
from polylore.models.skeleton import anatomy, skeleton
from polylore.models.store import Source
from polylore.runs import RunFolder
from polylore.studies.align.asking.batches import Part, pending
from polylore.studies.align.asking.checkpoints import resolve_all
from polylore.studies.align.asking.config import AlignEvaluateConfig
from polylore.studies.align.asking.sets import load_sets, not_chosen
from polylore.studies.align.asking.sheet import sheet_of
from polylore.studies.align.asking.study import build_all, parts_of
from polylore.studies.align.rescore import KIND
from polylore.studies.plan.rows import Row, row
from polylore.studies.series import SeriesConfig
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
    rows = [row("asking", f"prompts, {mode}", n, "prompts", "of one checkpoint")
            for mode, n in prompts["mode"].value_counts(sort=True).iter_rows()]  # fmt: skip
    rows += [row("asking", f"left out, {dataset}", n, "items", "fewer than two options")
             for dataset, n in not_chosen(sets, config.ask).items()]  # fmt: skip

    def read(lm: LanguageModel, part: Part) -> tuple[int, int]:
        return sheet_of(sets.questions, prompts, *part, config.ask).cost(lm)

    rows += left_to_read(run, checkpoints, parts_of(prompts), config.series, config.ask.dtype, read)
    return PLAN_TOTALS.build(rows)


def left_to_read(
    run: RunFolder | None,
    checkpoints: pl.DataFrame,
    parts: Sequence[Part],
    series: SeriesConfig,
    dtype: str,
    read: Callable[[LanguageModel, Part], tuple[int, int]],
) -> list[Row]:
    """Units, tokens and arithmetic that are left, by model; rows of table PLAN_TOTALS.

    Args:
        run: what is done already; None if nothing is.
        checkpoints: table CHECKPOINTS.
        parts: what every checkpoint is asked.
        series: how checkpoints on the hub are fetched.
        dtype: number format of the forward pass.
        read: tokens that one checkpoint reads and at most writes of a part.
    """
    store = series.store()
    rows: list[Row] = []
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
        lm = skeleton(folder, dtype=dtype)
        tokens = {
            part: read(lm, part) for part in dict.fromkeys(p for _, todo in left for p in todo)
        }
        scored = sum(tokens[part][0] for _, todo in left for part in todo)
        written = sum(tokens[part][1] for _, todo in left for part in todo)
        size = anatomy(lm.model).parameters
        total += 2.0 * size * (scored + written)
        rows += _of_model(str(model), len(left), size, scored, written)
    done = row("asking", "units", units, "units", "checkpoint x part, still to do")
    work = row("arithmetic", "all models", total / GIGA, "GFLOP", "2 x weights x tokens")
    return [done, *rows, work]


def _of_model(model: str, n: int, size: int, scored: int, written: int) -> Iterator[Row]:
    yield row("asking", f"{model}: checkpoints", n, "checkpoints", f"{size:,} weights each")
    yield row("reading", f"{model}: scored", scored, "tokens", "shared beginnings once")
    if written:
        yield row("reading", f"{model}: answers", written, "tokens", "prompts, and answers at most")
