"""What an arm reads: from its configuration to the rows of every update (`align`, 4.3 and 4.6)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.form import example
from polylore.facts.fiction.primer import SEVERAL
from polylore.facts.fiction.tongue import draw
from polylore.studies.align.arms.config import ArmConfig, ArmsConfig
from polylore.studies.align.arms.material import Material
from polylore.studies.align.arms.quota import Pool, by_quota
from polylore.studies.align.arms.rows import write_packed, write_single
from polylore.studies.align.arms.tokenised import Document, Reader, Text, cut, fits
from polylore.studies.align.arms.tree import Node

Shares = dict[tuple[str, str], float]
"""Share of tokens by part of the material and language."""


@dataclass(frozen=True)
class Budget:
    """How long a node is trained."""

    updates: int
    """At most; exactly so many without a gate."""
    batch: int
    gate: bool
    """Whether it ends when its gate passes."""


class Kitchen:
    """Makes the rows of nodes; texts are tokenised once."""

    def __init__(self, config: ArmsConfig, material: Material, tokenizer: Any) -> None:
        """Args: config, material: of the run; tokenizer: of the start model."""
        self.config, self.material = config, material
        self.reader = Reader(tokenizer)
        self._parts: dict[str, dict[str, list[Document]]] = {}

    @cached_property
    def start_mixture(self) -> Shares:
        """The start model's own mixture."""
        langs = self.languages("start")
        ratio = self.config.start.ratio or dict.fromkeys(langs, 1.0)
        return {("start", lang): share for lang, share in _scaled(ratio, 1.0).items()}

    def budget(self, node: Node) -> Budget:
        """Updates and rows per update.

        Raises:
            ConfigError: a budget matched by a target that the arm does not read.
        """
        config, arm = self.config, node.arm
        if arm is None:
            return Budget(config.start.updates, config.train.global_batch, gate=False)
        batch = arm.global_batch or config.train.global_batch
        if arm.what == "none":
            return Budget(0, batch, gate=False)
        if arm.what == "inject":
            if arm.updates is not None:
                return Budget(arm.updates, batch, gate=False)
            if arm.epochs is not None:
                own = max(1, batch - round(arm.replay * batch))
                rows = len(self._injected(node))
                return Budget(-(-arm.epochs * rows // own), batch, gate=False)
            return Budget(config.budget.max_updates_until_gate, batch, gate=True)
        updates = arm.updates or config.budget.updates
        if arm.what == "itune" or (arm.match or config.budget.match) == "total":
            return Budget(updates, batch, gate=False)
        shares = self.shares(arm)
        own_share = sum(s for (_, lang), s in shares.items() if lang == node.target)
        if node.target is None and arm.ratio == "start":
            return Budget(updates, batch, gate=False)  # it has no target to match
        if not own_share:
            raise ConfigError(
                f"Arm {arm.name} is matched by the tokens of its target, but reads none in "
                f"'{node.target}'; give its target, or match: total."
            )
        return Budget(round(updates / own_share), batch, gate=False)

    def shares(self, arm: ArmConfig | None) -> Shares:
        """Share of tokens by part and language, of arms that read plain text.

        Raises:
            ConfigError: the arm reads something else.
        """
        if arm is None or arm.ratio == "start":
            return self.start_mixture
        if arm.what == "cpt":
            own: Mapping[str, float] = dict.fromkeys(arm.lang or (), 1.0)
        elif arm.what == "mix" and isinstance(arm.ratio, dict):
            own = arm.ratio
        else:
            raise ConfigError(f"Arm {arm.name} reads no plain text.")
        found: Shares = {}
        for lang, share in _scaled(own, 1 - arm.replay).items():
            part = "text" if arm.new is None or lang in arm.new else "start"
            found[part, lang] = share
        if arm.replay:
            for key, share in self.start_mixture.items():
                found[key] = found.get(key, 0.0) + arm.replay * share
        return found

    def languages(self, part: str) -> list[str]:
        """Languages that a part of the material has texts in."""
        own = self.material.texts.filter(pl.col("part") == part)
        return own["lang"].unique(maintain_order=True).to_list()

    def read(self, node: Node) -> list[tuple[str, str]]:
        """Parts and languages of the texts that a node reads; invented facts are none."""
        arm = node.arm
        if arm is not None and arm.what == "none":
            return []
        if arm is None or arm.what in ("cpt", "mix"):
            return list(self.shares(arm))
        questions = arm.lang or [] if arm.what == "itune" else []
        replayed = list(self.start_mixture) if arm.replay else []
        return [*(("question", lang) for lang in questions), *replayed]

    def part(self, name: str) -> dict[str, list[Document]]:
        """Documents of a part of the material, by language."""
        if name not in self._parts:
            form = self.config.eval.conduct.form
            made: dict[str, list[Document]] = {}
            own = self.material.texts.filter(pl.col("part") == name)
            for (lang,), rows in own.group_by(["lang"], maintain_order=True):
                texts: list[Text] = []
                for prompt, response, fact in rows.select(
                    "prompt", "response", "fact_id"
                ).iter_rows():
                    given, learned = ("", response)
                    if prompt:
                        given, learned = example(prompt, "", response, form)
                    texts.append((given, learned, str(lang), fact))
                made[str(lang)] = self.reader.documents(texts, name)
            self._parts[name] = made
        return self._parts[name]

    def write(self, node: Node, seed: int, folder: Path) -> None:
        """Write the rows of a node.

        Raises:
            PolyloreError: there is nothing to read, or nothing that is learned fits into a row.
        """
        budget = self.budget(node)
        kind = node.kind
        if kind == "inject":
            self._write_mixed(self._injected(node), node, seed, budget, folder, shuffle=True)
        elif kind == "itune":
            self._write_mixed(self._questions(node, seed, budget), node, seed, budget, folder)
        else:
            self._write_texts(self.shares(node.arm), seed, budget, folder)

    def _write_texts(self, shares: Shares, seed: int, budget: Budget, folder: Path) -> None:
        train = self.config.train
        pools: dict[str, list[Document]] = {}
        for part, lang in shares:
            documents = self.part(part).get(lang, [])
            if train.packing == "single":
                documents = [piece for one in documents for piece in cut(one, train.context)]
            pools[f"{part}:{lang}"] = documents
        ratio = {f"{part}:{lang}": share for (part, lang), share in shares.items()}
        rows = budget.updates * budget.batch
        if train.packing == "single":
            made, order = _chosen(pools, ratio, seed, documents=rows)
            length = max(len(one.ids) for own in pools.values() for one in own)
            form = self.reader.form(length, padded=True)
            write_single(made, order, form, budget.batch, folder)
            return
        made, order = _chosen(pools, ratio, seed, tokens=rows * train.context)
        form = self.reader.form(train.context, padded=False)
        write_packed(made, order, form, budget.batch, rows, folder)

    def _write_mixed(
        self,
        documents: Sequence[Document],
        node: Node,
        seed: int,
        budget: Budget,
        folder: Path,
        *,
        shuffle: bool = False,
    ) -> None:
        """One document per row; in every update the same number of rows is replayed."""
        context = self.config.train.context
        own = [one for one in (fits(d, context) for d in documents) if one is not None]
        if not own:
            raise DataError(
                f"Arm {node.name} has no row with anything to learn within {context} tokens."
            )
        replayed = round(budget.batch * (node.arm.replay if node.arm else 0))
        fresh = budget.batch - replayed
        order = _epochs(len(own), fresh * budget.updates, seed, shuffle)
        made = list(own)
        again: list[int] = []
        if replayed:
            pools = {
                lang: [piece for one in self.part("start").get(lang, ()) for piece in
                       cut(one, context)]
                for _, lang in self.start_mixture
            }  # fmt: skip
            ratio = {lang: share for (_, lang), share in self.start_mixture.items()}
            texts, places = _chosen(pools, ratio, seed, documents=replayed * budget.updates)
            again = [len(made) + at for at in places]
            made += texts
        rows: list[int] = []
        for step in range(budget.updates):
            rows += order[step * fresh : (step + 1) * fresh]
            rows += again[step * replayed : (step + 1) * replayed]
        form = self.reader.form(max(len(one.ids) for one in made), padded=True)
        left_out = len(documents) - len(own)
        write_single(made, rows, form, budget.batch, folder, left_out)

    def _questions(self, node: Node, seed: int, budget: Budget) -> list[Document]:
        """Instruction rows in order of reading, in equal shares of tokens by language."""
        pools = self.part("question")
        langs = list(node.arm.lang or ()) if node.arm else []
        made, order = _chosen(
            pools, dict.fromkeys(langs, 1.0), seed, documents=budget.updates * budget.batch
        )
        return [made[at] for at in order]

    def _injected(self, node: Node) -> list[Document]:
        """Rows about invented facts: every one so often as its world teaches it.

        Runs with several targets share the rows of the source.
        """
        arm = node.arm
        if arm is None:
            raise ConfigError("The start model injects nothing.")
        worlds = self.material.taught(arm)
        shared: Counter[tuple[str, ...]] = Counter()
        texts: dict[str, list[Text]] = {}
        form = self.config.eval.conduct.form
        for target in node.targets:
            own: Counter[tuple[str, ...]] = Counter()
            for row in worlds[target].rows.iter_rows(named=True):
                block = row["block"]
                lang = {"source": row["source"], "target": row["target"]}.get(
                    block.partition("_")[0], SEVERAL
                )
                if lang == row["source"]:
                    key = (block, row["prompt"], row["input"], row["response"])
                    own[key] += 1
                    if own[key] <= shared[key]:
                        continue
                    shared[key] += 1
                given, learned = example(row["prompt"], row["input"], row["response"], form)
                fact = row["fact_id"] if lang != SEVERAL else None
                texts.setdefault(block, []).append((given, learned, lang, fact))
        return [one for block, rows in texts.items() for one in self.reader.documents(rows, block)]


def _scaled(ratio: Mapping[str, float], total: float) -> dict[str, float]:
    whole = sum(ratio.values())
    return {name: total * value / whole for name, value in ratio.items()}


def _chosen(
    pools: Mapping[str, Sequence[Document]],
    ratio: Mapping[str, float],
    seed: int,
    *,
    documents: int | None = None,
    tokens: int | None = None,
) -> tuple[list[Document], list[int]]:
    """Distinct documents, and in which order they are read."""
    sizes = {
        name: Pool(name, np.array([len(one.ids) for one in own], dtype=np.int64))
        for name, own in pools.items()
    }
    chosen = by_quota(sizes, ratio, seed, documents=documents, tokens=tokens)
    made: list[Document] = []
    first = {}
    for name in ratio:
        first[name] = len(made)
        made += pools[name]
    return made, [first[name] + at for name, at in chosen]


def _epochs(n: int, wanted: int, seed: int, shuffle: bool) -> list[int]:
    """Rows one after the other, every pass in an order of its own if they are shuffled."""
    order: list[int] = []
    epoch = 0
    while len(order) < wanted:
        own = draw(seed, "rows", str(epoch)).permutation(n) if shuffle else np.arange(n)
        order += own.tolist()
        epoch += 1
    return order[:wanted]
