"""How fast this machine makes forward passes: a few real batches, timed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from polylore.models import LanguageModel, Prepared, PreparedPrompts, generate_prepared
from polylore.models.cost import Anatomy, Pass, flops
from polylore.models.engines import choose, read_rows, row_limit
from polylore.models.forward import evaluation
from polylore.models.passes import (
    generation_batches,
    generation_passes,
    scoring_batches,
    scoring_passes,
)
from polylore.studies.plan.work import Ways
from polylore.studies.trace.config import ExecutionConfig
from polylore.studies.trace.sheet import Sheet

T = TypeVar("T")

SHEETS = 3
"""Languages that are sampled, from the shortest prompts to the longest."""
BATCHES = 3
"""Batches of each, from the first to the last."""
PATIENCE = 60.0
"""Seconds after which no further language is sampled."""


@dataclass(frozen=True)
class Measured:
    """What was found."""

    model: str
    """What was timed, in words."""
    ways: Ways
    """What the checks allowed."""
    lines: dict[str, tuple[float, float]]
    """By kind of pass: seconds = first + second * FLOPs."""
    lengths: list[int] | None
    """Lengths of answers, if the model has weights that mean something."""
    passes: int
    """Passes that were timed."""
    loading: float | None
    """Seconds to put the weights of a checkpoint into the model; null for random weights."""

    def seconds(self, anatomy: Anatomy, one: Pass) -> float:
        """Seconds of a pass; kinds that were not timed count as those that were."""
        start, rate = self.lines.get(one.kind) or next(iter(self.lines.values()))
        return start + rate * flops(anatomy, one)


def measure(
    lm: LanguageModel,
    anatomy: Anatomy,
    sheets: Sequence[Sheet],
    execution: ExecutionConfig,
    *,
    trained: bool,
    loading: Callable[[], object] | None = None,
) -> Measured:
    """Time real batches of some sheets on this machine.

    Args:
        lm: the model, with weights.
        anatomy: its numbers.
        sheets: what will be asked; a few of them are sampled.
        execution: threads, and how much is read at once.
        trained: whether its weights are those of a checkpoint, so that its answers tell how long
            answers are.
        loading: puts the weights of a checkpoint into the model.
    """
    torch.set_num_threads(execution.threads)
    points: dict[str, list[tuple[float, float]]] = {}
    lengths: list[int] = []
    engine, share = "packed", True
    start = time.perf_counter()
    for number, sheet in enumerate(_spread(_by_length(lm, sheets), SHEETS)):
        if number and time.perf_counter() - start > PATIENCE:
            break
        tokens = sheet.tokenised(lm)
        if tokens.questions.strings:
            engine = _time_scoring(lm, anatomy, tokens.questions, execution, points)
        if tokens.prompts.ids:
            own, share = _time_generation(lm, anatomy, sheet, execution, points)
            lengths += own
    return Measured(
        model=lm.name if trained else f"random weights in the shape of {lm.name}",
        ways=Ways(engine, share),
        lines={kind: _line(found) for kind, found in points.items()},
        lengths=lengths if trained and lengths else None,
        passes=sum(map(len, points.values())),
        loading=None if loading is None else _timed(loading),
    )


def _by_length(lm: LanguageModel, sheets: Sequence[Sheet]) -> list[Sheet]:
    return sorted(sheets, key=lambda s: sum(map(len, s.tokenised(lm).prompts.ids)))


def _spread(items: Sequence[T], n: int) -> list[T]:
    """At most n items, evenly spread."""
    if len(items) <= n:
        return list(items)
    return [items[(2 * k + 1) * len(items) // (2 * n)] for k in range(n)]


def _time_scoring(
    lm: LanguageModel,
    anatomy: Anatomy,
    prepared: Prepared,
    execution: ExecutionConfig,
    points: dict[str, list[tuple[float, float]]],
) -> str:
    budget = execution.scoring_budget()
    limit = row_limit(lm, prepared, budget)
    with evaluation(lm.model):
        # The comparison of the engines also warms everything up.
        engine = choose(lm, prepared, "auto", limit, budget).engine
        for rows in _spread(scoring_batches(lm, prepared, budget, engine), BATCHES):
            passes = scoring_passes(rows, engine)
            seconds = _timed(partial(read_rows, lm, rows, engine))
            work = sum(flops(anatomy, one) for one in passes)
            # Of a reading in several passes only the whole is timed.
            n = len(passes)
            points.setdefault(engine, []).append((work / n, seconds / n))
    return engine


def _time_generation(
    lm: LanguageModel,
    anatomy: Anatomy,
    sheet: Sheet,
    execution: ExecutionConfig,
    points: dict[str, list[tuple[float, float]]],
) -> tuple[list[int], bool]:
    tokens = sheet.tokenised(lm)
    budget = execution.generation_budget()
    lengths: list[int] = []
    share = True
    for batch in _spread(generation_batches(lm, tokens.prompts, tokens.caps, budget), BATCHES - 1):
        part = PreparedPrompts(
            tuple(tokens.prompts.prompts[k] for k in batch),
            [tokens.prompts.ids[k] for k in batch],
            [tokens.prompts.echoes[k] for k in batch],
            lm.tokenizer_hash,
        )
        with _clock(lm) as seconds:
            made = generate_prepared(
                lm,
                part,
                max_new_tokens=[tokens.caps[k] for k in batch],
                stop_at_newline=sheet.ask_config.stop_at_newline,
                token_budget=budget,
            )
        own = [one.n_new_tokens + (one.stop_reason == "eos") for one in made]
        share = part.judged is not None and part.judged[2]
        passes = list(generation_passes(part.ids, own, share=share))
        # The first passes found out whether beginnings may be shared.
        for one, taken in zip(passes, seconds[-len(passes) :], strict=True):
            points.setdefault(one.kind, []).append((flops(anatomy, one), taken))
        lengths += own
    return lengths, share


@contextmanager
def _clock(lm: LanguageModel) -> Iterator[list[float]]:
    """Collect the seconds of every forward pass of a model."""
    seconds: list[float] = []
    begun = 0.0

    def before(*_: Any) -> None:
        nonlocal begun
        _wait(lm.device)
        begun = time.perf_counter()

    def after(*_: Any) -> None:
        _wait(lm.device)
        seconds.append(time.perf_counter() - begun)

    handles = [lm.model.register_forward_pre_hook(before), lm.model.register_forward_hook(after)]
    try:
        yield seconds
    finally:
        for handle in handles:
            handle.remove()


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds of a pass as a constant and a rate, neither below zero; relative errors count."""
    x, y = np.array(points).T
    if len(points) > 2 and x.max() > 1.2 * x.min():
        rate, start = np.polyfit(x, y, 1, w=1 / y)
        if rate > 0 and start >= 0:
            return float(start), float(rate)
    return 0.0, float(y.sum() / x.sum())
