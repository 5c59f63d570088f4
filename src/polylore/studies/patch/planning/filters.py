"""Which concepts may meet, judged by the first tokens and forms of their words (`patch`, 4.1)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

from polylore.facts.lexicon import Lexicon
from polylore.studies.patch.config import PlanConfig
from polylore.studies.patch.planning.settings import Pair, read_pair
from polylore.studies.patch.planning.tokens import first_ids, locate


class Filters:
    """First-token sets of all concepts and languages, and every test that rests on them."""

    def __init__(
        self, plan: PlanConfig, lexicon: Lexicon, names: Mapping[str, str], tokenizer: Any
    ) -> None:
        self.plan, self.lexicon, self.names, self.tokenizer = plan, lexicon, names, tokenizer
        self.languages = lexicon.languages
        cells = ((concept, lang) for concept in lexicon.concepts for lang in self.languages)
        self.ids = first_ids(tokenizer, (text for cell in cells for text in self.forms(*cell)))

    def forms(self, concept: str, lang: str, asked_in: str | None = None) -> list[str]:
        """Accepted spellings, the first form first; all senses if `asked_in` is None."""
        forms = self.lexicon.accepted(concept, lang, asked_in)
        return list(dict.fromkeys(t for form in forms for t in (form.text, *form.aliases)))

    def cell(self, concept: str, lang: str, asked_in: str | None = None) -> frozenset[int]:
        """First-token set of a concept in a language."""
        return self.union(self.forms(concept, lang, asked_in))

    def union(self, words: Iterable[str]) -> frozenset[int]:
        """First-token set of several words."""
        return frozenset().union(*(self.ids[word] for word in words))

    @cached_property
    def _everywhere(self) -> dict[str, frozenset[int]]:
        return {
            concept: frozenset().union(*(self.cell(concept, lang) for lang in self.languages))
            for concept in self.lexicon.concepts
        }

    def compatible(self, s: str, t: str) -> bool:
        """Whether first tokens tell s and t apart: in all languages, or in the asked cells."""
        if self.plan.compatible == "languages":
            return self._everywhere[s].isdisjoint(self._everywhere[t])
        return all(self._cells_apart(s, t, b, y) for b, y in self._asked)

    @cached_property
    def _asked(self) -> list[Pair]:
        """(output language of the target prompt, of a source prompt) of every own setting."""
        found = [
            (b, read_pair(text)[1])
            for a, b in self.plan.target_pairs
            for family in self.plan.families
            if family.pairs is None or (a, b) in map(read_pair, family.pairs)
            for text in family.sources
        ]
        return list(dict.fromkeys(found or [(b, b) for _, b in self.plan.target_pairs]))

    def _cells_apart(self, s: str, t: str, b: str, y: str) -> bool:
        cells = [self.cell(c, lang) for lang in dict.fromkeys((b, y)) for c in (t, s)]
        english = self.cell(s, self.plan.pivot) | self.cell(t, self.plan.pivot)
        outside = [] if self.plan.pivot in (b, y) else [english]
        return all(x.isdisjoint(z) for x, z in combinations([*cells, *outside], 2))

    def pairable(self, s: str, t: str) -> bool:
        """Whether (s, t) may be drawn, by every filter of the plan."""
        if not self.compatible(s, t):
            return False
        if self.plan.separable_only and not all(
            self.separable(s, t, a, b)[0] for a, b in self.plan.target_pairs
        ):
            return False
        return not self.plan.match_length or self._lengths[s] == self._lengths[t]

    def shot(self, concept: str, s: str, t: str) -> bool:
        """Whether a concept may be a demonstration of (s, t)."""
        if not self.plan.compatible_shots:
            return True
        mine = self._everywhere[concept]
        return mine.isdisjoint(self._everywhere[s]) and mine.isdisjoint(self._everywhere[t])

    def separable(self, s: str, t: str, a: str, b: str) -> tuple[bool, bool]:
        """Whether forms, and first tokens, of s and t in a, b and the pivot are all disjoint.

        Only then does an answer tell which language was produced.
        """
        langs = tuple(dict.fromkeys((a, b, self.plan.pivot)))
        keys = [self._keys(c, lang) for c in (s, t) for lang in langs]
        cells = [self.cell(c, lang) for c in (s, t) for lang in langs]
        return _disjoint(keys), _disjoint(cells)

    def _keys(self, concept: str, lang: str) -> frozenset[str]:
        return frozenset(k for form in self.lexicon.forms(concept, lang) for k in form.keys)

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        """Tokens of each concept's shown word in the query of every target pair."""
        rows: dict[str, list[int]] = {concept: [] for concept in self.lexicon.concepts}
        for a, b in self.plan.target_pairs:
            head = f'{self.names[a]}: "'
            words = [self.lexicon.forms(c, a)[0].text for c in rows]
            texts = [f'{head}{word}" - {self.names[b]}: "' for word in words]
            spans = [(len(head), len(head) + len(word)) for word in words]
            located = locate(self.tokenizer, texts, spans, self.plan.boundary)
            for row, one in zip(rows.values(), located, strict=True):
                row.append(one.o - one.object_start + 1)
        return {concept: tuple(row) for concept, row in rows.items()}


def _disjoint(sets: Sequence[frozenset[Any]]) -> bool:
    return sum(map(len, sets)) == len(frozenset().union(*sets))
