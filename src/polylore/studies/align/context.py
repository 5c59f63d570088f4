"""What every part of a report of `align` needs to know: tables, names, the headline."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from polylore.metrics.align.analysis import HEADLINES
from polylore.metrics.align.free import NAMES
from polylore.tables.align import SYSTEM_KEY

SCORES = "scores"
MODES = {
    "generate": "written answers",
    "letter_ll": "letters, over all orders of options",
    "text_ll": "words of options",
    "text_ll_token": "words, per token",
    "text_ll_byte": "words, per byte",
    "text_ll_pmi": "words, minus their prior",
    "rank": "all candidates ranked",
}
"""Ways of answering in plain words."""


def slug(name: str) -> str:
    """A name as part of a file name and anchor."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())


@dataclass(frozen=True)
class AlignContext:
    """One scored run."""

    tables: Mapping[str, pl.DataFrame]
    pivot: str

    def table(self, name: str) -> pl.DataFrame | None:
        """A table of the run; None if absent or empty."""
        frame = self.tables.get(name)
        return frame if frame is not None and frame.height else None

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with `system`, the model with its step, mode and variant where these differ."""
        parts = [pl.col("model")]
        if self._differs("step"):
            parts.append(pl.format(", step {}", "step").fill_null(""))
        if self._differs("mode"):
            words = pl.col("mode").replace(MODES)
            parts.append(pl.format(", {}", words))
        if self._differs("variant"):
            parts.append(pl.format(" ({})", "variant"))
        return frame.with_columns(system=pl.concat_str(parts))

    def _differs(self, column: str) -> bool:
        cells = self.table("align_cells")
        if cells is None:
            return False
        return bool((cells.group_by("model").agg(pl.col(column).n_unique())[column] > 1).any())

    @cached_property
    def headline(self) -> pl.Expr:
        """Rows of tables with a parser that the pictures show: one way of answering per set.

        Letters where options were scored (text, where letters were not), else the default parser. A
        way that says nothing anywhere in a set gives way to the next one that does.
        """
        cells = self.tables["align_cells"]
        says = self.tables["align_trust"].filter("usable").select("dataset", "mode").unique()
        chosen = pl.lit(False)
        for (dataset,), rows in cells.group_by(["dataset"], maintain_order=True):
            there = set(rows["mode"])
            speaks = set(says.filter(pl.col("dataset") == dataset)["mode"]) or there
            order = [name for name in (*HEADLINES, rows["mode"][0]) if name in there]
            mode = next((name for name in order if name in speaks), order[0])
            own = rows.filter(pl.col("mode") == mode)
            parsers = [SCORES, NAMES, "robust", *own["parser"]]
            parser = next(name for name in parsers if name in set(own["parser"]))
            chosen = chosen | (
                (pl.col("dataset") == dataset)
                & (pl.col("mode") == mode)
                & (pl.col("parser") == parser)
            )
        return chosen

    @cached_property
    def datasets(self) -> list[str]:
        """Sets in order."""
        return self._codes("dataset")

    @cached_property
    def languages(self) -> list[str]:
        """Languages, the pivot first."""
        return sorted(self._codes("lang"), key=lambda code: code != self.pivot)

    def _codes(self, column: str) -> list[str]:
        cells = self.table("align_cells")
        return [] if cells is None else cells[column].unique(maintain_order=True).to_list()

    def last(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the last step of every model."""
        step = pl.col("step").fill_null(-1)
        return frame.filter(step == step.max().over("model"))

    def trusted(self, frame: pl.DataFrame, lang: str = "lang") -> pl.DataFrame:
        """Rows with `why`: the reason why a cell cannot be used; null if it can."""
        reasons = self.tables["align_trust"].select(
            *SYSTEM_KEY, "dataset", pl.col("lang").alias(lang), pl.col("reason").alias("why")
        )
        keys = [*SYSTEM_KEY, "dataset", lang]
        return frame.join(reasons, on=keys, how="left", nulls_equal=True, maintain_order="left")
