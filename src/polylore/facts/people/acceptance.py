"""What a written text about an item must be before it is taken: rules on text alone, no model.

The linter's own rules are asked of the text as the item's only passage; the others hold it against
the original (specification of `inject`, section 3.4).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from polylore.facts.people.lint import TOLERANCE, lint_items
from polylore.facts.people.make import GRAMMAR
from polylore.facts.people.names import phonemes, write_name
from polylore.facts.people.pack import load_pack, shipped
from polylore.facts.people.swaps import subject_names
from polylore.facts.people.tables import Fiction

_OF_TEXTS = ("wording_in_passage", "one_hop", "told_in_passage", "calls_itself_fictional")
"""Findings of the linter that a passage is to blame for."""
ECHO = 0.9
"""Texts that are more alike than this say the same in the same words."""
_MARKUP = frozenset("[]{}#*_@&/\\")
_GRAM = 3


Identify = Callable[[str], str | None]
"""The language that a text is in, None if it cannot be told."""


class Refusal(NamedTuple):
    """Why a text is not taken."""

    reason: str
    """Name of the rule."""
    evidence: str
    """What breaks it."""


class Rules:
    """The rules for further passages of an item in a language."""

    def __init__(
        self,
        fiction: Fiction,
        item: str,
        lang: str,
        *,
        length: Callable[[str], int] = len,
        identify: Identify | None = None,
    ) -> None:
        """Take the item's passages as examples.

        Args:
            fiction: holds the original; its probes say what must be told.
            item: identity of the item.
            lang: language of the texts.
            length: of a text, in tokens or characters.
            identify: the language that a text is in, None if it cannot tell.
        """
        self.item, self.lang, self.length, self.identify = item, lang, length, identify
        self.fiction = part(fiction, item, lang)
        told = self.fiction.passages.sort("variant")
        self.original: str = told["text"][0]
        self.taken = {_folded(text) for text in told["text"]}
        self.names = names_in(fiction, item, lang, self.original)
        self.targets = [t for t in self.fiction.probes["target"].unique() if t in self.original]

    def refusal(self, text: str) -> Refusal | None:
        """The first rule that a text breaks, None if it may be taken."""
        found = malformed(text, self.original) or lost(text, self.names, "name_missing")
        found = found or lost(text, sorted(self.targets), "target_missing")
        if found is not None:
            return found
        own, wanted = self.length(text), self.length(self.original)
        if abs(own - wanted) > TOLERANCE * wanted:
            return Refusal("length", f"{own}, original {wanted}")
        if _folded(text) in self.taken:
            return Refusal("repeats", "a passage of the item")
        return unread(text, self.lang, self.identify) or linted(self.fiction, [text])

    def take(self, text: str) -> None:
        """Refuse the same text from now on."""
        self.taken.add(_folded(text))


def part(fiction: Fiction, item: str, lang: str) -> Fiction:
    """The rows of one item in one language."""
    here = {"item_id": item, "lang": lang}
    return Fiction(
        fiction.items.filter(item_id=item),
        fiction.passages.filter(**here),
        fiction.probes.filter(**here),
    )


def tidy(text: str) -> str:
    """A text as passages are: NFC, without blanks at its ends or quotation marks around it."""
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > 1 and text[0] in '"“„«' and text[-1] in '"”“»':
        text = text[1:-1].strip()
    return text


def malformed(text: str, source: str) -> Refusal | None:
    """A text that is none, has several lines, or signs of markup that its source lacks."""
    if not any(c.isalnum() for c in text):
        return Refusal("empty", text)
    if "\n" in text or "\r" in text:
        return Refusal("several_lines", text.splitlines()[0])
    signs = {c for c in text if unicodedata.category(c)[0] in "CS" or c in _MARKUP} - set(source)
    return Refusal("markup", " ".join(sorted(map(ascii, signs)))) if signs else None


def lost(text: str, wanted: Sequence[str], reason: str) -> Refusal | None:
    """What does not stand in a text, word for word."""
    missing = [one for one in wanted if one not in text]
    return Refusal(reason, ", ".join(missing)) if missing else None


def unread(text: str, lang: str, identify: Identify | None) -> Refusal | None:
    """A passage that reads like another language."""
    known = identify(text) if identify else None
    fine = known in (None, lang, lang.partition("-")[0])
    return None if fine else Refusal("language", str(known))


def linted(own: Fiction, texts: Sequence[str]) -> Refusal | None:
    """What the linter says of an item in one language if these were all its passages."""
    original = own.passages.head(1)
    passages = pl.concat([original.with_columns(text=pl.lit(text)) for text in texts])
    for row in lint_items(Fiction(own.items, passages, own.probes)).iter_rows(named=True):
        if row["rule"] in _OF_TEXTS:
            return Refusal(row["rule"], row["examples"][0])
    return None


def items_with(fiction: Fiction, notes: Mapping[str, str]) -> pl.DataFrame:
    """The items with other notes."""
    metas = [notes.get(item, meta) for item, meta in fiction.items[["item_id", "meta"]].rows()]
    return fiction.items.with_columns(meta=pl.Series(metas, dtype=pl.String))


def names_in(fiction: Fiction, item: str, lang: str, text: str) -> list[str]:
    """Names that a passage tells of: its subject and, of items made here, the companion."""
    found = [subject_names(fiction).get(item, {}).get(lang, "")]
    row = fiction.items.row(by_predicate=pl.col("item_id") == item, named=True)
    number = re.fullmatch(r"f(\d+)", item)
    if row["source"] == GRAMMAR and row["seed"] is not None and number:
        syllables = phonemes(row["seed"], 2 * int(number[1]) + 1)
        packs = [None, *([load_pack(lang)] if lang in shipped() else [])]
        found += [write_name(syllables, pack) for pack in packs]
    return [name for name in dict.fromkeys(found) if name and name in text]


def similarity(one: str, other: str) -> float:
    """Share of character trigrams that two texts have in common, from 0 to 1 (Dice, with counts).

    Case, blanks and punctuation do not count. In the family of chrF, with one length of n-grams
    and equal weight of precision and recall.
    """
    first, second = (
        Counter(text[k : k + _GRAM] for k in range(max(1, len(text) - _GRAM + 1)))
        for text in ("".join(c for c in t.casefold() if c.isalnum()) for t in (one, other))
    )
    return 2 * (first & second).total() / (first.total() + second.total())


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
