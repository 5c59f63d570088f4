"""What every part of a comparison's report needs: its tables, and the order of everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from polylore.report.languages import name as language_name
from polylore.runs import RunFolder
from polylore.studies.compare.side import Side

ALL = "all"
WAYS = {
    "default": "Answering freely",
    "paper": "Answering freely, published match",
    "candidates": "Ranking candidates",
    "candidates_pmi": "Ranking candidates less their priors",
}
"""Matchers as ways of answering, to begin a title or a sentence with."""
ORDER = ("default", "candidates", "candidates_pmi")
"""Matchers that are compared, in the order of the report; the published one only for its preset."""


@dataclass(frozen=True)
class View:
    """The tables of a comparison, and the order in which everything is shown."""

    sides: tuple[Side, ...]
    models: tuple[str, ...]
    languages: tuple[str, ...]
    """Codes, best recall of the first model first."""
    matchers: tuple[str, ...]
    recall: pl.DataFrame
    difference: pl.DataFrame
    tokens: pl.DataFrame | None

    @classmethod
    def of(cls, run: RunFolder, sides: Sequence[Side]) -> "View":
        """Open the tables of a comparison."""
        recall = run.table("model_recall")
        models = tuple(side.name for side in sides)
        published = any(s.run.manifest["config"].get("preset") == "paper" for s in sides)
        order = ("paper", *ORDER) if published else ORDER
        there = reduce(
            lambda a, b: a & b, (set(recall.filter(model=name)["matcher"]) for name in models)
        )
        matchers = tuple(m for m in order if m in there)
        best = recall.filter(
            (pl.col("model") == models[0])
            & (pl.col("matcher") == matchers[0])
            & (pl.col("relation") == "all")
            & (pl.col("lang") != ALL)
        ).sort("acc", "lang", descending=[True, False], nulls_last=True)
        tokens = run.table("model_tokens") if run.has_table("model_tokens") else None
        difference = run.table("model_difference")
        languages = tuple(best["lang"])
        return cls(tuple(sides), models, languages, matchers, recall, difference, tokens)

    @property
    def names(self) -> list[str]:
        """English names of the languages in order, all of them together last."""
        return [language_name(code) for code in (*self.languages, ALL)]

    def place(self, column: str) -> pl.Expr:
        """Rank of a column's language, all languages together last."""
        ranks = {code: i for i, code in enumerate((*self.languages, ALL))}
        return pl.col(column).replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)

    def series(self, column: str = "model") -> pl.Expr:
        """Rank of a column's model."""
        ranks = {name: i for i, name in enumerate(self.models)}
        return pl.col(column).replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)


TIPS = {
    "language": ("language", ""),
    "model": ("model", ""),
    "acc": ("right", ".1%"),
    "lo": ("from", ".1%"),
    "hi": ("to", ".1%"),
    "baseline": ("baseline", ".1%"),
    "n": ("facts", ","),
}
"""Words of the pop-ups."""


def conditions(frame: pl.DataFrame) -> str:
    """The conditions that every caption names."""
    return f"n = {many(frame['n'])} facts."


def many(numbers: pl.Series) -> str:
    """A number, or the span of several."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
