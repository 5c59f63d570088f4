"""`polylore bench inject`: what injection adds to a training step.

The same updates are made from a stream as it is and from one with passages, in one process and in
turn; and all that injection itself does in a step (putting passages into the rows, labels and
weights, and the guard that looks at which rows were read) is timed alone.
"""

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from polylore.corpus.injection import Guard, Injector, RowFormat
from polylore.models.engines import Progress
from polylore.studies.bench.config import InjectBenchConfig, Size
from polylore.studies.bench.timing import measure
from polylore.studies.bench.workload import make_model
from polylore.tables.inject import PLAN
from polylore.training import machine
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.processes import Processes
from polylore.training.continued.settings import Settings
from polylore.training.continued.streams import Injected, PackedRows, RowStream
from polylore.training.continued.update import Updater

PLAIN, INJECTED, WEIGHTED, ALONE = (
    "step without injection",
    "step with injection",
    "step with injection and weights",
    "injection alone",
)
Way = Callable[[int], None]
"""Does so many steps."""


def bench_inject(config: InjectBenchConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Time a training step with and without injection, and injection alone.

    Returns:
        The settings, the parameters, the rows with a passage, and the `ways`: milliseconds per
        step (median over rounds) and the share of the step without injection (`ratio`, taken round
        by round; median, lowest and highest).
    """
    machine.keep_large_blocks()
    processes = Processes(shard=False)
    with machine.threads(config.threads):
        plain = _rows(config)
        weighted = Injected(plain, _injector(config, 0.5))
        injected = Injected(plain, _injector(config, 1.0))
        ways: dict[str, Way] = {
            PLAIN: _training(config, plain, processes),
            INJECTED: _training(config, injected, processes),
            WEIGHTED: _training(config, weighted, processes),
            ALONE: _alone(plain, injected.injector),
        }
        for way in ways.values():
            way(2)  # loads code and fills caches
        _, seconds = measure(ways, config.steps, config.rounds, "timing", progress)
    found = []
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own, seconds[PLAIN], strict=True)]
        found.append(
            {
                "name": name,
                "milliseconds": 1000 * statistics.median(own) / config.steps,
                "ratio": statistics.median(ratios),
                "ratio_lowest": min(ratios),
                "ratio_highest": max(ratios),
            }
        )
    return {
        **config.plain(),
        "parameters": _parameters(config),
        "injected_rows": _carriers(config),
        "device": processes.device.type,
        "ways": found,
    }


def _size(config: InjectBenchConfig) -> Size:
    heads = 4
    return Size(config.width, 3 * config.width, config.layers, heads, heads, config.vocabulary)


def _parameters(config: InjectBenchConfig) -> int:
    model = make_model("bench", _size(config), "float32", "cpu").model
    return sum(weight.numel() for weight in model.parameters())


def _carriers(config: InjectBenchConfig) -> int:
    return max(1, math.floor(config.share * config.batch))


def _rows(config: InjectBenchConfig) -> PackedRows:
    rng = np.random.default_rng(0)
    shape = (config.steps * config.batch, config.length)
    rows = rng.integers(2, config.vocabulary, size=shape)
    rows[:, ::16] = 0  # documents of fifteen tokens
    return PackedRows(rows, config.batch, RowFormat(config.length, eos=0))


def _injector(config: InjectBenchConfig, weight: float) -> Injector:
    """Passages of half a row, at every step in as many rows as the share says."""
    length = config.length // 2
    tokens = {"passage": np.arange(2, 2 + length, dtype=np.int64) % config.vocabulary}
    places = [
        {
            "step": step,
            "row": row,
            "slot": 0,
            "item_id": "item",
            "passage_id": "passage",
            "lang": "en",
            "exposure": step,
            "arm": "duplication",
            "mode": "prepend",
            "n_tokens": length,
            "offset": 0,
            "loss_weight": weight,
        }
        for step in range(config.steps)
        for row in range(_carriers(config))
    ]
    form = RowFormat(config.length, eos=0)
    return Injector(PLAN.build(places), tokens, form, config.batch, allow_dose=True)


def _training(config: InjectBenchConfig, stream: RowStream, processes: Processes) -> Way:
    model = make_model("bench", _size(config), "float32", "cpu").model.train()
    call = processes.place(model)
    settings = Settings(
        mode="fresh",
        made=0,
        learning_rate=1e-4,
        beta1=0.9,
        beta2=0.95,
        eps=1e-8,
        weight_decay=0.1,
        clip=1.0,
        dtype="float32",
        threads=config.threads,
    )
    updater = Updater(model, call, stream, settings, processes, ContinueConfig())

    def train(steps: int) -> None:
        for step in range(steps):
            updater.update(step, 1e-4)

    return train


def _alone(plain: PackedRows, injector: Injector) -> Way:
    """All that a step of injection does, on rows that lie ready."""
    numbers = np.arange(plain.batch_size)
    ready = [plain.rows(step, numbers).tokens for step in range(plain.steps or 0)]
    guard = Guard(plain.batch_size)

    def inject(steps: int) -> None:
        for step in range(steps):
            found = injector.rows(step, numbers, ready[step])
            guard.see(step, [found.step] * len(numbers), found.rows.tolist())
            guard.check(step, guard.sums)

    return inject
