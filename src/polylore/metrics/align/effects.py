"""What changes from one model to another (specification of `align`, sections 2.7 and 9.3).

The same draw of clusters serves both models and all languages, so a difference keeps its pairing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.align.layout import Layout, once
from polylore.metrics.align.performance import accuracies, reference_accuracies, relative
from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.tables.align import EFFECTS

System = tuple[object, ...]


@dataclass(frozen=True)
class Contrast:
    """An arm against another, and what the languages are to them."""

    arm: str
    minus: str
    pairs: tuple[tuple[System, System], ...]
    """(system of the arm, system of the other), one pair per seed."""
    target: str | None = None
    """Language that the arm was trained for."""
    inside: frozenset[str] = frozenset()
    """Other languages in the arm's training mix; all remaining ones are outside."""
    siblings: bool = False
    """Whether a manifest proves that one factor changed."""


@dataclass
class Scores:
    """Relative accuracy of every cell of every set: the estimate, and by bootstrap draw."""

    parser: str
    metric: str
    values: dict[str, Array] = field(default_factory=dict)
    """By set: (1 + D, C); the first row is the estimate."""
    layouts: dict[str, Layout] = field(default_factory=dict)

    def column(self, dataset: str, system: System, lang: str) -> Array:
        """One cell: (1 + D,).

        Raises:
            DataError: the system has no answers there.
        """
        columns = self.layouts[dataset].column_of
        if (*system, lang) not in columns:
            raise DataError(f"{system[0]} has no complete answers to {dataset} in '{lang}'.")
        return np.asarray(self.values[dataset][:, columns[*system, lang]])


def scores(
    layouts: Iterable[Layout],
    weights: Mapping[str, Array],
    *,
    metric: str = "ra",
    reference: str = "constants",
    constants: Mapping[str, float] | None = None,
    pivot: str = "en",
) -> Scores:
    """Unclipped RA (``ra``) or chance-corrected accuracy (``x``) under every draw.

    Args:
        layouts: sets, read by one parser.
        weights: bootstrap weights by set.
        metric: ``ra`` or ``x``.
        reference, constants, pivot: as for `performance`.
    """
    made: Scores | None = None
    for layout in layouts:
        if made is None:
            made = Scores(layout.parser, metric)
        acc = np.concatenate(
            [accuracies(layout, once(layout)), accuracies(layout, weights[layout.dataset])]
        )
        if metric == "ra":
            ref = reference_accuracies(layout, acc, reference, constants or {}, pivot)
        else:
            ref = np.ones_like(acc)
        made.values[layout.dataset] = relative(acc, ref, layout.chance)
        made.layouts[layout.dataset] = layout
    return made or Scores("none", metric)


