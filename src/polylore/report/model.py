"""What a report is made of: plain values that know nothing of HTML.

A study fills these; `html.write_html` and `export` turn them into files. Every string may come from
data: nothing here is ever read as markup, code or a path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

Verdict = Literal["confirmed", "not confirmed", "undecided"]
"""What the numbers say about a claim; a sentence that only describes has no verdict."""

ROWS = "rows"
"""Name under which a chart's specification finds the chart's frame."""


@dataclass(frozen=True)
class Finding:
    """One plain sentence about the result, and how sure it is."""

    text: str
    verdict: Verdict | None
    detail: str
    """The rule behind the verdict and the numbers it was applied to."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs of text."""

    paragraphs: tuple[str, ...]
    tone: Literal["plain", "caution"] = "plain"


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean here."""

    title: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chart:
    """One figure: interactive in the report, SVG and PNG beside it."""

    id: str
    """File name and anchor: lower-case letters, digits and hyphens."""
    title: str
    """What it shows, as a short heading."""
    caption: str
    """How to read it, then the conditions: preset, matcher, exposure kind, pivot, n."""
    description: str
    """Alternative text: what a reader who cannot see it should know."""
    spec: Mapping[str, Any]
    """Vega-Lite specification whose data is the named source `ROWS`; no colours of its own."""
    frame: pl.DataFrame
    """The plotted rows; also shown as a table on demand."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Headings of the frame's columns in that table; columns without one are left out of it."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """As in `TableView`."""
    layout: Literal["wide", "half", "panels"] = "wide"
    """Full width, half width on large screens, or small multiples that wrap."""


@dataclass(frozen=True)
class TableView:
    """One sortable table."""

    id: str
    title: str
    caption: str
    frame: pl.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)
    """Headings of the columns shown, in order; empty shows all columns under their own names."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Per column: text, text@<column of language codes>, lang, share, interval (a list of value,
    low, high), number, int or tokens. Guessed from the type if absent."""
    sort: tuple[str, bool] | None = None
    """Column to sort by at first, and whether descending."""


@dataclass(frozen=True)
class FactList:
    """A searchable list of facts with the history of each in every language."""

    id: str
    title: str
    caption: str
    facts: pl.DataFrame
    """fact_id, relation, lang, subject, object."""
    history: pl.DataFrame
    """fact_id, lang, ckpt_id, y (null: not asked), exposure (null: unknown)."""
    answers: pl.DataFrame
    """fact_id, lang, answer: what was said at the last checkpoint; may be empty."""
    languages: tuple[str, ...]
    """Codes in the order in which they are shown."""
    checkpoints: tuple[tuple[str, str], ...]
    """(ckpt_id, label) in order."""


Block = Prose | Definitions | Chart | TableView | FactList


@dataclass(frozen=True)
class Page:
    """One part of the report."""

    id: str
    title: str
    lead: str
    """One or two sentences: the question this part answers."""
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    subtitle: str
    glance: tuple[tuple[str, str], ...]
    """A few numbers that say what was looked at: (value, label)."""
    findings: tuple[Finding, ...]
    pages: tuple[Page, ...]
    provenance: Mapping[str, str]
    """Where the numbers come from: name and value, in order of importance."""

    def charts(self) -> Iterator[Chart]:
        """All figures, in order."""
        for page in self.pages:
            for block in page.blocks:
                if isinstance(block, Chart):
                    yield block
