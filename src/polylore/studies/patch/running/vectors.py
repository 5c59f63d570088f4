"""Concept vectors of one checkpoint: states are read once, and means made of them.

States are read family by family: all source prompts of the plan in one language pair and role,
together. So what stands in a batch never depends on which units are still to be done, and a run
that was interrupted finds the same numbers to the last bit.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
import torch

from polylore.models import LanguageModel
from polylore.models.patching import (
    Blocks,
    RunningMean,
    concept_states,
    gaussian,
    mean_of,
)
from polylore.studies.patch.planning.plan import PatchPlan

Row = Mapping[str, Any]


class Family(NamedTuple):
    """Source prompts that are read together."""

    place: str
    """object: the state at the object's last tokens; end: at the last token of the prompt."""
    lang_a: str
    lang_b: str
    role: str


class Key(NamedTuple):
    """What a mean is made of."""

    place: str
    source_ids: tuple[str, ...]
    weights: tuple[float, ...] | None
    tokens: int


def place_of(intervention: str) -> str:
    """Where the states for an intervention are read."""
    return "end" if intervention.startswith("last_token") else "object"


class Sources:
    """All source prompts of a plan, by family."""

    def __init__(self, plan: PatchPlan) -> None:
        patched = plan.items.filter(pl.col("k") > 0)
        used = patched.select("intervention", "source_ids").explode("source_ids").unique()
        wanted = {(place_of(how), prompt) for how, prompt in used.iter_rows()}
        self.families: dict[Family, list[tuple[str, list[int]]]] = defaultdict(list)
        self.family_of: dict[tuple[str, str], Family] = {}
        columns = ("prompt_id", "lang_a", "lang_b", "role", "token_ids", "o", "n_object_tokens")
        rows = plan.prompts.sort("prompt_id").select(columns)
        for place in ("end", "object"):
            for prompt, a, b, role, ids, o, _ in rows.iter_rows():
                if (place, prompt) in wanted:
                    family = Family(place, a, b, role)
                    self.families[family].append((prompt, ids if place == "end" else ids[: o + 1]))
                    self.family_of[place, prompt] = family
        spans = patched.filter(pl.col("intervention").str.starts_with("span")).height
        longest = plan.prompts["n_object_tokens"].max()
        self.tokens = int(longest) if spans and longest else 1  # type: ignore[arg-type]
        """Last tokens of the object that are kept."""


class States:
    """States of one checkpoint; families are kept as long as they fit into the room."""

    def __init__(
        self, lm: LanguageModel, blocks: Blocks, sources: Sources, tokens: int, room: float
    ) -> None:
        self.lm, self.blocks, self.sources = lm, blocks, sources
        self._budget, self._room = tokens, room
        self._kept: dict[Family, dict[str, torch.Tensor]] = {}

    def family(self, family: Family) -> dict[str, torch.Tensor]:
        """States (L + 1, M, D) of its prompts by prompt_id, longest prompts first."""
        if family in self._kept:
            return self._kept[family]
        members = self.sources.families[family]
        tokens = self.sources.tokens if family.place == "object" else 1
        found = {
            members[number][0]: state
            for number, state in concept_states(
                self.lm,
                self.blocks,
                [ids for _, ids in members],
                tokens=tokens,
                token_budget=self._budget,
            )
        }
        size = sum(state.numel() * state.element_size() for state in found.values())
        if size <= self._room:
            self._room -= size
            self._kept[family] = found
        return found


class Vectors:
    """What is written into the prompts of some items."""

    def __init__(self, items: Sequence[Row], tokens: Sequence[int], states: States, seed: int):
        """Read what the items need.

        Args:
            items: rows of ITEMS in which something is patched.
            tokens: of each, how many tokens are overwritten.
            states: states of the checkpoint.
            seed: seed of noise.
        """
        self._seed = seed
        self._means: dict[Key, RunningMean] = {}
        self._grand: dict[tuple[str, int], list[Key]] = defaultdict(list)
        wanted: dict[tuple[str, str], list[tuple[Key, float]]] = defaultdict(list)
        for item, many in zip(items, tokens, strict=True):
            key = _key(item, many)
            if item["vector"] == "grand_mean":
                self._grand[key.place, many].append(key)
            if key in self._means:
                continue
            self._means[key] = RunningMean()
            for n, source in enumerate(key.source_ids):
                weight = 1.0 if key.weights is None else key.weights[n] * len(key.source_ids)
                wanted[key.place, source].append((key, weight))
        for family in sorted({states.sources.family_of[one] for one in wanted}):
            for prompt, state in states.family(family).items():
                for key, weight in wanted.get((family.place, prompt), ()):
                    own = state[:, -key.tokens :]
                    self._means[key].add(own if weight == 1.0 else own * weight)
        self._grand_means = {
            where: mean_of([self._means[key].mean() for key in keys])
            for where, keys in self._grand.items()
        }
        self._made: dict[Key, torch.Tensor] = {}

    def of(self, item: Row, many: int) -> torch.Tensor:
        """The vector of an item, (L + 1, M, D)."""
        key = _key(item, many)
        if item["vector"] == "grand_mean":
            return self._grand_means[key.place, many]
        if item["vector"] == "norm_matched":
            return self._means[key].norm_matched()
        if key not in self._made:
            self._made[key] = self._means[key].mean()
        if item["vector"] == "gauss":
            return gaussian(self._made[key], noise_seed(self._seed, item))
        return self._made[key]


def _key(item: Row, tokens: int) -> Key:
    weights = None if item["weights"] is None else tuple(item["weights"])
    return Key(place_of(item["intervention"]), tuple(item["source_ids"]), weights, tokens)


def noise_seed(seed: int, item: Row) -> int:
    """A seed that depends on the item alone, never on the order of work."""
    name = "\x1f".join((str(seed), item["pair_id"], item["lang_a"], item["lang_b"]))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
