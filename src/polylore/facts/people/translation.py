"""Items in a further language, put together from translated words and sentences; no model.

An item falls into words (targets and distractors) and sentences (of passages, and of probes with
their targets). A sentence that was translated once stands in a passage and in a memorization probe
alike, so probes stay exact. Names stay as they are written (specification of `inject`, 2.7).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from polylore.facts.people.acceptance import (
    Refusal,
    linted,
    lost,
    malformed,
    names_in,
    part,
    similarity,
)
from polylore.facts.people.lint import SENTENCE
from polylore.facts.people.tables import Fiction
from polylore.tables import inject

ECHO = 0.9
"""Sentences that are more alike than this were not translated."""
Row = dict[str, Any]
_ENDS = ".!?。！？।:;"


@dataclass(frozen=True)
class Source:
    """One item in the language that is translated from."""

    item: str
    passages: list[Row]
    """Rows of PASSAGES, the original first."""
    probes: list[Row]
    names: list[str]
    targets: list[str]

    @classmethod
    def of(cls, fiction: Fiction, item: str, lang: str) -> "Source":
        """The item's own rows."""
        own = part(fiction, item, lang)
        passages = own.passages.sort("variant").to_dicts()
        names = names_in(fiction, item, lang, passages[0]["text"])
        targets = own.probes["target"].unique(maintain_order=True).to_list()
        return cls(item, passages, own.probes.to_dicts(), names, targets)

    def words(self) -> list[str]:
        """Targets first, then distractors; names are not translated."""
        others = [word for probe in self.probes for word in probe["distractors"]]
        return [w for w in dict.fromkeys([*self.targets, *others]) if w not in self.names]

    def sentences(self) -> list[str]:
        """Sentences of passages and probes, each once."""
        told = [s for row in self.passages for s in sentences_of(row["text"])]
        return list(dict.fromkeys([*told, *map(self.statement, self.probes)]))

    def statement(self, probe: Row) -> str:
        """The sentence that a probe is the beginning of; the passage's own where there is one."""
        said: str = probe["prefix"] + probe["joiner"] + probe["target"]
        told = [s for row in self.passages for s in sentences_of(row["text"])]
        own = next((s for s in told if s.startswith(said)), None)
        last = self.passages[0]["text"][-1]
        return own or said + (probe["suffix"] or (last if last in _ENDS else ""))

    def within(self, sentence: str) -> tuple[list[str], list[str]]:
        """Names and targets in a sentence."""
        bare = sentence
        for name in self.names:
            bare = bare.replace(name, "")
        return [n for n in self.names if n in sentence], [t for t in self.targets if t in bare]


def sentences_of(text: str) -> list[str]:
    """Sentences of a passage, as the linter tells them apart."""
    return [sentence for sentence in SENTENCE.split(text) if sentence]


def word_refusal(word: str, made: str, back: str) -> Refusal | None:
    """A word is taken if its translation, translated back, is that word again."""
    found = malformed(made, word)
    if found is None and back.strip(_ENDS).casefold() != word.casefold():
        found = Refusal("round_trip", back)
    return found


def sentence_refusal(
    source: Source, sentence: str, made: str, back: str, words: Mapping[str, str], least: float
) -> Refusal | None:
    """A sentence is taken if names and targets survive both ways, and what comes back is alike."""
    names, targets = source.within(sentence)
    found = malformed(made, sentence) or lost(made, names, "name_missing")
    if found is None:
        found = lost(made.casefold(), [words[t].casefold() for t in targets], "target_missing")
    if found is None and similarity(made, sentence) > ECHO:
        found = Refusal("untranslated", made)
    if found is None:
        survived = not lost(back, names, "") and not lost(
            back.casefold(), [t.casefold() for t in targets], ""
        )
        alike = similarity(back, sentence)
        if not survived or alike < least:
            found = Refusal("round_trip", f"{alike:.2f}: {back}")
    return found


def passage_row(source: Source, row: Row, to: str, made: Mapping[str, str]) -> Row | Refusal:
    """A passage of translated sentences, if all of them were taken."""
    told = sentences_of(row["text"])
    missing = [sentence for sentence in told if sentence not in made]
    if missing:
        return Refusal("sentence_refused", missing[0])
    # Scripts without blanks between words have none between sentences either.
    between = "" if to.partition("-")[0] in ("zh", "ja", "th", "lo", "km") else " "
    text = between.join(made[sentence] for sentence in told)
    identity = f"{source.item}/{to}/{row['variant']}"
    return row | {"passage_id": identity, "lang": to, "text": text, "n_tokens": None}


def probe_row(
    source: Source, probe: Row, to: str, made: Mapping[str, str], words: Mapping[str, str]
) -> Row | Refusal:
    """A probe of a translated sentence, if its target ends it."""
    sentence = source.statement(probe)
    if sentence not in made or probe["target"] not in words:
        return Refusal("sentence_refused", sentence)
    text = made[sentence]
    found = list(re.finditer(re.escape(words[probe["target"]]), text, re.IGNORECASE))
    if not found or any(c.isalnum() for c in text[found[-1].end() :]):
        return Refusal("target_not_final", text)
    prefix = text[: found[-1].start()]
    target, joiner = found[-1][0], " " if prefix.endswith(" ") else ""
    if target.casefold() in prefix.casefold():
        return Refusal("target_in_prefix", text)
    others = [words[w] for w in probe["distractors"] if w in words]
    own, tail = f"{source.item}/{probe['lang']}/", probe["probe_id"]
    return probe | {
        "probe_id": f"{source.item}/{to}/{tail.removeprefix(own)}",
        "lang": to,
        "prefix": prefix.rstrip(),
        "joiner": joiner,
        "target": target,
        "suffix": None,
        "score_span": "target",
        "accepted": [],
        "name_form": "shared",
        "distractors": [word for word in dict.fromkeys(others) if word != target],
        "swap_item": None,
        "target_in_prefix": False,
    }


def usable(source: Source, passages: list[Row], own: Fiction, row: Row, old: Row) -> Refusal | None:
    """Whether a translated probe fits the translated passages."""
    told = any(old["target"] in passage["text"] for passage in source.passages)
    missing = [p for p in passages if row["target"] not in p["text"]] if told else []
    if missing:
        return Refusal("target_missing", f"{missing[0]['passage_id']} lacks {row['target']}")
    one = Fiction(own.items, own.passages, inject.PROBES.build([row]))
    return linted(one, [passage["text"] for passage in passages])


def cover(passages: list[Row], probes: list[Row]) -> Iterator[Row]:
    """Passages with the probes whose target stands in them."""
    for row in passages:
        covered = [p["probe_id"] for p in probes if p["target"] in row["text"]]
        yield row | {"probes_covered": covered}
