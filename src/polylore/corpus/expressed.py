"""Which facts does a text express: subject and object both occur, without sharing characters.

A sentence about one fact may express another one too: "the capital of France is Paris" also holds
both names of the fact that Paris lies in France. The composer needs to know, so that a held-out
cell is not taught by the back door and the ledger counts what a reader of the corpus would count.

The policy is the default one of the specification of `trace`, section 2.3: NFKC and case folding,
word boundaries in languages that mark them, aliases combined by OR, occurrences of subject and
object that do not overlap.
"""

import unicodedata
from collections.abc import Iterator, Sequence

import polars as pl

from polylore.text import language

POLICY = "cooccurrence:nfkc-casefold-boundary-nonoverlap"
"""Name of the counting policy, as written to `exposure`."""

Span = tuple[int, int]


def folded(text: str) -> str:
    """NFKC and case folding, as counting compares strings."""
    return unicodedata.normalize("NFKC", text).casefold()


class Finder:
    """Finds the facts of one language that texts express, in one pass for all names."""

    def __init__(self, facts: pl.DataFrame, lang: str) -> None:
        """`facts`: rows of one language, contract `tables.raw.FACTS`."""
        self._bounded = language(lang).bounded
        self._by_subject: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        names: dict[str, None] = {}
        columns = ("fact_id", "subject", "object", "aliases")
        for fact_id, subject, obj, aliases in facts.select(columns).iter_rows():
            answers = tuple(dict.fromkeys(folded(name) for name in (obj, *aliases) if name.strip()))
            self._by_subject.setdefault(folded(subject), []).append((fact_id, answers))
            names.update(dict.fromkeys((folded(subject), *answers)))
        self._names = list(names)

    def __call__(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Yield, for every text, the fact_ids it expresses, in order of the facts' subjects."""
        frame = pl.DataFrame({"text": [folded(text) for text in texts]}).with_columns(
            name=pl.col("text").str.extract_many(self._names, overlapping=True),
            at=pl.col("text").str.find_many(self._names, overlapping=True),
        )
        for text, names, starts in frame.iter_rows():
            yield self._facts(text, names, starts) if len(names) > 1 else []

    def _facts(self, text: str, names: list[str], starts: list[int]) -> list[str]:
        raw = text.encode()
        spans: dict[str, list[Span]] = {}
        for name, start in zip(names, starts, strict=True):
            end = start + len(name.encode())
            if not self._bounded or stands_alone(raw, start, end):
                spans.setdefault(name, []).append((start, end))
        return [
            fact_id
            for subject, places in spans.items()
            for fact_id, answers in self._by_subject.get(subject, ())
            if any(_disjoint(places, spans.get(answer, ())) for answer in answers)
        ]


def _disjoint(first: Sequence[Span], second: Sequence[Span]) -> bool:
    return any(a[1] <= b[0] or b[1] <= a[0] for a in first for b in second)


def stands_alone(raw: bytes, start: int, end: int) -> bool:
    """Whether neither neighbour of raw[start:end] (UTF-8) is a letter, digit or mark."""
    before = raw[max(0, start - 4) : start].decode(errors="ignore")[-1:]
    after = raw[end : end + 4].decode(errors="ignore")[:1]
    return not any(c and unicodedata.category(c)[0] in "LNM" for c in (before, after))
