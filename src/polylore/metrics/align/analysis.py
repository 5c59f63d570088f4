"""Every table of multiple-choice answers, from raw rows alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from polylore.metrics.align.audit import parse_audit, trust
from polylore.metrics.align.claims import claims
from polylore.metrics.align.consistency import Pairs, consistency
from polylore.metrics.align.effects import Contrast, contrast_of, effects, scores
from polylore.metrics.align.free import NAMES, free_layouts, grade_free, habits
from polylore.metrics.align.layout import Layout, cluster_weights, layouts
from polylore.metrics.align.letters import letter_counts
from polylore.metrics.align.norms import with_norms
from polylore.metrics.align.parsed import parse_answers
from polylore.metrics.align.parsers import PARSERS
from polylore.metrics.align.performance import letters, performance
from polylore.metrics.align.rotation import (
    averaged_answers,
    position_sensitivity,
    ranking_overlap,
    rotated_overlap,
)
from polylore.metrics.index import Array
from polylore.tables import Table, align
from polylore.tables.align import FREE_GRADES

Progress = Callable[[int, int, str], None]
HEADLINES = ("letter_ll", "text_ll_byte", "text_ll", "rank", "generate")
"""Ways of answering in the order in which one is chosen to compare models."""
SCORES = "scores"
"""Stands for a parser where options were scored."""


@dataclass(frozen=True)
class Rules:
    """What decides the numbers."""

    pivot: str = "en"
    languages: Sequence[str] | None = None
    """Order of languages; by default that of first appearance."""
    parsers: Sequence[str] = PARSERS
    pairs: Pairs = "pivot"
    reference: str = "constants"
    constants: Mapping[str, float] = field(default_factory=dict)
    """Published reference accuracies by set, in percent."""
    demonstrations: Mapping[str, str] = field(default_factory=dict)
    """Gold letter of the demonstration by set."""
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sets by level."""
    compare: Sequence[tuple[str, str, str | None, Sequence[str]]] = ()
    """(arm, minus, target, languages in the mix) of models to hold against each other."""
    margins: Sequence[float] = (0.0, 0.05)
    draws: int = 2000
    seed: int = 0


