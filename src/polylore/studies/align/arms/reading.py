"""Asking an arm while it is trained: gate and curve of an injection, sets at their times."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from polylore.models import LanguageModel, wrap
from polylore.runs import RunFolder
from polylore.studies.align.arms.asker import Asker
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.manifest import exposure_rows
from polylore.studies.align.arms.recipe import Budget
from polylore.studies.align.arms.rows import ArmRows
from polylore.studies.align.arms.tree import Node

CURVE = 20
"""An injection is asked so often until its cap: every 5 % of it (`align`, section 4.6)."""


def unit_name(run_id: str, step: int) -> str:
    """Unit of a model at a step."""
    return f"{run_id}/step-{step}"


def set_times(at: Sequence[int | str], updates: int) -> frozenset[int]:
    """Updates at which sets are asked; the state before the first is the model it goes on from."""
    found = {updates} if "end" in at else set()
    found |= {one for one in at if isinstance(one, int) and 0 < one <= updates}
    if "log" in at:
        found |= {step for k in range(10) for step in (10**k, 3 * 10**k) if step < updates}
    return frozenset(found)


def on_curve(node: Node, cap: int, t: int) -> bool:
    """Whether an injection is asked its facts after t updates."""
    return node.kind == "inject" and (t % max(1, cap // CURVE) == 0 or t == cap)


def steps_asked(config: ArmsConfig, node: Node, cap: int, made: int) -> list[int]:
    """Updates after which a model is read while it is trained.

    Args:
        config: of the run.
        node: the training.
        cap: its updates, at most.
        made: those that were made.
    """
    if config.execution.shard:
        return []
    times = set_times(config.eval.at, cap) | {cap}
    return [t for t in range(1, made + 1) if t in times or on_curve(node, cap, t)]


@dataclass
class ArmReader:
    """Reads a model in training into units of the run; ends an injection when its gate passes."""

    run: RunFolder
    asker: Asker
    node: Node
    seed: int
    budget: Budget
    rows: ArmRows
    before: Sequence[pl.DataFrame]
    """Documents of all that the training goes on from."""
    inherited: Collection[str]
    """Targets of injections before this one."""
    wrapped: LanguageModel | None = None

    def due(self, t: int) -> bool:
        """Whether the model is read after t updates."""
        return t in self._due

    @cached_property
    def _due(self) -> frozenset[int]:
        cap = self.budget.updates
        return frozenset(steps_asked(self.asker.config, self.node, cap, cap))

    @property
    def _times(self) -> frozenset[int]:
        return set_times(self.asker.config.eval.at, self.budget.updates) | {self.budget.updates}

    def resume(self, t: int) -> None:
        """Forget what was read later: an accelerator may not come to the same answers again."""
        for step in range(t + 1, self.budget.updates + 1):
            self.run.forget_unit(unit_name(self.node.run_id(self.seed), step))

    def read(self, moment: Any) -> bool:
        """Ask the model; True ends the training, because its gate has passed."""
        if not moment.main:
            return False
        if self.wrapped is None or self.wrapped.model is not moment.model:
            self.wrapped = wrap(moment.model, moment.tokenizer, self.node.run_id(self.seed))
        return self.ask(self.wrapped, moment.t)

    def ask(self, lm: LanguageModel, t: int, *, last: bool = False) -> bool:
        """Ask a model of the arm and write its unit.

        Args:
            lm: the model.
            t: its updates.
            last: whether it is known to be the last state.

        Returns:
            Whether an injection has passed its gate.
        """
        node, asker = self.node, self.asker
        parts: dict[str, pl.DataFrame] = {}
        passed = False
        if on_curve(node, self.budget.updates, t) or last:
            parts |= self._conduct(lm, t, node.targets)
            if self.budget.gate and parts:
                values: Mapping[str, float] = asker.gate(parts["fiction_answers"], node)
                passed = bool(values) and min(values.values()) >= asker.config.eval.gate
        last = last or passed or t == self.budget.updates
        if last or t in self._times:
            run_id = node.run_id(self.seed)
            parts |= asker.sets(lm, run_id, t)
            parts["align_loss"] = asker.losses(lm, node, self.seed, t)
            read = [*self.before, self.rows.until(t)] if t else self.before
            parts["align_exposure"] = exposure_rows(read, run_id, t)
        if last:
            others = [target for target in self.inherited if target not in node.targets]
            found = self._conduct(lm, t, others).get("fiction_answers")
            if found is not None:
                own = parts.get("fiction_answers")
                parts["fiction_answers"] = found if own is None else pl.concat([own, found])
        self.run.write_unit(unit_name(node.run_id(self.seed), t), parts)
        return passed

    def _conduct(
        self, lm: LanguageModel, t: int, targets: Sequence[str]
    ) -> dict[str, pl.DataFrame]:
        if not targets:
            return {}
        return {"fiction_answers": self.asker.conduct(lm, self.node, self.seed, t, targets)}
