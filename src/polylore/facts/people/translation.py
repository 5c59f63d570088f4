"""An item as words and sentences to be translated, and when a translation is taken; no model.

Words are targets and distractors, sentences those of passages and of probes with their targets. A
sentence that was translated once stands in a passage and in a memorization probe alike, so probes
stay exact. Names stay as they are written (specification of `inject`, sections 2.7 and 3.4).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polylore.facts.people.acceptance import (
    ECHO,
    Identify,
    Refusal,
    lost,
    malformed,
    names_in,
    part,
    similarity,
)
from polylore.facts.people.lint import SENTENCE
from polylore.facts.people.tables import Fiction

Row = dict[str, Any]
_ENDS = ".!?。！？।:;"


@dataclass(frozen=True)
class Source:
    """One item in the language that is translated from."""

    item: str
    lang: str
    passages: list[Row]
    """Rows of PASSAGES, the original first."""
    probes: list[Row]
    """Rows of PROBES."""
    names: list[str]
    """People that the original tells of."""
    targets: list[str]
    """What probes ask for."""

    @classmethod
    def of(cls, fiction: Fiction, item: str, lang: str) -> "Source":
        """The item's own rows."""
        own = part(fiction, item, lang)
        passages = own.passages.sort("variant").to_dicts()
        names = names_in(fiction, item, lang, passages[0]["text"])
        targets = own.probes["target"].unique(maintain_order=True).to_list()
        return cls(item, lang, passages, own.probes.to_dicts(), names, targets)

    def words(self) -> list[str]:
        """Targets first, then distractors, each once; names are not translated."""
        others = [word for probe in self.probes for word in probe["distractors"]]
        return [word for word in dict.fromkeys([*self.targets, *others]) if word not in self.names]

    def told(self) -> list[str]:
        """Sentences of the passages."""
        return [sentence for row in self.passages for sentence in sentences_of(row["text"])]

    def sentences(self) -> list[str]:
        """Sentences of passages and probes, each once."""
        return list(dict.fromkeys([*self.told(), *map(self.statement, self.probes)]))

    def statement(self, probe: Row) -> str:
        """The sentence that a probe is the beginning of; a passage's own where there is one."""
        said: str = probe["prefix"] + probe["joiner"] + probe["target"]
        last = self.passages[0]["text"][-1]
        made = said + (probe["suffix"] or (last if last in _ENDS else ""))
        return next((own for own in self.told() if own.startswith(said)), made)

    def within(self, sentence: str) -> tuple[list[str], list[str]]:
        """Names and targets in a sentence."""
        bare = _without(sentence, self.names)
        return [n for n in self.names if n in sentence], [t for t in self.targets if t in bare]

    def word_refusal(self, word: str, made: str, back: str) -> Refusal | None:
        """A word is taken if its translation, translated back, is that word again."""
        found = malformed(made, word)
        if found is None and back.strip(_ENDS).casefold() != word.casefold():
            found = Refusal("round_trip", back)
        return found

    def sentence_refusal(
        self,
        sentence: str,
        made: str,
        back: str,
        *,
        words: Mapping[str, str],
        least: float,
        identify: Identify | None = None,
    ) -> Refusal | None:
        """A sentence is taken if names and targets survive both ways and the rest comes back.

        Args:
            sentence: what was to be translated.
            made: its translation.
            back: that, translated back.
            words: translations of the targets.
            least: smallest similarity of what came back, names and targets left out.
            identify: the language that a text is in, None if it cannot tell.
        """
        names, targets = self.within(sentence)
        own = [words[target] for target in targets]
        found = malformed(made, sentence) or lost(made, names, "name_missing")
        found = found or lost(made.casefold(), [w.casefold() for w in own], "target_missing")
        if found is not None:
            return found
        bare, there = _without(sentence, [*names, *targets]), _without(made, [*names, *own])
        if similarity(bare, there) > ECHO or (identify and identify(made) == self.lang):
            return Refusal("untranslated", made)
        kept = all(n in back for n in names) and all(t.lower() in back.lower() for t in targets)
        alike = similarity(bare, _without(back, [*names, *targets]))
        return None if kept and alike >= least else Refusal("round_trip", f"{alike:.2f}: {back}")


def sentences_of(text: str) -> list[str]:
    """Sentences of a passage, as the linter tells them apart."""
    return [sentence for sentence in SENTENCE.split(text) if sentence]


def _without(text: str, parts: Iterable[str]) -> str:
    for one in parts:
        text = text.replace(one, "")
    return text
