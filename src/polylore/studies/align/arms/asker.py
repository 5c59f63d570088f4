"""What a model of an arm is asked at one moment: sets, invented facts, held-out text; raw rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from polylore.metrics.align.gates import gates
from polylore.models import LanguageModel
from polylore.models.forward import evaluation
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.material import Material
from polylore.studies.align.arms.recipe import Kitchen
from polylore.studies.align.arms.shuffled import told_facts
from polylore.studies.align.arms.tokenised import Document
from polylore.studies.align.arms.tree import Node, name_without_target
from polylore.studies.align.asking.sheet import Sheet, sheet_of
from polylore.studies.align.conducting.score import taught
from polylore.studies.align.conducting.sheet import ConductSheet
from polylore.studies.trace.config import ExecutionConfig
from polylore.tables.arms import HELD_OUT_LOSS

Row = dict[str, Any]
ROWS_AT_ONCE = 256
"""Rows of held-out text per forward pass."""


class Asker:
    """Asks models of one run; prompts are tokenised once."""

    def __init__(self, config: ArmsConfig, material: Material, kitchen: Kitchen) -> None:
        """Args: config, material: of the run; kitchen: its tokenised texts."""
        self.config, self.material, self.kitchen = config, material, kitchen
        self._sheets: list[Sheet] | None = None
        self._conduct: dict[str, ConductSheet] = {}

    def sets(self, lm: LanguageModel, run_id: str, step: int) -> dict[str, pl.DataFrame]:
        """Answers to all sets: align_answers, align_option_scores, align_tokens."""
        system = {"model": run_id, "step": step}
        execution = ExecutionConfig(device=lm.device.type)
        parts: dict[str, list[pl.DataFrame]] = {}
        for sheet in self._all_sheets():
            for name, frame in sheet.ask(lm, system, execution).items():
                parts.setdefault(name, []).append(frame)
        return {name: pl.concat(frames) for name, frames in parts.items()}

    def _all_sheets(self) -> list[Sheet]:
        if self._sheets is None:
            sets, prompts = self.material.sets, self.material.prompts
            self._sheets = []
            if sets is not None and prompts is not None:
                pairs = prompts.select("dataset", "lang").unique(maintain_order=True)
                self._sheets = [
                    sheet_of(sets.questions, prompts, dataset, lang, self.config.eval.ask)
                    for dataset, lang in pairs.iter_rows()
                ]
        return self._sheets

    def losses(self, lm: LanguageModel, node: Node, seed: int, step: int) -> pl.DataFrame:
        """Mean loss per token of held-out text, by language; table HELD_OUT_LOSS."""
        rows = []
        for lang, documents in self.kitchen.part("heldout").items():
            kept = [one for one in documents if len(one.ids) <= lm.context]
            if kept:
                total, n = _loss(lm, kept)
                rows.append(
                    {"run_id": node.run_id(seed), "arm": node.name, "seed": seed, "step": step,
                     "lang": lang, "tokens": n, "loss": total / n}
                )  # fmt: skip
        return HELD_OUT_LOSS.build(rows)

    def conduct(
        self, lm: LanguageModel, node: Node, seed: int, step: int, targets: Sequence[str]
    ) -> pl.DataFrame:
        """Answers about invented facts of some targets; table FICTION_ANSWERS."""
        run = {
            "run_id": node.run_id(seed),
            "arm": name_without_target(node.name, node.targets),
            "seed": seed,
            "step": step,
            "design": node.arm.design if node.arm else "pair",
        }
        return pl.concat([self._sheet(target).ask(lm, run) for target in targets])

    def _sheet(self, target: str) -> ConductSheet:
        if target not in self._conduct:
            # Tests and facts are the same however a world is taught.
            world = self.material.worlds[target]
            self._conduct[target] = ConductSheet(world, self.config.eval.conduct)
        return self._conduct[target]

    def languages(self) -> list[str]:
        """Languages that sets are asked in."""
        prompts = self.material.prompts
        return [] if prompts is None else prompts["lang"].unique(maintain_order=True).to_list()

    def components(self, node: Node) -> list[str]:
        """Components of the gate that an injection trains."""
        if node.arm is None or node.kind != "inject":
            return []
        worlds = self.material.taught(node.arm)
        found = {one: None for target in node.targets for one in taught(worlds[target])}
        return list(found)

    def gate(self, answers: pl.DataFrame, node: Node) -> dict[str, float]:
        """Share right of every trained component, the lowest over targets.

        What counts as right is what was taught, also where the answers were shuffled.
        """
        found: dict[str, float] = {}
        worlds = self.material.taught(node.arm) if node.arm else {}
        for target in node.targets:
            own = answers.filter(pl.col("target") == target)
            table = gates(own, told_facts(worlds[target]))
            for component in taught(worlds[target]):
                value = table.filter(pl.col("component") == component)["value"][0]
                if value is not None:
                    found[component] = min(value, found.get(component, 1.0))
        return found


def _loss(lm: LanguageModel, documents: Sequence[Document]) -> tuple[float, int]:
    """Sum of the losses of all learned tokens, and their number."""
    total, n = 0.0, 0
    ordered = sorted(documents, key=lambda one: len(one.ids))
    with evaluation(lm.model):
        for at in range(0, len(ordered), ROWS_AT_ONCE):
            batch = ordered[at : at + ROWS_AT_ONCE]
            width = max(len(one.ids) for one in batch)
            tokens = np.zeros((len(batch), width), dtype=np.int64)
            labels = np.full((len(batch), width), -100, dtype=np.int64)
            for row, one in enumerate(batch):
                tokens[row, : len(one.ids)] = one.ids
                labels[row, one.start : len(one.ids)] = one.ids[one.start :]
            rows = torch.from_numpy(tokens).to(lm.device)
            # Padding stands behind everything, where no earlier token sees it.
            logits = lm.model(input_ids=rows, use_cache=False).logits[:, :-1].float()
            wanted = torch.from_numpy(labels[:, 1:]).to(lm.device)
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
            )
            total += float(loss)
            n += int((labels[:, 1:] != -100).sum())
    return total, n
