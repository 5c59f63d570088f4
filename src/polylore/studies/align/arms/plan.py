"""What a run will cost, said before anything starts (specification of `align`, section 7)."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from polylore.errors import ConfigError
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.recipe import Kitchen
from polylore.studies.align.arms.sizes import Sizes, sizes_of
from polylore.studies.align.arms.tree import Node

ADAMW = 16
"""Bytes per trained weight: weight, gradient and two moments in float32."""
FROZEN = 4
"""Bytes per weight that is only read."""
ACTIVATIONS = 34
"""Bytes kept per token, block and unit of width for the backward pass."""
TIMED = 3
"""Updates timed of a model on this machine's CPU."""


@dataclass(frozen=True)
class Cost:
    """One training, per seed."""

    arm: str
    kind: str
    updates: int
    """At most; an injection may end when its gate passes."""
    tokens: int
    """At most."""
    trainable: int
    memory: int
    """Bytes on the device, estimated."""
    seconds: float | None
    """Estimated; None where it was not timed."""


@dataclass(frozen=True)
class Plan:
    """All trainings."""

    costs: tuple[Cost, ...]
    seeds: int
    jobs: int

    @property
    def memory(self) -> int:
        """Largest need of a single training."""
        return max((cost.memory for cost in self.costs), default=0)

    @property
    def seconds(self) -> float | None:
        """Estimated time of all of them, as they are run."""
        known = [cost.seconds for cost in self.costs]
        if None in known:
            return None
        return self.seeds * sum(s for s in known if s is not None) / self.jobs

    def lines(self) -> list[str]:
        """The plan in words."""
        made = [
            f"{self.seeds * len(self.costs)} trainings: {len(self.costs)} arms and stages with "
            f"{self.seeds} seeds each"
        ]
        for cost in self.costs:
            took = "" if cost.seconds is None else f", about {cost.seconds:.0f} s"
            made.append(
                f"  {cost.arm} ({cost.kind}): at most {cost.updates} updates, "
                f"{cost.tokens:,} tokens, {cost.trainable:,} weights trained, "
                f"{cost.memory / 2**20:,.0f} MiB{took}"
            )
        if self.seconds is not None:
            made.append(f"about {self.seconds / 60:.1f} minutes in all, questions not counted")
        return made


def make_plan(config: ArmsConfig, kitchen: Kitchen, nodes: Sequence[Node], start: Path) -> Plan:
    """Estimate memory and time of every training.

    Time is measured on three updates of the start model where it is small and trained on a CPU.

    Args:
        config, kitchen, nodes: the run.
        start: folder of the start model.

    Raises:
        PolyloreError: an arm that cannot be made.
    """
    context = config.train.context
    if config.train.packing == "single" and kitchen.material.primer is not None:
        lengths = [len(d.ids) for own in kitchen.part("start").values() for d in own]
        context = min(context, max(lengths))
    base = sizes_of(start, None)
    second = _seconds_per_token(start, base, context)
    costs = []
    for node in nodes:
        budget = kitchen.budget(node)
        sizes = base if node.arm is None else sizes_of(start, node.arm)
        rows = min(budget.batch, config.execution.per_device or budget.batch)
        tokens = budget.updates * budget.batch * context
        costs.append(
            Cost(
                arm=node.name,
                kind=node.kind,
                updates=budget.updates,
                tokens=tokens,
                trainable=sizes.trainable if budget.updates else 0,
                memory=_memory(sizes, rows * context),
                seconds=None if second is None else tokens * second,
            )
        )
    return Plan(tuple(costs), len(config.train.seeds), config.execution.jobs)


def _memory(sizes: Sizes, tokens: int) -> int:
    weights = ADAMW * sizes.trainable + FROZEN * (sizes.parameters - sizes.trainable)
    activations = tokens * sizes.hidden * sizes.depth * ACTIVATIONS
    logits = tokens * sizes.vocabulary * 8  # float32, and its gradient
    return weights + activations + logits


def _seconds_per_token(start: Path, sizes: Sizes, context: int) -> float | None:
    """Of forward and backward pass; None for models that are not trained on this CPU."""
    if torch.accelerator.is_available() or sizes.parameters > 20_000_000:
        return None
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(start))
        rows = torch.zeros((16, context), dtype=torch.long)
        optimizer = torch.optim.AdamW(model.parameters())
        took = []
        for _ in range(TIMED):
            begun = time.perf_counter()
            model(input_ids=rows, labels=rows).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            took.append(time.perf_counter() - begun)
    return min(took) / rows.numel()


def refuse_too_large(plan: Plan) -> None:
    """Refuse a plan that does not fit the device.

    Raises:
        ConfigError: an arm needs more memory than there is.
    """
    there = device_memory()
    needed = plan.memory * (plan.jobs if not torch.cuda.is_available() else 1)
    if there is not None and needed > there:
        raise ConfigError(
            f"The arms need about {needed / 2**30:.1f} GiB and there are {there / 2**30:.1f} GiB; "
            "set execution.per_device lower, use method: lora or several processes with "
            "execution.shard, or give --force."
        )


def device_memory() -> int | None:
    """Bytes of the accelerator's memory, or of the machine's; None if unknown."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
