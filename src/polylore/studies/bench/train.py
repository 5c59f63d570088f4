"""`polylore bench train`: tokens per second of tiny runs beside a bare PyTorch loop.

The bare loop is forward, backward and step of the standard class and nothing else: its batches lie
ready in memory, there is no clipping and no schedule, logits are made at the answer only and AdamW
is the fused one. polylore's loop does all that a run needs: it draws batches, clips, follows the
schedule and keeps the losses. All ways run in one process with the same threads and take turns.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from polylore.models.engines import Progress
from polylore.studies.bench.config import TrainBenchConfig
from polylore.studies.bench.processes import side_by_side
from polylore.studies.bench.timing import measure
from polylore.training import machine
from polylore.training.tiny.config import RECIPES, Recipe, rate_share
from polylore.training.tiny.loop import Job, Runs
from polylore.training.tiny.sizes import Sizes, new_llama
from polylore.training.tiny.stream import Ints

BARE, WRITTEN, POLYLORE, STACKED = (
    "bare forward, backward, step",
    "the recipe as one writes it down",
    "polylore, one run",
    "polylore, stacked runs",
)
Train = Callable[[int], list[float]]
"""Makes so many updates; returns the loss of each in nats."""


@dataclass(frozen=True)
class Drawn:
    """A batch."""

    tokens: Ints


class Rows:
    """A stream of random rows, drawn anew for every step, as a world draws its presentations."""

    def __init__(self, vocabulary: int, length: int, batch_size: int) -> None:
        self._batch_size = batch_size
        shape = (8 * batch_size, length)
        self._all = np.random.default_rng(0).integers(vocabulary, size=shape)

    def batch(self, step: int) -> Drawn:
        """The batch of a step."""
        order = np.random.default_rng(step).permutation(len(self._all))
        return Drawn(self._all[order[: self._batch_size]])


def bench_train(config: TrainBenchConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Time every way of training, and one process against two.

    Returns:
        The settings, the parameters, and the `ways`: tokens per second (median over rounds), as a
        multiple of the bare loop's (`ratio`, median, lowest and highest over rounds), and the
        largest difference in loss from the recipe as one writes it down, over the first updates
        (`largest_difference`; null for the bare loop, which is another recipe). `two_processes` is
        how many times as many tokens two processes train as one does in the same time.
    """
    if config.device == "cpu":
        machine.keep_large_blocks()
    with machine.threads(config.threads):
        apart = _differences(config)
        runs = {name: make(config) for name, make in _WAYS.items()}
        for train in runs.values():
            train(2)  # loads code and fills caches
        _, seconds = measure(runs, config.steps, config.rounds, "timing", progress)
    recipe = RECIPES[config.recipe]
    tokens = config.steps * recipe.batch_size * config.tokens
    bare = seconds[BARE]
    ways = []
    for name, own in seconds.items():
        many = config.stack if name == STACKED else 1
        ratios = [many * a / b for a, b in zip(bare, own, strict=True)]
        ways.append(
            {
                "name": name,
                "runs": many,
                "tokens_per_second": many * tokens / statistics.median(own),
                "ratio": statistics.median(ratios),
                "ratio_lowest": min(ratios),
                "ratio_highest": max(ratios),
                "largest_difference": apart.get(name),
                "seconds_of_rounds": own,
            }
        )
    parameters = Sizes.of(recipe, config.vocabulary).parameters
    return {
        **config.plain(),
        "parameters": parameters,
        "ways": ways,
        **_processes(config, progress),
    }


def bare_loop(config: TrainBenchConfig) -> Train:
    """Forward, backward and step on batches that lie ready, as quick as PyTorch alone is."""
    recipe = RECIPES[config.recipe]
    model: Any = new_llama(Sizes.of(recipe, config.vocabulary), 0).to(config.device)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, fused=True)
    stream = _stream(config, recipe)
    ready = [torch.from_numpy(stream.batch(k + 1).tokens).to(config.device) for k in range(16)]

    def train(steps: int) -> list[float]:
        losses = []
        for step in range(steps):
            ids = ready[step % len(ready)]
            loss: Any = _loss(model, ids, recipe)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        return torch.stack(losses).tolist()

    return train


def written_loop(config: TrainBenchConfig) -> Train:
    """The whole recipe in the plainest words: what one would write without polylore."""
    recipe = RECIPES[config.recipe]
    model: Any = new_llama(Sizes.of(recipe, config.vocabulary), 0).to(config.device)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    betas = (recipe.beta1, recipe.beta2)
    optimizer = torch.optim.AdamW(groups, betas=betas, weight_decay=recipe.weight_decay)
    stream, done = _stream(config, recipe), 0

    def train(steps: int) -> list[float]:
        nonlocal done
        losses = []
        for _ in range(steps):
            done += 1
            ids = torch.from_numpy(stream.batch(done).tokens).to(config.device)
            loss: Any = _loss(model, ids, recipe)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * rate_share(done, recipe)
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train


def _polylore(config: TrainBenchConfig, many: int) -> Train:
    recipe = RECIPES[config.recipe]
    jobs = [Job(_stream(config, recipe), run) for run in range(many)]
    runs = Runs(recipe, jobs, Sizes.of(recipe, config.vocabulary), 1, config.device)

    def train(steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            losses.append(runs.update()[0])
        return torch.stack(losses).tolist()

    return train


_WAYS: dict[str, Callable[[TrainBenchConfig], Train]] = {
    BARE: bare_loop,
    WRITTEN: written_loop,
    POLYLORE: lambda config: _polylore(config, 1),
    STACKED: lambda config: _polylore(config, config.stack),
}


def _stream(config: TrainBenchConfig, recipe: Recipe) -> Rows:
    return Rows(config.vocabulary, config.tokens, recipe.batch_size)


def _loss(model: Any, ids: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Mean cross-entropy in nats; logits are made where the recipe's objective needs them."""
    kept = 1 if recipe.objective == "answer_only" else ids.shape[1] - 1
    half = recipe.precision == "bfloat16"
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=half):
        logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=kept).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, -kept:].flatten())


def _differences(config: TrainBenchConfig) -> dict[str, float]:
    """Largest difference in loss from the recipe as written, over the first updates."""
    expected = np.array(written_loop(config)(config.steps))
    return {
        name: float(np.abs(np.array(_WAYS[name](config)(config.steps)) - expected).max())
        for name in (WRITTEN, POLYLORE, STACKED)
    }


def _processes(config: TrainBenchConfig, progress: Progress | None) -> dict[str, Any]:
    """Two processes against one, each with its own run."""
    ratios = []
    for turn in range(config.rounds):
        if progress:
            progress(turn, config.rounds, "processes")
        one, _ = side_by_side(_worker, [(config,)])
        two, _ = side_by_side(_worker, [(config,)] * 2)
        ratios.append(2 * one / two)
    if progress:
        progress(config.rounds, config.rounds, "processes")
    return {
        "two_processes": statistics.median(ratios),
        "two_processes_lowest": min(ratios),
        "two_processes_highest": max(ratios),
    }


def _worker(ready: Callable[[], None], config: TrainBenchConfig) -> float:
    machine.keep_large_blocks()
    with machine.threads(config.threads):
        train = _polylore(config, 1)
        train(2)
        ready()
        start = time.perf_counter()
        train(config.steps)
        return time.perf_counter() - start
