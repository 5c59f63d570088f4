"""Passages and probes of an item in a further language, put together of translated sentences."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from polylore.facts.people.acceptance import Identify, Refusal, Rules, linted, unread
from polylore.facts.people.tables import Fiction
from polylore.facts.people.translation import Row, Source, sentences_of
from polylore.tables import inject


@dataclass
class Translated:
    """What became of an item."""

    item: str
    passages: list[Row] = field(default_factory=list)
    """Rows of PASSAGES; none if the original is not among them."""
    probes: list[Row] = field(default_factory=list)
    """Rows of PROBES."""
    refused: list[tuple[str, str, str, Refusal]] = field(default_factory=list)
    """Kind, identity in the source language, text and reason of all else."""


def put_together(
    source: Source,
    items: Fiction,
    to: str,
    made: Mapping[str, str],
    words: Mapping[str, str],
    *,
    length: Callable[[str], int] = len,
    identify: Identify | None = None,
) -> Translated:
    """The item in language `to`, as far as it keeps the rules.

    Args:
        source: the item in the language it comes from.
        items: the items, with the names in `to`.
        to: the new language.
        made: sentences that were taken, with their translations.
        words: words that were taken, with theirs; names among them.
        length: of a text, in tokens or characters.
        identify: the language that a text is in, None if it cannot tell.
    """
    found = Translated(source.item)
    for old in source.passages:
        row = _passage(source, old, to, made)
        if not isinstance(row, Refusal):
            told = [*found.passages, row][: max(1, len(found.passages))]
            own = Fiction(items.items, inject.PASSAGES.build(told), inject.PROBES.empty())
            if old["variant"] == 0:
                broken = unread(row["text"], to, identify) or linted(own, [row["text"]])
            else:
                rules = Rules(own, source.item, to, length=length, identify=identify)
                broken = rules.refusal(row["text"])
            row = broken or row
        if isinstance(row, Refusal):
            found.refused.append(("passage", old["passage_id"], "", row))
            if old["variant"] == 0:
                return found
        else:
            found.passages.append(row)
    for old in source.probes:
        probe = _probe(source, old, to, made, words)
        if not isinstance(probe, Refusal):
            probe = _unfit(source, old, probe, found.passages, items) or probe
        if isinstance(probe, Refusal):
            found.refused.append(("probe", old["probe_id"], "", probe))
        else:
            found.probes.append(probe)
    for row in found.passages:
        row["probes_covered"] = [p["probe_id"] for p in found.probes if p["target"] in row["text"]]
    return found


def _passage(source: Source, old: Row, to: str, made: Mapping[str, str]) -> Row | Refusal:
    told = sentences_of(old["text"])
    missing = [sentence for sentence in told if sentence not in made]
    if missing:
        return Refusal("sentence_refused", missing[0])
    # Scripts without blanks between words have none between sentences either.
    between = "" if to.partition("-")[0] in ("zh", "ja", "th", "lo", "km") else " "
    text = between.join(made[sentence] for sentence in told)
    identity = f"{source.item}/{to}/{old['variant']}"
    return old | {"passage_id": identity, "lang": to, "text": text, "n_tokens": None}


def _probe(
    source: Source, old: Row, to: str, made: Mapping[str, str], words: Mapping[str, str]
) -> Row | Refusal:
    """A probe of a translated sentence, if its target ends it."""
    sentence = source.statement(old)
    if sentence not in made or old["target"] not in words:
        return Refusal("sentence_refused", sentence)
    text = made[sentence]
    found = list(re.finditer(re.escape(words[old["target"]]), text, re.IGNORECASE))
    if not found or any(c.isalnum() for c in text[found[-1].end() :]):
        return Refusal("target_not_final", text)
    prefix, target = text[: found[-1].start()], found[-1][0]
    if target.casefold() in prefix.casefold():
        return Refusal("target_in_prefix", text)
    others = dict.fromkeys(words[word] for word in old["distractors"] if word in words)
    own = old["probe_id"].removeprefix(f"{source.item}/{source.lang}/")
    return old | {
        "probe_id": f"{source.item}/{to}/{own}",
        "lang": to,
        "prefix": prefix.rstrip(),
        "joiner": " " if prefix.endswith(" ") else "",
        "target": target,
        "suffix": None,
        "score_span": "target",
        "accepted": [],
        "name_form": "shared",
        "distractors": [word for word in others if word != target],
        "swap_item": None,
        "target_in_prefix": False,
    }


def _unfit(
    source: Source, old: Row, probe: Row, passages: list[Row], items: Fiction
) -> Refusal | None:
    """What keeps a translated probe from the translated passages."""
    texts = [row["text"] for row in passages]
    told = any(old["target"] in row["text"] for row in source.passages)
    if told and not all(probe["target"] in text for text in texts):
        return Refusal("target_missing", f"a passage lacks {probe['target']}")
    own = Fiction(items.items, inject.PASSAGES.build(passages), inject.PROBES.build([probe]))
    return linted(own, texts)
