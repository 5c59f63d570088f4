"""Does a fact come sooner once a donor knows it? (specification of `trace`, section 2.4)"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from polylore.metrics.bootstrap import Draws
from polylore.metrics.index import Array
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.pathways.course import Course
from polylore.metrics.pathways.shuffle import alike_groups, exchange
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.pathways import HAZARD

EVENTS = 10
"""Acquisitions that are needed at least."""
RIDGE = 1e-3
"""Weight of half the squares of all coefficients: keeps those of checkpoints without any
acquisition finite."""
SHUFFLES = 100


def hazard(
    course: Course, *, draws: Draws | None = None, shuffles: int = SHUFFLES, seed: int = 0
) -> pl.DataFrame:
    """Discrete-time hazard of acquisition, with what the donor knew a checkpoint before.

    logit P(acquired at s | not before) = alpha_s + beta log10(1 + E_l(s)) + gamma [a donor knew it
    at the previous checkpoint] + effect of the relation. A fact is at risk from the second
    checkpoint of the timeline up to the start of its first sustained run; one that was known at the
    first checkpoint, or that has no answer or exposure at a checkpoint, has no row there. Intervals
    resample facts and update the fit by one step of Newton's method. Exposure that E does not
    measure can make gamma positive by itself, so it stands beside the gammas of donors shuffled
    among facts of the same relation and tenth of donor exposure. Gamma sees only what comes at
    least one checkpoint after the donor: transfer within the interval in which the donor learns
    leaves behind the facts that did not come along, and makes gamma negative.

    Args:
        course: one matcher's answers.
        draws: bootstrap draws; without them no intervals.
        shuffles: number of shuffles.
        seed: seed of the shuffles.

    Returns:
        Table HAZARD: a row for all languages but the pivot together, and one per language; null
        with a reason where fewer than 10 facts were acquired. Empty without a trajectory.
    """
    resamples = Resamples.of(course.index, draws)
    risks = _at_risk(course)
    rows: list[dict[str, Any]] = []
    home = course.langs.index(course.rules.pivot)
    foreign = [i for i in range(len(course.langs)) if i != home]
    scopes = [("all", foreign), *((course.langs[i], [i]) for i in foreign)]
    for lang, members in scopes:
        if risks is None:
            break
        own = risks.of(members)
        row: dict[str, Any] = {"matcher": course.matcher, "lang": lang}
        row |= {"n": len(own.y), "events": int(own.y.sum())}
        rows.append(row | _fitted(own, resamples, shuffles, seed))
    return HAZARD.build(rows)


@dataclass(frozen=True)
class _Risks:
    """One row per fact, language and checkpoint at which it could have been acquired."""

    fact: Array
    lang: Array
    time: Array
    """Number of the checkpoint, from 0 for the second of the timeline."""
    relation: Array
    x: Array
    y: Array
    prior_TFL: Array
    """Whether a donor knew each fact at the checkpoint before; NaN if unknown."""
    alike_F: Array
    """Group of facts that donors may be exchanged in."""

    @property
    def donor(self) -> Array:
        """What the donor of each row knew the checkpoint before."""
        return np.asarray(self.prior_TFL[self.time, self.fact, self.lang])

    def of(self, langs: list[int]) -> "_Risks":
        """Rows of some languages, by fact."""
        kept = np.flatnonzero(np.isin(self.lang, langs))
        kept = kept[np.argsort(self.fact[kept], kind="stable")]
        rows = ("fact", "lang", "time", "relation", "x", "y")
        return replace(self, **{name: getattr(self, name)[kept] for name in rows})


def _at_risk(course: Course) -> _Risks | None:
    """Every chance of an acquisition; None with fewer than two places of the timeline."""
    times = course.timed()
    rows: list[tuple[Array, ...]] = []
    known: list[Array] = []
    when = course.sustained_FL
    evidence = None
    for number, t in enumerate(times):
        evidence = course.at(t)
        if number:
            place = course.places_T[t]
            waiting = (when < 0) | (when >= place)
            usable = waiting & evidence.known & evidence.foreign_L & ~np.isnan(known[-1])
            at = np.nonzero(usable)
            time = np.full(len(at[0]), number - 1)
            acquired = (when[at] == place).astype(np.float64)
            rows.append((*at, time, evidence.relation_F[at[0]], evidence.x[at], acquired))
        known.append(evidence.k)
    if evidence is None or not rows:
        return None
    fact, lang, time, relation, x, y = (np.concatenate(c) for c in zip(*rows, strict=True))
    groups = alike_groups(evidence.relation_F, evidence.x[:, evidence.home])
    return _Risks(fact, lang, time, relation, x, y, np.stack(known[:-1]), groups)


def _fitted(risks: _Risks, resamples: Resamples, shuffles: int, seed: int) -> dict[str, Any]:
    if risks.y.sum() < EVENTS:
        return {"reason": f"fewer than {EVENTS} facts acquired"}
    if risks.donor.min() == risks.donor.max():
        return {"reason": "donors knew all of these facts, or none"}
    if np.ptp(risks.x) == 0:
        return {"reason": "no exposure known, or it is constant"}
    x_NK = np.column_stack(
        [risks.donor, risks.x, _one_hot(risks.time), _one_hot(risks.relation)[:, 1:]]
    )
    penalty_K = np.full(x_NK.shape[1], RIDGE)
    beta_K = logistic_fit(x_NK, risks.y, penalty_K)
    if np.isnan(beta_K).any():
        return {"reason": "the fit did not settle"}
    found = {"gamma": float(beta_K[0]), "beta": float(beta_K[1]), "reason": None}
    if resamples.width > 1:
        sampled = _sampled(x_NK, risks, beta_K, penalty_K, resamples)
        for name, column in (("gamma", 0), ("beta", 1)):
            _, lo, hi = ends(np.append(beta_K[column], sampled[:, column])[None])
            found |= {f"{name}_lo": float(lo[0]), f"{name}_hi": float(hi[0])}
    gammas = _shuffled(x_NK, risks, penalty_K, shuffles, seed)
    if len(gammas):
        lo, hi = np.quantile(gammas, [0.025, 0.975])
        found |= {
            "gamma_permuted": float(gammas.mean()),
            "permuted_lo": float(lo),
            "permuted_hi": float(hi),
        }
    return found


def _sampled(
    x_NK: Array, risks: _Risks, beta_K: Array, penalty_K: Array, resamples: Resamples
) -> Array:
    """Coefficients in every draw, by one Newton step from the data's: (D, K)."""
    p_N = expit(x_NK @ beta_K)
    k = x_NK.shape[1]
    facts, starts = np.unique(risks.fact, return_index=True)
    gradient_FK = np.add.reduceat(x_NK * (p_N - risks.y)[:, None], starts, axis=0)
    weighted_NK = x_NK * (p_N * (1 - p_N))[:, None]
    ends_ = np.append(starts[1:], len(p_N))
    hessian_FK = np.stack(
        [x_NK[a:b].T @ weighted_NK[a:b] for a, b in zip(starts, ends_, strict=True)]
    ).reshape(len(facts), k * k)
    weights_DF = resamples.weights_FD[facts, 1:].T
    hessian_DKK = (weights_DF @ hessian_FK).reshape(-1, k, k) + np.diag(penalty_K)
    gradient_DK = weights_DF @ gradient_FK + penalty_K * beta_K
    return np.asarray(beta_K - np.linalg.solve(hessian_DKK, gradient_DK[:, :, None])[:, :, 0])


