"""`polylore bench patch`: a sweep over all onsets, beside plain hooks and nnsight.

A sweep is the clean run and the patch from every onset on, -1 (the input of the first block) to the
last layer. All ways run in one process with the same threads, take turns (see
`polylore.studies.bench.timing`) and must find the same log-probabilities.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from polylore.models import EngineReport, LanguageModel
from polylore.models.engines import Progress
from polylore.models.forward import evaluation
from polylore.models.patching import Blocks, PatchPrompt, choose, find_blocks
from polylore.models.patching.extract import states_at
from polylore.studies.bench import sweeps
from polylore.studies.bench.config import SIZES, PatchBenchConfig
from polylore.studies.bench.sweeps import Run, Work
from polylore.studies.bench.timing import best_batch, measure
from polylore.studies.bench.workload import make_model

BATCHES = {"cpu": (1, 2, 4)}
BATCHES_ELSEWHERE = (4, 16, 64)
"""Batch sizes tried; the quickest is taken."""
PLAIN, FRUGAL, NNSIGHT, SUFFIX, POLYLORE = (
    "plain hooks, one forward per onset",
    "the same, last logits only",
    "nnsight, one trace per onset",
    "polylore, engine suffix",
    "polylore",
)


def bench_patch(config: PatchBenchConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Time each way on one sweep.

    Returns:
        The settings, parameters and layers of the model, the `engine` that polylore chose and why,
        and the `ways`: median seconds, forward passes they stand for per second, how many times
        faster polylore is (`speedup`, median over rounds, with lowest and highest), and the largest
        difference in log-probability from plain hooks. Numbers of a way that is not installed are
        null.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        lm = make_model(config.size, SIZES[config.size], config.dtype, config.device)
        blocks = find_blocks(lm.model)
        work = make_work(config, lm, blocks)
        engine = _chosen(lm, blocks, work)
        tried = BATCHES.get(lm.device.type, BATCHES_ELSEWHERE)
        sizes = [rows for rows in tried if rows <= config.prompts] or [config.prompts]
        makers = _makers(lm, blocks, engine.engine)
        batches = {name: _batch(make, work, sizes, name) for name, make in makers.items()}
        runs = {name: makers[name](batches[name]) for name in makers}
        found, seconds = measure(runs, work, config.rounds, f"timing, {config.size}", progress)
    finally:
        torch.set_num_threads(before)
    ways = [_summary(name, batches[name], found, seconds) for name in runs]
    if NNSIGHT not in runs:
        ways.insert(2, _absent())
    return {
        **config.plain(),
        "parameters": lm.model.num_parameters(),
        "layers": len(blocks),
        "forwards": config.prompts * (1 + len(work.onsets)),
        "engine": engine.engine,
        "engine_reason": engine.reason,
        "ways": ways,
    }


def make_work(config: PatchBenchConfig, lm: LanguageModel, blocks: Blocks) -> Work:
    """Prompts of random tokens; the vectors are states of other such prompts at the same place."""
    draw = torch.Generator().manual_seed(0)
    shape = (2 * config.prompts, config.tokens)
    ids_MT = torch.randint(4, SIZES[config.size].vocabulary, shape, generator=draw)
    ids_NT, sources_NT = ids_MT.to(lm.device).chunk(2)
    place = config.tokens - 1 - config.suffix
    with evaluation(lm.model):
        strings = sources_NT[:, : place + 1].tolist()
        states_LNMD = states_at(lm.model, blocks, strings, [place] * config.prompts, 1)
    return Work(ids_NT, place, states_LNMD[:, :, 0], range(-1, len(blocks)))


def _makers(lm: LanguageModel, blocks: Blocks, engine: str) -> dict[str, Callable[[int], Run]]:
    """Every way, as a function of its batch size."""
    model = lm.model
    makers: dict[str, Callable[[int], Run]] = {
        PLAIN: lambda rows: sweeps.plain_hooks(model, blocks.modules, rows),
        FRUGAL: lambda rows: sweeps.engine_sweep(lm, blocks, "hooks", rows),
    }
    if sweeps.has_nnsight():
        makers[NNSIGHT] = lambda rows: sweeps.nnsight_traces(model, rows)
    makers[SUFFIX] = lambda rows: sweeps.engine_sweep(lm, blocks, "suffix", rows)
    makers[POLYLORE] = lambda rows: sweeps.engine_sweep(lm, blocks, engine, rows)
    return makers


def _chosen(lm: LanguageModel, blocks: Blocks, work: Work) -> EngineReport:
    """The engine that `patch` would use; it is chosen once per model, so it is not timed."""
    prompts = [PatchPrompt(tuple(row), work.place, work.place) for row in work.ids_NT.tolist()]
    vectors = [work.vectors_LND[:, k, None] for k in range(len(prompts))]
    return choose(lm, blocks, prompts, vectors)


def _batch(make: Callable[[int], Run], work: Work, sizes: Sequence[int], name: str) -> int:
    """The quickest batch size, on one onset where every onset costs the same."""
    onsets = len(work.onsets) if name in (SUFFIX, POLYLORE) else 1
    return best_batch(make, work.part(max(sizes), onsets), work.part(1, 1), sizes)


def _summary(
    name: str, batch: int, found: dict[str, torch.Tensor], seconds: dict[str, list[float]]
) -> dict[str, Any]:
    own = seconds[name]
    speedups = [a / b for a, b in zip(own, seconds[POLYLORE], strict=True)]
    logprobs, plain = (found[key].double().log_softmax(-1) for key in (name, PLAIN))
    return {
        "name": name,
        "batch": batch,
        "seconds": statistics.median(own),
        "speedup": statistics.median(speedups),
        "speedup_lowest": min(speedups),
        "speedup_highest": max(speedups),
        "largest_difference": float((logprobs - plain).abs().max()),
        "seconds_of_rounds": own,
        "note": "",
    }


def _absent() -> dict[str, Any]:
    keys = ("batch", "seconds", "speedup", "speedup_lowest", "speedup_highest")
    empty = dict.fromkeys((*keys, "largest_difference"))
    note = f"not installed: {sweeps.NNSIGHT}"
    return {"name": NNSIGHT, **empty, "seconds_of_rounds": [], "note": note}
