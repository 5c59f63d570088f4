"""What right answers are made of: frequency, transfer, and the floor of guessing (`trace`, 2.5).

Shares of single cells are uncertain; their sums are the headline, never the number of labels.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from polylore.metrics.index import Array
from polylore.metrics.pathways.curve import Curve
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.resamples import Resamples

STRATA = ("all", "apart")
"""All right cells, or only those that share no string with the pivot or the question."""


@dataclass(frozen=True)
class Shares:
    """Where each right cell comes from: matrices (F, L), NaN for cells without an estimate."""

    p: Array
    """Probability without a donor, of every cell with an exposure, right or wrong."""
    floor: Array
    """The same at exposure zero."""
    frequency: Array
    transfer: Array
    at_zero: Array
    """Share of the floor: what guessing alone gives."""


@dataclass(frozen=True)
class Part:
    """Sums over the right cells of one (language, relation, stratum)."""

    lang: str
    relation: str
    stratum: str
    n: int
    """Cells with an answer."""
    right: int
    attributed: int
    """Right cells with an estimate."""
    frequency: float
    floor: float
    transfer_D: Array
    """Estimate first, then draws."""


def shares(evidence: Evidence, curve: Curve, own_LD: Array) -> Shares:
    """Shares of the estimate: e_freq = (p - p_0)/D, e_transfer = (1 - p) t k / D, e_floor = p_0/D.

    D = p + (1 - p) t k, with t the rate of the language, clipped at 0. The three sum to 1.
    """
    p, floor, frequency, transfer, at_zero = (np.full(evidence.y.shape, np.nan) for _ in range(5))
    cells = ~np.isnan(evidence.x)
    at = np.nonzero(cells)
    if curve.exists and len(at[0]):
        one = slice(0, 1)
        p[at], floor[at] = curve.p(evidence, at, one)[:, 0], curve.floor(evidence, at, one)[:, 0]
        brought = (1 - p) * _strength(evidence, own_LD[:, 0])
        right = evidence.y == 1
        whole = np.where(right & (p + brought > 0), p + brought, np.nan)
        frequency, transfer, at_zero = (p - floor) / whole, brought / whole, floor / whole
    return Shares(p, floor, frequency, transfer, at_zero)


def _strength(evidence: Evidence, t_L: Array) -> Array:
    """t k by cell, t clipped at 0; no help means 0 also where t is unknown."""
    clipped_L = np.maximum(t_L, 0)
    return np.where(evidence.k == 0, 0.0, clipped_L * evidence.k)


def composition(
    evidence: Evidence, curve: Curve, own_LD: Array, resamples: Resamples
) -> list[Part]:
    """Sums of the shares by language, relation (and all) and stratum; ``all`` languages but the
    pivot together.

    Args:
        evidence: the cells of one checkpoint.
        curve: the no-donor curve.
        own_LD: rate of each language (`Rates.own_LD`).
        resamples: weightings of the facts; in a draw curve and rates are those of the draw.
    """
    found = shares(evidence, curve, own_LD)
    relations, langs = len(evidence.index.relations), len(evidence.langs)
    place_FL = np.arange(langs) * relations + evidence.relation_F[:, None]
    groups = langs * relations

    def counted(cells: Array, values: Array | None = None) -> Array:
        weights = None if values is None else values[cells]
        return np.bincount(place_FL[cells], weights=weights, minlength=groups)

    parts = []
    for stratum in STRATA:
        inside = np.ones(evidence.y.shape, dtype=bool) if stratum == "all" else ~evidence.shared
        right = inside & (evidence.y == 1)
        attributed = right & ~np.isnan(found.transfer)
        sums = _Table(
            evidence,
            stratum,
            counted(inside & ~np.isnan(evidence.y)),
            counted(right),
            counted(attributed),
            counted(attributed, found.frequency),
            counted(attributed, found.at_zero),
            _transfer_sums(evidence, curve, own_LD, resamples, attributed, place_FL, groups),
        )
        parts += sums.parts()
    return parts


def _transfer_sums(
    evidence: Evidence,
    curve: Curve,
    own_LD: Array,
    resamples: Resamples,
    cells: Array,
    place_FL: Array,
    groups: int,
) -> Array:
    """Sum of e_transfer by group and weighting: (G, D).

    The rate is clipped in the data, not in the draws: otherwise no sum could fall to 0, whatever
    the answers.
    """
    out_GD = np.zeros((groups, resamples.width))
    at = np.nonzero(cells & (evidence.k == 1))
    if not len(at[0]):
        return out_GD
    members = sparse.csr_matrix(
        (np.ones(len(at[0])), (place_FL[at], np.arange(len(at[0])))), shape=(groups, len(at[0]))
    )
    for columns in resamples.blocks(len(at[0])):
        p_ND = curve.p(evidence, at, columns)
        brought_ND = (1 - p_ND) * own_LD[at[1], columns]
        if columns.start == 0:
            brought_ND = np.maximum(brought_ND, 0)
        whole_ND = p_ND + np.maximum(brought_ND, 0)
        share_ND = brought_ND / np.maximum(whole_ND, np.finfo(float).tiny)
        out_GD[:, columns] = members @ (resamples.weights_FD[at[0], columns] * share_ND)
    return out_GD


@dataclass(frozen=True)
class _Table:
    """Sums by (language, relation)."""

    evidence: Evidence
    stratum: str
    n: Array
    right: Array
    attributed: Array
    frequency: Array
    floor: Array
    transfer_GD: Array

    def parts(self) -> list[Part]:
        relations = self.evidence.index.relations
        found = []
        langs = list(enumerate(self.evidence.langs))
        for at, lang in langs:
            start = at * len(relations)
            rows = np.arange(start, start + len(relations))
            found.append(self._part(lang, "all", rows))
            found += [self._part(lang, r, rows[[i]]) for i, r in enumerate(relations)]
        foreign = [at for at, _ in langs if at != self.evidence.home]
        rows = np.array([at * len(relations) for at in foreign])[:, None] + np.arange(
            len(relations)
        )
        found.append(self._part("all", "all", rows.ravel()))
        found += [self._part("all", r, rows[:, i]) for i, r in enumerate(relations)]
        return [part for part in found if part.n]

    def _part(self, lang: str, relation: str, rows: Array) -> Part:
        rows = rows.astype(np.int64)
        return Part(
            lang=lang,
            relation=relation,
            stratum=self.stratum,
            n=int(self.n[rows].sum()),
            right=int(self.right[rows].sum()),
            attributed=int(self.attributed[rows].sum()),
            frequency=float(self.frequency[rows].sum()),
            floor=float(self.floor[rows].sum()),
            transfer_D=self.transfer_GD[rows].sum(axis=0),
        )
