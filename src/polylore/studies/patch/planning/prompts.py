"""All prompts of a plan, as text and in tokens."""

from collections.abc import Sequence

import polars as pl

from polylore.studies.patch.planning.filters import Filters
from polylore.studies.patch.planning.pairs import ConceptPair
from polylore.studies.patch.planning.tokens import Located, locate
from polylore.studies.patch.planning.writing import PromptKey, write
from polylore.tables.patch import PROMPTS


class Prompts:
    """Prompts by key."""

    def __init__(
        self, keys: Sequence[PromptKey], pairs: Sequence[ConceptPair], filters: Filters
    ) -> None:
        self.pairs = {pair.pair_id: pair for pair in pairs}
        self.compatible = filters.compatible
        self.written = {
            key: write(key, self.pairs[key.pair_id], filters.lexicon, filters.names) for key in keys
        }
        texts = [one.text for one in self.written.values()]
        spans = [(one.start, one.stop) for one in self.written.values()]
        located = locate(filters.tokenizer, texts, spans, filters.plan.boundary)
        self.located: dict[PromptKey, Located] = dict(zip(self.written, located, strict=True))

    def torn(self) -> list[str]:
        """Pairs with a prompt whose object merges with what follows."""
        return sorted({k.pair_id for k, one in self.located.items() if one.boundary != "clean"})

    def table(self, used: set[str]) -> pl.DataFrame:
        """The contract PROMPTS, for those that are used."""
        flags = {k: not self.compatible(p.source, p.target) for k, p in self.pairs.items()}
        rows = []
        for key, one in self.written.items():
            if key.prompt_id not in used:
                continue
            at = self.located[key]
            rows.append(
                {
                    **key._asdict(),
                    "prompt_id": key.prompt_id,
                    "fact_id": one.concept,
                    "shots": list(one.shots),
                    "shots_b": None if one.shots_b is None else list(one.shots_b),
                    "text": one.text,
                    "token_ids": at.ids,
                    "object_start": at.object_start,
                    "o": at.o,
                    "suffix_len": len(at.ids) - 1 - at.o,
                    "n_object_tokens": at.o - at.object_start + 1,
                    "boundary": at.boundary,
                    "incompatible": flags[key.pair_id],
                }
            )
        return PROMPTS.build(rows)
