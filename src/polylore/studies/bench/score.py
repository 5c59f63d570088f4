"""`polylore bench score`: polylore beside the ways of scoring one would pick instead.

All ways run in one process, on the same questions, with the same threads. They take turns within
each round, and the round begins with another way each time, so that the ratios hold on a machine
that is busy with other things as well. All must agree on every log-probability.
"""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models import EngineReport, LanguageModel, Question, prepare, score_prepared
from polylore.models.engines import Progress
from polylore.studies.bench import rivals
from polylore.studies.bench.config import SIZES, BenchConfig
from polylore.studies.bench.timing import best_batch, measure
from polylore.studies.bench.ways import (
    Logprobs,
    Run,
    Way,
    full_statements,
    one_by_one,
    polylore_way,
    sorted_batches,
)
from polylore.studies.bench.workload import CANDIDATES, make_model, make_workload
from polylore.studies.trace.config import ExecutionConfig

BATCHES = {"cpu": (1, 4, 8)}
BATCHES_ELSEWHERE = (16, 64, 256)
"""Batch sizes tried for ways that have one, on as many candidates as fill the largest."""
ONE, SORTED, STATEMENTS, LM_EVAL, VLLM, POLYLORE = (
    "one candidate per forward",
    "length-sorted batches",
    "full statements, as lm-pub-quiz",
    "lm-eval, Hugging Face backend",
    "vLLM, prompt_logprobs",
    "polylore",
)


def bench_score(config: BenchConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Time each way on one workload.

    The workload: demonstrations of 60 tokens, questions of 8 to 20 tokens, 10 candidates of 1 to 4
    tokens each.

    Returns:
        The settings, and under `models` for each size its parameters and its `ways`: median
        seconds, candidates per second, how many times faster polylore is (`speedup`, median over
        rounds, with lowest and highest), and the largest difference in log-probability from one
        candidate per forward. Numbers of a way that is not installed are null.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        models = [_bench_model(config, size, progress) for size in config.sizes]
    finally:
        torch.set_num_threads(before)
    return {**config.plain(), "models": models}


def _bench_model(config: BenchConfig, size: str, progress: Progress | None) -> dict[str, Any]:
    lm = make_model(size, SIZES[size], config.dtype, config.device)
    questions = make_workload(config.questions, config.shared, SIZES[size].vocabulary)
    with ExitStack() as resources:
        ways, engine = _ways(config, lm, questions, resources, progress)
        runs = {way.name: way.run for way in ways if way.run is not None}
        found, seconds = measure(runs, questions, config.rounds, f"timing, {size}", progress)
    return {
        "size": size,
        "parameters": lm.model.num_parameters(),
        "vocabulary": SIZES[size].vocabulary,
        "engine": engine.engine,
        "engine_reason": engine.reason,
        "ways": [_summary(way, found, seconds, len(questions)) for way in ways],
    }


def _ways(
    config: BenchConfig,
    lm: LanguageModel,
    questions: Sequence[Question],
    resources: ExitStack,
    progress: Progress | None,
) -> tuple[list[Way], EngineReport]:
    """All ways, ready to run: batch sizes chosen, engines started, self-check passed."""
    makers: dict[str, Callable[[int], Run]] = {
        SORTED: lambda rows: sorted_batches(lm, rows),
        LM_EVAL: lambda rows: rivals.lm_eval(lm, rows),
        STATEMENTS: lambda rows: full_statements(lm, rows),
    }
    notes = {
        SORTED: "logits at every position",
        STATEMENTS: "compared by the candidate's share of its score",
    }
    ways = [Way(ONE, one_by_one(lm))]
    for number, (name, make) in enumerate(makers.items()):
        if name == LM_EVAL and not rivals.has_lm_eval():
            ways.append(Way(name, None, note=f"not installed: {rivals.LM_EVAL}"))
            continue
        if progress:
            progress(number, len(makers), f"choosing batch sizes, {lm.name}")
        sizes = BATCHES.get(lm.device.type, BATCHES_ELSEWHERE)
        trial = questions[: -(-max(sizes) // CANDIDATES)]
        batch = best_batch(make, trial, trial[:1], sizes)
        ways.append(Way(name, make(batch), batch, notes.get(name, "")))
    if rivals.has_vllm():
        ways.append(Way(VLLM, rivals.vllm(lm, resources), note="its own batching"))
    elif lm.device.type != "cpu":
        ways.append(Way(VLLM, None, note=f"not installed: {rivals.VLLM}"))
    budget = ExecutionConfig(device=config.device).scoring_budget()
    engine = _self_check(lm, questions, budget)
    ways.append(Way(POLYLORE, polylore_way(lm, budget, engine), note=f"engine {engine.engine}"))
    return ways, engine


def _self_check(lm: LanguageModel, questions: Sequence[Question], budget: int) -> EngineReport:
    """The engine that `trace` would use; it is chosen once per model, so it is not timed."""
    prepared = prepare(lm, questions, bos=True)
    score_prepared(lm, prepared, token_budget=budget)
    if prepared.report is None:
        raise ModelError("The self-check said nothing, so there is no engine to measure.")
    return prepared.report


def _summary(
    way: Way, found: dict[str, Logprobs], seconds: dict[str, list[float]], questions: int
) -> dict[str, Any]:
    head = {"name": way.name, "batch": way.batch, "note": way.note}
    if way.run is None:
        keys = ("seconds", "candidates_per_second", "speedup", "speedup_lowest", "speedup_highest")
        return head | dict.fromkeys(keys) | {"largest_difference": None, "seconds_of_rounds": []}
    own = seconds[way.name]
    speedups = [a / b for a, b in zip(own, seconds[POLYLORE], strict=True)]
    median = statistics.median(own)
    return head | {
        "seconds": median,
        "candidates_per_second": questions * CANDIDATES / median,
        "speedup": statistics.median(speedups),
        "speedup_lowest": min(speedups),
        "speedup_highest": max(speedups),
        "largest_difference": _difference(found[way.name], found[ONE]),
        "seconds_of_rounds": own,
    }


def _difference(one: Logprobs, two: Logprobs) -> float:
    return max(
        abs(a - b)
        for row_a, row_b in zip(one, two, strict=True)
        for a, b in zip(row_a, row_b, strict=True)
    )
