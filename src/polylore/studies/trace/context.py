"""What every part of the report needs to know about the run: tables, axis, names, conditions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from polylore.report.axes import LogAxis
from polylore.report.languages import ALL as ALL_LANGUAGES
from polylore.report.languages import name as language_name
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig
from polylore.tables.course import course

MATCHERS = {
    "default": "bounded match",
    "paper": "published prefix match",
    "candidates": "gold ranked first",
    "candidates_per_token": "gold ranked first, per token",
    "candidates_per_byte": "gold ranked first, per byte",
    "candidates_pmi": "gold ranked first, minus its prior",
    "candidates_content_free": "gold ranked first without a subject",
}
"""Matchers in plain words."""

TAUGHT, UNREAD, ALL = "read in training", "never read", "all facts"
SERIES = {"taught": TAUGHT, "held_out": UNREAD, "all": ALL}
"""Strata of the headline, in the order of their colours."""


@dataclass(frozen=True)
class Context:
    """One run, opened for reporting."""

    run: RunFolder
    analyse: AnalyseConfig
    _cache: dict[str, pl.DataFrame | None] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> pl.DataFrame | None:
        """A table of the run, whole or collected from its units; None if absent or empty."""
        if name not in self._cache:
            whole = self.run.has_table(name)
            frame = self.run.table(name) if whole else self.run.read(name)
            self._cache[name] = frame if frame.height else None
        return self._cache[name]

    @property
    def pivot(self) -> str:
        """Pivot language."""
        return self.analyse.pivot

    @cached_property
    def preset(self) -> str:
        """`default` or `paper`."""
        return str(self.run.manifest.get("config", {}).get("preset", "default"))

    @cached_property
    def matcher(self) -> str:
        """Matcher of the headline: the preset's own if there are free answers, else candidates."""
        recall = self.table("recall")
        there = set(recall["matcher"]) if recall is not None else set()
        order = ("paper", "default") if self.preset == "paper" else ("default", "paper")
        return next((m for m in (*order, *MATCHERS) if m in there), "default")

    @cached_property
    def checkpoints(self) -> pl.DataFrame:
        """ckpt_id, step, tokens, label: the course of training, see `tables.course`.

        Falls back to the recall table's own axis where the run has no table of checkpoints.
        """
        source = self.table("checkpoints")
        if source is not None:
            frame = course(source)
        else:
            recall = self.table("recall")
            empty = pl.DataFrame(
                schema={"ckpt_id": pl.String, "step": pl.Int64, "tokens": pl.Int64}
            )
            kept = (recall if recall is not None else empty).unique("ckpt_id", maintain_order=True)
            frame = kept.select("ckpt_id", "step", "tokens").sort(
                "step", "tokens", nulls_last=True, maintain_order=True
            )
        values = frame["tokens"] if self._has_tokens(frame) else frame["step"]
        labels = [
            quantity(value) if value is not None else ckpt
            for ckpt, value in zip(frame["ckpt_id"], values, strict=True)
        ]
        return frame.with_columns(label=pl.Series(labels, dtype=pl.String))

    @staticmethod
    def _has_tokens(frame: pl.DataFrame) -> bool:
        timed = frame.filter(pl.col("step").is_not_null() | pl.col("tokens").is_not_null())
        return timed.height > 0 and timed["tokens"].null_count() == 0

    @cached_property
    def final(self) -> str | None:
        """The last checkpoint that has results."""
        recall = self.table("recall")
        if recall is None:
            return None
        there = set(recall["ckpt_id"])
        ordered = [c for c in self.checkpoints["ckpt_id"] if c in there]
        return ordered[-1] if ordered else None

    @cached_property
    def final_words(self) -> str:
        """The last checkpoint as a reader would name it."""
        row = self.checkpoints.filter(pl.col("ckpt_id") == self.final).row(0, named=True)
        if row["step"] is None:
            return str(row["ckpt_id"])
        tokens = f", {quantity(row['tokens'])} tokens" if row["tokens"] is not None else ""
        # Its step in all stages together is in no name that a reader knows.
        return f"{row['ckpt_id']}{tokens}" if self._staged else f"step {row['step']:,}{tokens}"

    @cached_property
    def _staged(self) -> bool:
        source = self.table("checkpoints")
        if source is None or "total_step" not in source.columns:
            return False
        return source["total_step"].null_count() < source.height

    @cached_property
    def axis_column(self) -> str:
        """`tokens`, or `step` where the tokens are not known."""
        return "tokens" if self._has_tokens(self.checkpoints) else "step"

    @property
    def axis_title(self) -> str:
        """Title of the training axis."""
        if self.axis_column == "tokens":
            return "training tokens"
        return "training steps of all stages" if self._staged else "training steps"

    @cached_property
    def axis(self) -> LogAxis:
        """The log axis of training."""
        return LogAxis.over(self.checkpoints[self.axis_column].to_list())

    @cached_property
    def trajectory(self) -> bool:
        """Whether at least two checkpoints have results and a place in training."""
        recall = self.table("recall")
        if recall is None:
            return False
        timed = self.on_axis(recall)
        return timed["ckpt_id"].n_unique() > 1

    def on_axis(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of checkpoints that have a place in training, with it as `x`."""
        kept = frame.filter(pl.col(self.axis_column).is_not_null())
        if "ckpt_id" in frame.columns:
            known = self.checkpoints["ckpt_id"].to_list()
            kept = kept.filter(pl.col("ckpt_id").is_in(known))
        return kept.with_columns(x=self.axis.place(self.axis_column)).sort(self.axis_column)

    def at_end(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the last checkpoint."""
        return frame.filter(pl.col("ckpt_id") == pl.lit(self.final, pl.String))

    def headline(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the headline matcher and, where wordings are told apart, headline wordings."""
        rows = frame.filter(pl.col("matcher") == self.matcher)
        wanted = self.analyse.headline_variants
        if wanted is None or "variant" not in frame.columns:
            return rows
        return rows.filter(pl.col("variant").is_in(wanted))

    @cached_property
    def strata(self) -> tuple[str, ...]:
        """Strata of the headline: taught and held_out where the run has them, else all."""
        recall = self.table("recall")
        there = set(recall["stratum"]) if recall is not None else set()
        return ("taught", "held_out") if {"taught", "held_out"} <= there else ("all",)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Languages, best recall at the end first."""
        recall = self.table("recall")
        if recall is None:
            facts = self.table("facts")
            return tuple(facts["lang"].unique(maintain_order=True)) if facts is not None else ()
        end = self.at_end(self.headline(recall)).filter(
            (pl.col("relation") == "all") & (pl.col("stratum") == self.strata[0])
        )
        best = end.sort("acc", "lang", descending=[True, False], nulls_last=True)["lang"].to_list()
        rest = sorted(set(recall["lang"]) - set(best))
        return (*best, *rest)

    def place(self, column: str) -> pl.Expr:
        """Rank of a column's language in `languages`, for sorting."""
        ranks = {code: i for i, code in enumerate(self.languages)}
        return pl.col(column).replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)

    @property
    def names(self) -> list[str]:
        """English names of the languages, in order; all languages pooled come last."""
        return [language_name(code) for code in (*self.languages, ALL_LANGUAGES)]

    @cached_property
    def exposure_kind(self) -> str:
        """exact, scaled, total, or none without counts."""
        exposure = self.table("exposure")
        if exposure is None:
            return "none"
        return " and ".join(sorted(set(exposure["exposure_kind"])))

    def conditions(self, n: int | Sequence[int] | pl.Series, *, matcher: str | None = None) -> str:
        """The conditions every caption names: preset, matcher, exposure kind, pivot, n."""
        numbers = [n] if isinstance(n, int) else [int(v) for v in n if v is not None]
        low, high = (min(numbers), max(numbers)) if numbers else (0, 0)
        many = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        names = self.matcher if matcher is None else matcher
        return (
            f"Preset {self.preset}; matcher {names}; exposure {self.exposure_kind}; "
            f"pivot {language_name(self.pivot)}; n = {many} facts."
        )


def with_names(frame: pl.DataFrame, source: str = "lang", target: str = "language") -> pl.DataFrame:
    """Add the English names of a column of language codes."""
    codes = frame[source].unique().to_list()
    mapping = {code: language_name(code) for code in codes}
    return frame.with_columns(
        pl.col(source).replace_strict(mapping, return_dtype=pl.String).alias(target)
    )


def quantity(value: float | None) -> str:
    """A count as people write it on an axis: 0, 950, 1.5k, 300M, 4.2B."""
    if value is None:
        return "unknown"
    for size, sign in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share in percent; a dash if there is none."""
    return "–" if value is None else f"{100 * value:.1f} %".replace("-", "−")


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A share with its 95 % interval."""
    if low is None or high is None:
        return f"{percent(value)} (no interval)"
    return f"{percent(value)} [{100 * low:.1f}, {100 * high:.1f}]".replace("[-", "[−")
