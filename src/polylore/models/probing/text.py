"""A probe as text, and as tokens with the span that is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from polylore.errors import ModelError
from polylore.models.spans import Encoded, offset_tokens, tail, target_span, token_ids
from polylore.tables.inject import TARGET_SUFFIX

BOUNDARY_MERGE, NO_OFFSETS = "boundary_merge", "no_offsets"


@dataclass(frozen=True)
class ProbeText:
    """What is scored: prefix + joiner + target, and the suffix where that belongs to the span."""

    probe_id: str
    prefix: str
    joiner: str
    """A blank, or nothing."""
    target: str
    suffix: str = ""
    """Text behind the target that is scored with it; empty if the target alone is."""
    accepted: tuple[str, ...] = ()
    """Other forms that count as the target; one that is named twice counts once."""
    distractors: tuple[str, ...] = ()
    """Wrong targets of the same kind."""
    swapped: str | None = None
    """The prefix with another subject."""

    @property
    def others(self) -> list[str]:
        """Accepted forms other than the target, each once."""
        return [form for form in dict.fromkeys(self.accepted) if form != self.target]

    @property
    def n_bytes(self) -> int:
        """UTF-8 length of what is scored."""
        return len((self.target + self.suffix).encode())


def probe_texts(
    probes: pl.DataFrame, swapped: Mapping[str, str | None] | None = None
) -> tuple[ProbeText, ...]:
    """Rows of `tables.inject.PROBES` as texts.

    Args:
        probes: contract `tables.inject.PROBES`.
        swapped: prefix with another subject, by probe.
    """
    swapped = swapped or {}
    return tuple(
        ProbeText(
            row["probe_id"],
            row["prefix"],
            row["joiner"],
            row["target"],
            (row["suffix"] or "") if row["score_span"] == TARGET_SUFFIX else "",
            tuple(row["accepted"]),
            tuple(row["distractors"]),
            swapped.get(row["probe_id"]),
        )
        for row in probes.iter_rows(named=True)
    )


class Span(NamedTuple):
    """A tokenised string with the tokens that are scored."""

    string: Encoded
    flags: tuple[str, ...]
    """boundary_merge: a token crosses from the prefix into the target and counts as target.
    no_offsets: the tokenizer reports none, so the span was found by comparing tokens."""


def encode_spans(
    tokenizer: Any, prefixes: Sequence[str], joiners: Sequence[str], scored: Sequence[str]
) -> list[Span]:
    """Tokenise prefix + joiner + scored text whole, and find the tokens of the scored text.

    They are those whose characters overlap it (specification of `inject`, section 3.1). Nothing is
    put in front.

    Raises:
        ModelError: a scored text has no token of its own.
    """
    heads = [prefix + joiner for prefix, joiner in zip(prefixes, joiners, strict=True)]
    texts = [head + text for head, text in zip(heads, scored, strict=True)]
    if not getattr(tokenizer, "is_fast", False):
        return _without_offsets(tokenizer, heads, texts)
    found = []
    encoded = offset_tokens(tokenizer, texts, bos=False)
    for prefix, head, text, (ids, offsets, _) in zip(prefixes, heads, texts, encoded, strict=True):
        span = target_span(offsets, len(head), len(text))
        if span is None:
            raise _nothing(text[len(head) :], head)
        merged = offsets[span[0]][0] < len(prefix.rstrip())
        found.append(Span(Encoded(ids, *span), (BOUNDARY_MERGE,) if merged else ()))
    return found


def _without_offsets(tokenizer: Any, heads: Sequence[str], texts: Sequence[str]) -> list[Span]:
    """The scored tokens are those behind the longest common beginning with the prefix alone."""
    found = []
    alone, whole = (token_ids(tokenizer, part, bos=False) for part in (heads, texts))
    for head, text, before, ids in zip(heads, texts, alone, whole, strict=True):
        start = 0
        while start < min(len(before), len(ids)) and before[start] == ids[start]:
            start += 1
        if start == len(ids):
            raise _nothing(text[len(head) :], head)
        merged = (BOUNDARY_MERGE,) if start < len(before) and head == head.rstrip() else ()
        found.append(Span(Encoded(ids, start, len(ids)), (*merged, NO_OFFSETS)))
    return found


def _nothing(scored: str, head: str) -> ModelError:
    return ModelError(
        f"'{scored}' after '{tail(head)}' has no token of its own in this tokenizer, so it cannot "
        "be scored; remove or correct the probe."
    )