def _shuffled(x_NK: Array, risks: _Risks, penalty_K: Array, shuffles: int, seed: int) -> Array:
    """Gamma with whole donor histories exchanged between alike facts: (shuffles,).

    Each is one Newton step from the fit without donors, where shuffled donors belong.
    """
    rest_NK = x_NK[:, 1:]
    beta_K = logistic_fit(rest_NK, risks.y, penalty_K[1:])
    if np.isnan(beta_K).any():
        return np.zeros(0)
    p_N = expit(rest_NK @ beta_K)
    weighted_NK = rest_NK * (p_N * (1 - p_N))[:, None]
    inverse_KK = np.linalg.inv(rest_NK.T @ weighted_NK + np.diag(penalty_K[1:]))
    generator = np.random.default_rng(seed)
    gammas = np.empty(shuffles)
    for s in range(shuffles):
        partner_F = exchange(risks.alike_F, generator)
        other_N = risks.prior_TFL[risks.time, partner_F[risks.fact], risks.lang]
        donor_N = np.where(np.isnan(other_N), risks.donor, other_N)
        cross_K = donor_N @ weighted_NK
        own = donor_N**2 @ (p_N * (1 - p_N)) + penalty_K[0] - cross_K @ inverse_KK @ cross_K
        gammas[s] = donor_N @ (risks.y - p_N) / own
    return gammas


def _one_hot(levels_N: Array) -> Array:
    names, codes = np.unique(levels_N, return_inverse=True)
    out = np.zeros((len(codes), len(names)))
    out[np.arange(len(codes)), codes] = 1
    return out
