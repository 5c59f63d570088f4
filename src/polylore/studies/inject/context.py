"""The tables of a run of `inject`, opened for reporting."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from polylore.tables.inject import RUNS

DEPTHS = ("memorization", "semantic", "compositional", "two_hop_background", "bridge")
_ARMS = ("duplication", "paraphrase", "once", "mixed_language")
SHOWN = 6
"""Series of one panel that can be told apart."""
REASONS = {
    "few_items": "fewer than ten items",
    "missing_states": "not every state was read",
    "no_control_items": "no control items",
    "denominator_not_positive": "denominator not surely above 0",
    "denominator_not_different_from_zero": "the gain at the peak is not surely different from 0",
    "no_diagonal": "the arm has no items told in that language",
    "no_readings": "no readings there",
    "few_readings": "too few readings",
    "log_ends_too_early": "the log ends too early",
    "unequal_exposures": "items differ in their number of exposures",
    "no_resamples": "no resamples were asked for",
    "interval_holds_zero": "the interval holds zero",
    "not_identified": "the readings do not tell how fast it is forgotten",
    "interval_crosses_the_margin": "the interval crosses the margin",
    "signs_differ_between_seeds": "seeds differ in sign",
    "no_number_in_a_seed": "there is no number, or zero, in some seed",
    "no_form_wins": "no form wins in 90 % of resamples",
    "one_baseline_reading": "one reading before the first exposure",
    "nothing_learned_to_be_forgotten": "nothing was surely learned that could be forgotten",
    "no_positive_value": "no value is positive",
    "maximum_over_read_states": "not every state was read: the largest of those that were",
    "line_does_not_fall": "the published line does not fall to zero",
    "open_bracket": "the measured bracket is open on that side",
    "no_bracket": "the sweep has no bracket",
}
"""Reasons in words."""


@dataclass(frozen=True)
class InjectContext:
    """What pages are made of."""

    tables: Mapping[str, pl.DataFrame]
    """Derived tables and inject_runs, inject_dose, by name; absent or empty ones are left out."""
    main: str
    """The condition that the pages are about unless they say otherwise."""
    missing: pl.DataFrame = field(default_factory=RUNS.empty)
    """Training runs that are planned and not there."""

    def table(self, name: str) -> pl.DataFrame | None:
        """A table, None if it is absent or empty."""
        frame = self.tables.get(name)
        return frame if frame is not None and frame.height else None

    def pooled(self, name: str, condition: str | None = None) -> pl.DataFrame | None:
        """Rows of a condition (default: the main one), all its seeds together."""
        frame = self.table(name)
        own = None if frame is None else frame.filter(run_id=condition or self.main)
        return own if own is not None and own.height else None

    @cached_property
    def runs(self) -> pl.DataFrame:
        """Training runs that are there."""
        return self.tables["inject_runs"]

    @cached_property
    def conditions(self) -> list[str]:
        """Conditions that were analysed, the main one first."""
        names = self.runs.filter(role="main")["condition"].unique(maintain_order=True).to_list()
        return [self.main, *(n for n in names if n != self.main)]

    @cached_property
    def seeds(self) -> int:
        """Seeds of the main condition."""
        return self.runs.filter(condition=self.main)["seed"].n_unique()

    @cached_property
    def arms(self) -> list[str]:
        """Injected arms of the main condition in the order of the paper."""
        return self.arms_of(self.main)

    def arms_of(self, condition: str) -> list[str]:
        """Injected arms of a condition."""
        found = self.pooled("inject_effectivity", condition)
        names = [] if found is None else found["arm"].unique().to_list()
        return sorted(names, key=_arm_order)

    @cached_property
    def depths(self) -> list[str]:
        """Depths that were asked."""
        found = self.pooled("inject_effectivity")
        names = [] if found is None else found["depth"].unique().to_list()
        known = [d for d in DEPTHS if d in names]
        return known + sorted(set(names) - set(known))

    @cached_property
    def langs(self) -> list[str]:
        """Languages of probes."""
        found = self.pooled("inject_effectivity")
        return [] if found is None else sorted(found["probe_lang"].unique())

    @cached_property
    def several(self) -> bool:
        """Whether facts were asked in another language than that of injection."""
        found = self.pooled("inject_effectivity")
        return found is not None and found.filter(~own()).height > 0

    @cached_property
    def items(self) -> int:
        """Injected items behind the cells of the main condition, over all seeds."""
        found = self.pooled("inject_kernels")
        if found is None:
            return 0
        cells = found.filter(depth=self.depths[0]).unique(["arm", "inject_lang"], keep="first")
        return int(cells["n_items"].sum())

    def said(self, *parts: str, condition: str | None = None) -> str:
        """The conditions that every caption names."""
        name = condition or self.main
        seeds = self.runs.filter(condition=name)["seed"].n_unique()
        where = f"Condition {name}, {seeds} {plural(seeds, 'seed')}"
        return "; ".join([where, *parts]) + "."

    def ordered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of a table by condition, arm and depth, as people think of them."""
        if "run_id" in frame.columns:
            frame = order(frame, "run_id", self.conditions)
        if "depth" in frame.columns:
            frame = order(frame, "depth", self.depths)
        arms = [a for name in self.conditions for a in self.arms_of(name)]
        return order(frame, "arm", dict.fromkeys(arms)) if "arm" in frame.columns else frame

    @cached_property
    def sparse(self) -> bool:
        """Whether states are missing, so that the published retention could not be computed."""
        decay = self.pooled("inject_decay")
        return decay is not None and (decay["reason"] == "missing_states").any()