def align_tables(
    answers: pl.DataFrame,
    items: pl.DataFrame,
    questions: pl.DataFrame | None = None,
    option_scores: pl.DataFrame | None = None,
    *,
    facts: pl.DataFrame | None = None,
    exposure: pl.DataFrame | None = None,
    rules: Rules | None = None,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Parse, grade and compare.

    Args:
        answers: table ALIGN_ANSWERS; answers with a rotation only serve the rotation columns.
        items: table ALIGN_ITEMS.
        questions: table ALIGN_QUESTIONS, for the lenient parser.
        option_scores: table ALIGN_OPTION_SCORES; its means over rotations become answers.
        facts: table FACTS, for other accepted names in free-form sets.
        exposure: fact_id, lang and seen (boolean), and model and step if it differs by them: what
            training told; adds rows of consistency per class of exposure.
        rules: what decides the numbers.
        progress: called with (done, total, what).

    Returns:
        align_parsed, align_cells, align_consistency, align_letters, align_parse_audit, align_trust,
        with free-form sets align_free, and with comparisons align_effects and align_claims.

    Raises:
        DataError: answers to unknown items, a reference at chance, or an absent model.
    """
    rules = rules or Rules()
    show = progress or (lambda done, total, what: None)
    total = len(rules.parsers) + 3
    show(0, total, "reading the answers")
    grades = FREE_GRADES.empty()
    if (items["n_options"] == 0).any() and questions is not None:
        grades = grade_free(answers, items, questions, facts, option_scores)
    if option_scores is not None:
        closed = items.filter(pl.col("n_options") > 0).select("dataset", "item")
        option_scores = option_scores.join(closed, on=["dataset", "item"], how="semi")
        option_scores = with_norms(option_scores)
        if option_scores.height:
            answers = pl.concat([answers, averaged_answers(option_scores)])
    parsed = parse_answers(answers, items, questions)
    heads = pl.concat([letters(parsed), habits(grades)], how="diagonal")
    made = _Made(rules, heads, _by_item(exposure, items))
    wanted = [*rules.parsers, *([SCORES] if (parsed["status"] == "scored").any() else [])]
    for number, parser in enumerate(wanted, 1):
        show(min(number, total - 2), total, f"grading ({parser})")
        made.add(layouts(parsed, items, parser, rules.languages))
    made.add(free_layouts(grades, items, rules.languages))
    cells = _with_sensitivity(_stacked(made.cells, align.CELLS), parsed)
    pairs = _stacked(made.pairs, align.CONSISTENCY)
    tables = {
        "align_parsed": parsed,
        "align_cells": cells,
        "align_consistency": _with_rotations(pairs, parsed, items, option_scores, rules),
        "align_letters": letter_counts(parsed, items),
        "align_parse_audit": parse_audit(parsed, items),
        "align_trust": trust(cells.filter(pl.col("parser").is_in([made.main, SCORES, NAMES]))),
    }
    if grades.height:
        tables["align_free"] = grades
    if rules.compare:
        show(total - 1, total, "comparing models")
        tables |= made.compared(tables["align_trust"])
    show(total, total, "done")
    return tables


class _Made:
    """Tables in the making."""

    def __init__(
        self, rules: Rules, heads: pl.DataFrame, exposure: pl.DataFrame | None = None
    ) -> None:
        self.rules, self.heads, self.exposure = rules, heads, exposure
        self.cells: list[pl.DataFrame] = []
        self.pairs: list[pl.DataFrame] = []
        self.weights: dict[str, Array] = {}
        self.main = "robust" if "robust" in rules.parsers else rules.parsers[0]
        self.judged: list[Layout] = []

    def add(self, made: Sequence[Layout]) -> None:
        """Grade all sets by one parser."""
        rules = self.rules
        for layout in made:
            weights = self._weights(layout)
            cells = performance(
                layout,
                weights,
                heads=self.heads,
                reference=rules.reference,
                constants=rules.constants,
                demonstrations=rules.demonstrations,
                pivot=rules.pivot,
            )
            bad = set(cells.filter("degenerate").select(*align.SYSTEM_KEY, "lang").iter_rows())
            self.cells.append(cells)
            self.pairs.append(
                consistency(
                    layout,
                    weights,
                    pivot=rules.pivot,
                    pairs=rules.pairs,
                    degenerate=bad,
                    exposure=self._exposure(layout),
                )
            )
            if layout.parser in (self.main, SCORES, NAMES):
                self.judged.append(layout)

    def _exposure(self, layout: Layout) -> pl.DataFrame | None:
        if self.exposure is None:
            return None
        return self.exposure.filter(pl.col("dataset") == layout.dataset)

    def _weights(self, layout: Layout) -> Array | None:
        """The same draws for every parser."""
        if not self.rules.draws:
            return None
        if layout.dataset not in self.weights:
            self.weights[layout.dataset] = cluster_weights(
                layout, self.rules.draws, self.rules.seed
            )
        return self.weights[layout.dataset]

    def compared(self, trusted: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Differences and claims by the main parser."""
        rules = self.rules
        mode, own = self._compared_way()
        scored = scores(
            own,
            {layout.dataset: self._drawn(layout) for layout in own},
            metric=self._metric(own),
            reference=rules.reference,
            constants=rules.constants,
            pivot=rules.pivot,
        )
        levels = dict(rules.levels)
        grouped = {name for sets in levels.values() for name in sets}
        levels |= {name: (name,) for name in scored.values if name not in grouped}
        contrasts: list[Contrast] = [
            contrast_of(own, arm, minus, target=target, inside=inside, mode=mode)
            for arm, minus, target, inside in rules.compare
        ]
        reasons = {
            tuple(row[:-1]): str(row[-1])
            for row in trusted.filter(~pl.col("usable"))
            .select(*align.SYSTEM_KEY, "dataset", "lang", "reason")
            .iter_rows()
        }
        return {
            "align_effects": effects(
                scored,
                contrasts,
                levels=rules.levels,
                pivot=rules.pivot,
                flagged=reasons,
                seed=rules.seed,
            ),
            "align_claims": claims(
                scored,
                contrasts,
                levels=levels,
                pivot=rules.pivot,
                margins=rules.margins,
                seed=rules.seed,
            ),
        }

    def _compared_way(self) -> tuple[str | None, list[Layout]]:
        """The way of answering that models are compared in, and the sets answered so.

        Texts read by the main parser where there are any, else the first of `HEADLINES`.
        """
        read = [layout for layout in self.judged if layout.parser == self.main]
        if read:
            return None, read
        there = {mode for layout in self.judged for mode in layout.cells["mode"]}
        mode = next((name for name in HEADLINES if name in there), None)
        return mode, [one for one in self.judged if mode in set(one.cells["mode"])]

    def _metric(self, own: Sequence[Layout]) -> str:
        """Relative accuracy, or chance-corrected accuracy where a set has no reference."""
        constants = self.rules.reference == "constants"
        return "x" if constants and {o.dataset for o in own} - set(self.rules.constants) else "ra"

    def _drawn(self, layout: Layout) -> Array:
        weights = self._weights(layout)
        return cluster_weights(layout, 0, self.rules.seed) if weights is None else weights


def _by_item(exposure: pl.DataFrame | None, items: pl.DataFrame) -> pl.DataFrame | None:
    """Exposure of the items whose facts it knows."""
    if exposure is None:
        return None
    keys = items.select("dataset", "item", "fact_id")
    return exposure.join(keys, on="fact_id", how="inner", maintain_order="left").drop_nulls("seen")


def _stacked(parts: Sequence[pl.DataFrame], table: Table) -> pl.DataFrame:
    return table.validate(pl.concat(parts)) if parts else table.empty()


def _with_sensitivity(cells: pl.DataFrame, parsed: pl.DataFrame) -> pl.DataFrame:
    keys = [*align.SYSTEM_KEY, "dataset", "lang"]
    found = position_sensitivity(parsed)
    if not found.height:
        return cells
    joined = cells.drop("position_sensitivity").join(
        found, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    return align.CELLS.validate(joined)


def _with_rotations(
    pairs: pl.DataFrame,
    parsed: pl.DataFrame,
    items: pl.DataFrame,
    option_scores: pl.DataFrame | None,
    rules: Rules,
) -> pl.DataFrame:
    """Columns that need rotations or scores of options."""
    keys = [*align.SYSTEM_KEY, "dataset", "pivot", "lang"]
    distinct = pairs.select(keys).unique(maintain_order=True)
    added = []
    if parsed["rotation"].drop_nulls().n_unique() > 1:
        added.append(rotated_overlap(parsed, items, distinct, rules.languages))
    if option_scores is not None and option_scores.height:
        added.append(ranking_overlap(option_scores, distinct))
    for found in added:
        names = [name for name in found.columns if name not in keys]
        pairs = pairs.drop(names).join(
            found, on=keys, how="left", nulls_equal=True, maintain_order="left"
        )
    return align.CONSISTENCY.validate(pairs)
