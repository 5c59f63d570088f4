"""What is run, spelled out for every pair of concepts, and which answers count."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylore.studies.patch.config import PlanConfig
from polylore.studies.patch.planning.conditions import Condition
from polylore.studies.patch.planning.filters import Filters
from polylore.studies.patch.planning.pairs import ConceptPair, strangers
from polylore.studies.patch.planning.settings import Pair
from polylore.studies.patch.planning.tokens import Located
from polylore.studies.patch.planning.writing import PromptKey
from polylore.tables.patch import CELLS, ITEMS, PAIRS


class Work:
    """Conditions spelled out for every pair of concepts."""

    def __init__(
        self,
        plan: PlanConfig,
        pairs: Sequence[ConceptPair],
        filters: Filters,
        random: Mapping[str, str],
    ) -> None:
        self.plan, self.pairs, self.filters, self.random = plan, pairs, filters, random
        self.strangers = {p.pair_id: strangers(pairs, p, plan.seed) for p in pairs}

    def pair_table(self) -> pl.DataFrame:
        """The contract PAIRS."""
        return PAIRS.build(
            [
                {
                    "pair_id": pair.pair_id,
                    "fact_id": pair.source,
                    "fact_id_target": pair.target,
                    "source_shots": list(pair.source_shots),
                    "target_shots": list(pair.target_shots),
                    "random_pair_id": self.random.get(pair.pair_id),
                }
                for pair in self.pairs
            ]
        )

    def left_out(self, wanted: Mapping[Pair, Sequence[Condition]]) -> int:
        """Items that have no random concept, or no strangers, and are left out for that."""
        return sum(
            not self._members(one, pair, a, b)
            for (a, b), found in wanted.items()
            for one in found
            if one.sources
            for pair in self.pairs
        )

    def keys(self, found: Sequence[Condition], a: str, b: str) -> set[PromptKey]:
        """Prompts that a language pair needs."""
        return {
            key
            for one in found
            for pair in self.pairs
            for key in (PromptKey(pair.pair_id, one.run, a, b), *self._members(one, pair, a, b))
        }

    def _members(self, one: Condition, pair: ConceptPair, a: str, b: str) -> list[PromptKey]:
        """Prompts whose states make the vector; empty if nothing is patched or none is found."""
        if one.of == "random":
            stand_in = self.random.get(pair.pair_id)
            if stand_in is None:
                return []
            return [PromptKey(stand_in, "source", x, y) for x, y in one.sources]
        if one.of == "strangers":
            others = self.strangers[pair.pair_id]
            return [
                PromptKey(others[n % len(others)].pair_id, "source", x, y)
                for n, (x, y) in enumerate(one.sources if others else ())
            ]
        return [PromptKey(pair.pair_id, one.of, x, y) for x, y in one.sources]

    def item_table(
        self,
        wanted: Mapping[Pair, Sequence[Condition]],
        located: Mapping[PromptKey, Located],
    ) -> pl.DataFrame:
        """The contract ITEMS."""
        return ITEMS.build(
            [row for (a, b), found in wanted.items() for row in self._items(found, a, b, located)]
        )

    def _items(
        self,
        found: Sequence[Condition],
        a: str,
        b: str,
        located: Mapping[PromptKey, Located],
    ) -> list[dict[str, Any]]:
        apart = {p.pair_id: self.filters.separable(p.source, p.target, a, b) for p in self.pairs}
        rows = []
        for one in found:
            for pair in self.pairs:
                run = PromptKey(pair.pair_id, one.run, a, b)
                members = self._members(one, pair, a, b)
                if one.sources and not members:
                    continue
                if one.setting.startswith("full_replace") and not _single(pair, a, b, located):
                    continue
                rows.append(
                    {
                        "lang_a": a,
                        "lang_b": b,
                        "setting": one.setting,
                        "draw": one.draw,
                        "pair_id": pair.pair_id,
                        "fact_id": pair.source,
                        "fact_id_target": pair.target,
                        "prompt_id": run.prompt_id,
                        "source_ids": [key.prompt_id for key in members],
                        "k": len(members),
                        "vector": one.vector,
                        "weights": None if one.weights is None else list(one.weights),
                        "onsets": one.onsets,
                        "intervention": one.intervention,
                        "separable": apart[pair.pair_id][0],
                        "first_separable": apart[pair.pair_id][1],
                    }
                )
        return rows


def _single(pair: ConceptPair, a: str, b: str, located: Mapping[PromptKey, Located]) -> bool:
    """Whether s and t are single tokens after the target's demonstrations, all else equal.

    Only then does overwriting one position make the target prompt the other one.
    """
    s, t = (located.get(PromptKey(pair.pair_id, role, a, b)) for role in ("replace", "target"))
    return (
        s is not None
        and t is not None
        and s.object_start == s.o == t.object_start == t.o
        and s.ids[: s.o] == t.ids[: t.o]
        and s.ids[s.o + 1 :] == t.ids[t.o + 1 :]
    )


def cell_table(plan: PlanConfig, pairs: Sequence[ConceptPair], filters: Filters) -> pl.DataFrame:
    """Accepted answers of every source and target concept; contract CELLS."""
    used = list(dict.fromkeys(c for pair in pairs for c in (pair.source, pair.target)))
    rows = []
    for a in dict.fromkeys(a for a, _ in plan.target_pairs):
        asked_in = a if plan.accepted == "sense" else None
        for concept in used:
            for lang in filters.languages:
                forms = filters.forms(concept, lang, asked_in)
                rows.append(
                    {
                        "lang_a": a,
                        "fact_id": concept,
                        "cell_lang": lang,
                        "forms": forms,
                        "first_ids": sorted(filters.union(forms)),
                        "n_forms": len(forms),
                    }
                )
    return CELLS.build(rows)