def effects(
    scored: Scores,
    contrasts: Sequence[Contrast],
    *,
    levels: Mapping[str, Sequence[str]],
    pivot: str = "en",
    flagged: Mapping[tuple[object, ...], str] | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Paired differences of every contrast, per level and group of languages.

    A group's value is the mean over its languages, a level's the mean over its sets; each is taken
    within a draw, so the interval is that of the mean.

    Args:
        scored: what `scores` returned.
        contrasts: which systems to compare.
        levels: sets by level, such as factual: (xgeo, xpeo). Every set is also a level of its own.
        pivot: pivot language.
        flagged: reason by (SYSTEM..., dataset, lang), for cells that cannot be trusted.
        seed: seed of the draws of training seeds.

    Returns:
        Table ALIGN_EFFECTS.

    Raises:
        DataError: a system has no answers in a language that the other one has.
    """
    every = {name: (name,) for name in scored.values} | {
        level: tuple(sets) for level, sets in levels.items() if set(sets) <= set(scored.values)
    }
    rows = []
    for contrast in contrasts:
        for level, sets in every.items():
            langs = shared_languages(scored, contrast, sets)
            for group, members in groups_of(contrast, langs, pivot).items():
                rows.append(
                    {
                        "arm": contrast.arm,
                        "minus": contrast.minus,
                        "parser": scored.parser,
                        "level": level,
                        "metric": scored.metric,
                        "group": group,
                        "langs": members,
                        "flagged": _flagged(contrast, sets, members, flagged or {}),
                    }
                    | _columns(difference(scored, contrast, sets, members, seed))
                )
    return EFFECTS.build(rows)


def shared_languages(scored: Scores, contrast: Contrast, sets: Sequence[str]) -> list[str]:
    """Languages in which both systems answered all the sets."""
    shared: list[str] | None = None
    for name in sets:
        cells = scored.layouts[name].cells
        for system in chain.from_iterable(contrast.pairs):
            here = [row[-1] for row in cells.iter_rows() if row[:-1] == system]
            shared = here if shared is None else [lang for lang in shared if lang in here]
    if not shared:
        raise DataError(
            f"{contrast.arm} and {contrast.minus} have no language in common in {', '.join(sets)}."
        )
    return shared


def groups_of(contrast: Contrast, langs: Sequence[str], pivot: str) -> dict[str, list[str]]:
    others = [lang for lang in langs if lang not in (pivot, contrast.target)]
    groups = {
        "pivot": [lang for lang in langs if lang == pivot],
        "target": [lang for lang in langs if lang == contrast.target],
        "others_in": [lang for lang in others if lang in contrast.inside],
        "others_out": [lang for lang in others if lang not in contrast.inside],
    }
    groups |= {f"lang:{lang}": [lang] for lang in langs}
    return {name: members for name, members in groups.items() if members}


@dataclass(frozen=True)
class Difference:
    """One difference: the estimate, its draws, and its draws with training seeds drawn, too."""

    delta: float
    drawn_D: Array
    reseeded_D: Array | None
    """None with a single seed."""
    n_seeds: int

    @property
    def widest_D(self) -> Array:
        """Draws of everything that was sampled."""
        return self.drawn_D if self.reseeded_D is None else self.reseeded_D


def difference(
    scored: Scores, contrast: Contrast, sets: Sequence[str], langs: Sequence[str], seed: int = 0
) -> Difference:
    """Mean over sets, languages and seeds of arm - minus.

    Clusters alone are drawn in `drawn_D`; in `reseeded_D` the seeds are drawn first.
    """
    per_seed = np.stack(
        [
            np.mean(
                [
                    scored.column(name, arm, lang) - scored.column(name, minus, lang)
                    for name in sets
                    for lang in langs
                ],
                axis=0,
            )
            for arm, minus in contrast.pairs
        ]
    )
    mean = per_seed.mean(axis=0)
    size, draws = len(per_seed), per_seed.shape[1] - 1
    reseeded = None
    if size > 1:
        picks_DS = np.random.default_rng(seed).integers(size, size=(draws, size))
        reseeded = per_seed[picks_DS, np.arange(1, draws + 1)[:, None]].mean(axis=1)
    return Difference(float(mean[0]), mean[1:], reseeded, size)


def ends(drawn_D: Array | None) -> tuple[float | None, float | None]:
    """95 % percentile interval of draws; nothing without draws."""
    if drawn_D is None:
        return None, None
    lo, hi = (float(end[0]) for end in interval(drawn_D[:, None]))
    return (None, None) if np.isnan(lo) else (lo, hi)


def _columns(found: Difference) -> dict[str, float | int | None]:
    lo, hi = ends(found.drawn_D)
    lo_seed, hi_seed = ends(found.reseeded_D)
    return {
        "delta": found.delta,
        "lo": lo,
        "hi": hi,
        "lo_seed": lo_seed,
        "hi_seed": hi_seed,
        "n_seeds": found.n_seeds,
    }


def _flagged(
    contrast: Contrast,
    sets: Sequence[str],
    langs: Sequence[str],
    reasons: Mapping[tuple[object, ...], str],
) -> list[str]:
    return [
        f"{system[0]}, {name}, {lang}: {reasons[*system, name, lang]}"
        for system in dict.fromkeys(chain.from_iterable(contrast.pairs))
        for name in sets
        for lang in langs
        if (*system, name, lang) in reasons
    ]


def contrast_of(
    layouts: Iterable[Layout],
    arm: str,
    minus: str,
    *,
    target: str | None = None,
    inside: Iterable[str] = (),
    mode: str | None = None,
) -> Contrast:
    """Compare two models by name, each at its last step, where they answered in one way only.

    Args:
        layouts: sets with the answers of both.
        arm, minus: the models.
        target, inside: as for `Contrast`.
        mode: only answers in this mode; by default all.

    Raises:
        DataError: there is no such model, or it answered in several ways.
    """
    found: dict[str, list[System]] = {arm: [], minus: []}
    for layout in layouts:
        for row in layout.cells.iter_rows():
            if row[0] in found and row[:-1] not in found[row[0]] and mode in (None, row[2]):
                found[row[0]].append(row[:-1])
    for name, own in found.items():
        last = max((_step(row) for row in own), default=-1)
        own[:] = [row for row in own if _step(row) == last]
        if len(own) != 1:
            raise DataError(
                f"The model '{name}' stands for {len(own)} ways of answering; name one that has "
                "answers, and filter them to one mode and variant."
            )
    return Contrast(arm, minus, ((found[arm][0], found[minus][0]),), target, frozenset(inside))


def _step(system: System) -> int:
    return system[1] if isinstance(system[1], int) else -1
