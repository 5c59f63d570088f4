"""How often a donor's knowledge brings a fact along (specification of `trace`, section 2.5)."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.pathways.curve import Curve
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.resamples import Resamples

CELLS = 10
"""Cells that a rate needs at least."""
RELATION_CELLS = 30
"""Cells that the rate of a single relation needs at least."""


@dataclass(frozen=True)
class Rate:
    """Transfer rate of one language (or all together) and relation (or all)."""

    lang: str
    relation: str
    n: int
    """Cells whose donor knows the fact and that share no string."""
    right: int
    expected: float
    """Right answers among them that the no-donor curve expects."""
    t_D: Array
    """Estimate first, then draws; NaN where there is none."""
    reason: str | None


@dataclass(frozen=True)
class Rates:
    """All rates of a checkpoint."""

    rates: list[Rate]
    own_LD: Array
    """Rate of each language over all relations, (L, D); NaN in the pivot."""


def transfer_rates(
    evidence: Evidence, curve: Curve, resamples: Resamples, *, by_relation: bool = True
) -> Rates:
    """Noisy-or rate t = sum(y - p)/sum(1 - p) over the cells that a donor may have helped.

    In a draw the curve is the one fitted in that draw. A negative rate is reported as it is.

    Args:
        evidence: the cells of one checkpoint.
        curve: the no-donor curve of the same checkpoint.
        resamples: weightings of the facts.
        by_relation: also rates of single relations with at least 30 such cells.

    Returns:
        Rates by language, by relation and language, and pooled over languages (``all``).
    """
    cells = evidence.helped
    if curve.with_donor:
        cells = cells & ~np.isnan(evidence.x_donor)
    at = np.nonzero(cells)
    relations = len(evidence.index.relations)
    group_N = at[1] * relations + evidence.relation_F[at[0]]
    groups = len(evidence.langs) * relations
    n_G = np.bincount(group_N, minlength=groups)
    right_G = np.bincount(group_N, weights=evidence.y[at], minlength=groups)
    wrong = evidence.y[at] == 0
    wrong_GD = resamples.sums(at[0][wrong], group_N[wrong], groups)
    room_GD = np.zeros_like(wrong_GD)
    if curve.exists and len(group_N):
        members = sparse.csr_matrix(
            (np.ones(len(group_N)), (group_N, np.arange(len(group_N)))),
            shape=(groups, len(group_N)),
        )
        for columns in resamples.blocks(len(group_N)):
            weight_ND = resamples.weights_FD[at[0], columns]
            room_GD[:, columns] = members @ (weight_ND * (1 - curve.p(evidence, at, columns)))
    # y - p = (1 - p) - (1 - y)
    table = _Sums(curve, n_G, right_G, room_GD - wrong_GD, room_GD)
    rates = []
    own_LD = np.full((len(evidence.langs), resamples.width), np.nan)
    for at_l, lang in enumerate(evidence.langs):
        if at_l != evidence.home:
            rate = table.rate(lang, "all", slice(at_l * relations, (at_l + 1) * relations))
            own_LD[at_l] = rate.t_D
            rates.append(rate)
    everything = slice(0, groups)
    rates.append(table.rate("all", "all", everything))
    for r, relation in enumerate(evidence.index.relations if by_relation else ()):
        for at_l, lang in enumerate(evidence.langs):
            rates.append(table.rate(lang, relation, slice(own := at_l * relations + r, own + 1)))
        rates.append(table.rate("all", relation, slice(r, None, relations)))
    enough = RELATION_CELLS
    return Rates([r for r in rates if r.relation == "all" or r.n >= enough], own_LD)


@dataclass(frozen=True)
class _Sums:
    """Sums over the helped cells by (language, relation)."""

    curve: Curve
    n_G: Array
    right_G: Array
    gain_GD: Array
    room_GD: Array

    def rate(self, lang: str, relation: str, groups: slice) -> Rate:
        n, right = int(self.n_G[groups].sum()), int(self.right_G[groups].sum())
        gain_D, room_D = self.gain_GD[groups].sum(axis=0), self.room_GD[groups].sum(axis=0)
        reason = self.curve.reason
        if reason is None and n < CELLS:
            reason = f"fewer than {CELLS} facts that a donor knows"
        absent = np.full(gain_D.shape, np.nan)
        t_D = divide(gain_D, room_D) if reason is None else absent
        expected = float(right - gain_D[0]) if self.curve.exists else float("nan")
        return Rate(lang, relation, n, right, expected, t_D, reason)