def _arm_order(name: str) -> tuple[int, int, str]:
    number = name.removeprefix("interval_")
    if name in _ARMS:
        return _ARMS.index(name), 0, name
    return len(_ARMS), int(number) if number.isdigit() else 0, name


def own() -> pl.Expr:
    """Rows asked in the language of injection; with turning languages every one is."""
    return (pl.col("inject_lang") == pl.col("probe_lang")) | (pl.col("inject_lang") == "mixed")


def pair() -> pl.Expr:
    """The two languages in words."""
    return pl.format("{} → {}", "inject_lang", "probe_lang").alias("pair")


def short(value: float) -> str:
    """A number of steps or tokens in words: from ten thousand on with three digits that count."""
    if value < 10_000:
        return f"{value:,.0f}"
    cut = float(f"{value:.3g}")
    size, letter = next(
        (pair for pair in ((1e12, "T"), (1e9, "B"), (1e6, "M")) if cut >= pair[0]), (1e3, "K")
    )
    return f"{cut / size:.4g}{letter}"


def plural(n: object, word: str) -> str:
    """The word for so many."""
    return word if n == 1 else f"{word}s"


def suffixed_note(frame: pl.DataFrame) -> str:
    """What a caption says of cells whose targets are scored with a suffix; empty without any."""
    if not (frame["suffixed"].fill_null(0) > 0).any():
        return ""
    langs = ", ".join(frame.filter(pl.col("suffixed") > 0)["probe_lang"].unique().sort())
    return (
        f" With suffix ({langs}): share of probes whose target is scored together with what "
        "follows it in the sentence; gains there are of both, so read the margin over distractors "
        "with the same suffix instead (page on trust)."
    )


def suffixed_column(frame: pl.DataFrame) -> dict[str, str]:
    """The column of these shares, where any cell has such probes."""
    return {"suffixed": "With suffix"} if suffixed_note(frame) else {}


def in_words(column: str = "reason") -> pl.Expr:
    """Reasons in words; those without stay as they are."""
    return pl.col(column).replace(REASONS)


def order(frame: pl.DataFrame, column: str, names: Iterable[str]) -> pl.DataFrame:
    """Rows in the order of some names."""
    place = {name: k for k, name in enumerate(names)}
    return frame.sort(
        pl.col(column).replace_strict(place, default=len(place), return_dtype=pl.Int32),
        maintain_order=True,
    )
