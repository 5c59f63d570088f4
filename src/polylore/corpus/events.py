"""The order of reading: one small record per document, rendered to text only when written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.corpus.background import Background
from polylore.corpus.config import ComposeConfig
from polylore.corpus.draw import number, permutation
from polylore.corpus.wordings import Wording, mention_wordings
from polylore.tables import raw

if TYPE_CHECKING:
    from polylore.facts.factset import FactSet


@dataclass(frozen=True)
class Events:
    """All documents of a corpus in order of reading, 6 bytes each, and what they refer to."""

    item: NDArray[np.int32]
    """Taught cell, then mentioned name, then background paragraph, numbered through."""
    wording: NDArray[np.int16]
    """Number of the wording within the item's list."""
    cells: pl.DataFrame
    """Taught cells: fact_id, lang, relation, subject, object."""
    names: pl.DataFrame
    """Mentioned names: lang, name."""
    background: Background
    fact_wordings: dict[tuple[str, str], list[Wording]]
    mention_wordings: dict[str, list[Wording]]

    def __len__(self) -> int:
        return len(self.item)

    def frames(self, rows: int) -> Iterator[pl.DataFrame]:
        """Rendered documents (contract `tables.raw.DOCUMENTS`), at most `rows` at a time."""
        cells, names = self.cells.rows(), self.names.rows()
        for start in range(0, len(self), rows):
            items = self.item[start : start + rows].tolist()
            wordings = self.wording[start : start + rows].tolist()
            documents = [
                self._document(item, wording, cells, names)
                for item, wording in zip(items, wordings, strict=True)
            ]
            frame = pl.DataFrame(
                documents,
                schema=["kind", "lang", "fact_id", "relation", "wording", "text"],
                orient="row",
                schema_overrides={c: pl.String() for c in ("lang", "fact_id", "relation")},
            )
            ids = pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True)
            yield raw.DOCUMENTS.validate(frame.with_columns(doc_id=ids))

    def _document(
        self, item: int, wording: int, cells: list[Any], names: list[Any]
    ) -> tuple[str, str | None, str | None, str | None, str, str]:
        if item < len(cells):
            fact_id, lang, relation, subject, obj = cells[item]
            frame = self.fact_wordings[relation, lang][wording]
            text = frame.fill(subject=subject, mask=obj)
            return "fact", lang, fact_id, relation, frame.label, text
        item -= len(cells)
        if item < len(names):
            lang, name = names[item]
            frame = self.mention_wordings[lang][wording]
            return "mention", lang, None, None, frame.label, frame.fill(name=name)
        text, found, file = self.background.read(item - len(names))
        return "background", found, None, None, file, text


def plan_events(
    factset: "FactSet",
    config: ComposeConfig,
    design: pl.DataFrame,
    mentions: pl.DataFrame,
    background: Background,
    wordings: dict[tuple[str, str], list[Wording]],
) -> Events:
    """Lay out every document of the plan and draw the order of reading.

    The documents of one cell go through its wordings in turn, from a drawn start, so each wording
    is used equally often up to one.
    """
    cells = factset.facts.join(
        design.filter(pl.col("dose") > 0).select("fact_id", "lang", "dose"),
        on=("fact_id", "lang"),
        maintain_order="left",
    )
    naming = {lang: mention_wordings(factset, lang) for lang in factset.languages}
    variety = [len(wordings[key]) for key in cells.select("relation", "lang").iter_rows()]
    variety += [len(naming[lang]) for lang in mentions["lang"]]
    counts = [*cells["dose"], *mentions["count"]]
    keys = [f"{fact_id}/{lang}" for fact_id, lang in cells.select("fact_id", "lang").iter_rows()]
    keys += [f"{lang}//{name}" for lang, name in mentions.select("lang", "name").iter_rows()]
    start = [number(config.seed, "wording", key) % n for key, n in zip(keys, variety, strict=True)]
    n_background = len(background.places)
    item, turn = _repeat(counts + [1] * n_background)
    wording = (turn + np.array(start + [0] * n_background)[item]) % np.array(
        variety + [1] * n_background
    )[item]
    if config.shuffle:
        order = permutation(len(item), config.seed, "order")
        item, wording = item[order], wording[order]
    return Events(
        item.astype(np.int32),
        wording.astype(np.int16),
        cells.select("fact_id", "lang", "relation", "subject", "object"),
        mentions.select("lang", "name"),
        background,
        wordings,
        naming,
    )


def _repeat(counts: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every index as often as counted, and how many times it came before."""
    each = np.array(counts, dtype=np.int64)
    item = np.repeat(np.arange(len(each)), each)
    first = np.cumsum(each) - each
    return item, np.arange(len(item)) - first[item]
