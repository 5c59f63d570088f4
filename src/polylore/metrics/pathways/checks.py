"""The transfer rate where there is none to find, and where it is known (`trace`, section 5.4)."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws
from polylore.metrics.index import Array, with_axis
from polylore.metrics.pathways.course import Course
from polylore.metrics.pathways.curve import Curve, fit_curve
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.rate import transfer_rates
from polylore.metrics.pathways.shuffle import alike_groups, exchange
from polylore.metrics.pseudo import uniform
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.pathways import TRANSFER_CONTROLS

PLANTED = 0.25
"""Transfer rate of the planted labels."""


def transfer_controls(
    course: Course,
    checkpoints: pl.DataFrame,
    *,
    ckpt_id: str,
    draws: Draws | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """The same analysis of the same cells, with answers or donors whose truth is known.

    ``null_labels``: right iff U(null) < p, the run's own no-donor curve: no transfer exists.
    ``planted_labels``: outside the pivot additionally right if the pivot is and U(transfer) < 0.25.
    ``permuted_donor``: what the donor knows, exchanged between facts of the same relation and tenth
    of donor exposure. ``reverse``: each language as the donor of the pivot.

    Args:
        course: one matcher's answers.
        checkpoints: table CHECKPOINTS.
        ckpt_id: checkpoint to look at.
        draws: bootstrap draws; without them no intervals.
        seed: seed of the exchange.

    Returns:
        Table TRANSFER_CONTROLS.
    """
    evidence = course.at(course.ckpt_ids.index(ckpt_id))
    resamples = Resamples.of(course.index, draws)
    rows = []
    for control, changed, truth in _worlds(course, evidence, resamples, seed):
        curve = fit_curve(changed, resamples, course.rules.curve)
        for rate in transfer_rates(changed, curve, resamples, by_relation=False).rates:
            # A world of two languages has one rate; its row over all would repeat it.
            if control == "reverse" and rate.lang == "all":
                continue
            t, lo, hi = (None if np.isnan(v[0]) else float(v[0]) for v in ends(rate.t_D[None]))
            rows.append(
                {
                    "ckpt_id": ckpt_id,
                    "matcher": course.matcher,
                    "control": control,
                    # In reverse the pivot receives, and the row is named after who gives.
                    "lang": changed.langs[changed.home] if control == "reverse" else rate.lang,
                    "n": rate.n,
                    "t": t,
                    "t_lo": lo,
                    "t_hi": hi,
                    "truth": truth,
                    "reason": rate.reason,
                }
            )
    frame = TRANSFER_CONTROLS.build(rows).drop("step", "tokens")
    return TRANSFER_CONTROLS.validate(with_axis(frame, checkpoints))


def _worlds(
    course: Course, evidence: Evidence, resamples: Resamples, seed: int
) -> Iterator[tuple[str, Evidence, float | None]]:
    """Name, cells and true rate of every control."""
    curve = fit_curve(evidence, resamples, course.rules.curve)
    if curve.exists:
        null, planted = pseudo_answers(evidence, curve)
        for name, y, truth in (("null_labels", null, 0.0), ("planted_labels", planted, PLANTED)):
            yield name, relabelled(evidence, y), truth
    generator = np.random.default_rng(seed)
    alike_F = alike_groups(evidence.relation_F, evidence.x[:, evidence.home])
    partner_F = exchange(alike_F, generator)
    yield "permuted_donor", evidence.with_donors(evidence.k[partner_F]), None
    for at in np.flatnonzero(evidence.foreign_L):
        yield "reverse", _reversed(evidence, int(at)), None


def pseudo_answers(evidence: Evidence, curve: Curve) -> tuple[Array, Array]:
    """Null and planted answers of every cell with an answer and an exposure: (F, L) each."""
    at = np.nonzero(~np.isnan(evidence.x) & ~np.isnan(evidence.y))
    draw = {
        salt: np.array(
            [
                uniform(salt, evidence.langs[lang], evidence.index.fact_ids[fact])
                for fact, lang in zip(*at, strict=True)
            ]
        )
        for salt in ("null", "transfer")
    }
    null = np.full(evidence.y.shape, np.nan)
    null[at] = draw["null"] < curve.p(evidence, at, slice(0, 1))[:, 0]
    given = np.zeros(evidence.y.shape, dtype=bool)
    given[at] = draw["transfer"] < PLANTED
    brought = given & (null[:, [evidence.home]] == 1) & evidence.foreign_L
    return null, np.where(brought & ~np.isnan(null), 1.0, null)


def relabelled(evidence: Evidence, y: Array) -> Evidence:
    """The same cells with other answers, donors among them; nothing is sustained."""
    k = np.zeros(y.shape)
    for at, donors in enumerate(evidence.donors):
        if donors:
            k[:, at] = np.fmax.reduce(y[:, list(donors)], axis=1)
    return replace(evidence, y=y).with_donors(k)


def _reversed(evidence: Evidence, lang: int) -> Evidence:
    """One language and the pivot, the language as the only donor of the pivot."""
    pair = [lang, evidence.home]
    matrices = ("y", "share", "e", "g", "donor_right", "k", "donor_first")
    # A string is shared by both or by neither.
    shared = np.repeat(evidence.shared[:, pair].any(axis=1, keepdims=True), 2, axis=1)
    turned = replace(
        evidence,
        langs=tuple(evidence.langs[i] for i in pair),
        donors=((), (0,)),
        home=0,
        shared=shared,
        **{name: getattr(evidence, name)[:, pair] for name in matrices},
    )
    return relabelled(turned, turned.y)
