"""Directional claims and what the intervals say (specification of `align`, section 2.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.align.effects import (
    Contrast,
    Scores,
    difference,
    ends,
    groups_of,
    shared_languages,
)
from polylore.tables.align import CLAIMS


@dataclass(frozen=True)
class Claim:
    """A directional sentence about a group of languages."""

    text: str
    group: str
    up: bool


PUBLISHED = (
    Claim("continued pretraining helps its target language", "target", up=True),
    Claim("continued pretraining costs the other languages", "others_out", up=False),
)
"""Claim P2 of the published study."""


def verdict(lo: float, hi: float, m: float, *, up: bool) -> str:
    """confirmed, contradicted, equivalent or open, from a 95 % interval and a margin."""
    if not up:
        lo, hi = -hi, -lo
    if lo > m:
        return "confirmed"
    if hi < -m:
        return "contradicted"
    return "equivalent" if -m < lo and hi < m else "open"


def claims(
    scored: Scores,
    contrasts: Sequence[Contrast],
    *,
    levels: Mapping[str, Sequence[str]],
    wanted: Sequence[Claim] = PUBLISHED,
    margins: Sequence[float] = (0.0, 0.05),
    pivot: str = "en",
    seed: int = 0,
) -> pl.DataFrame:
    """Judge claims about every contrast and level, at every margin.

    p is the share of draws on the wrong side of the margin, (1 + wrong)/(1 + draws); Holm's
    correction is over all rows with the same margin.

    Returns:
        Table ALIGN_CLAIMS.
    """
    rows = []
    for contrast in contrasts:
        for level, sets in levels.items():
            if not set(sets) <= set(scored.values):
                continue
            groups = groups_of(contrast, shared_languages(scored, contrast, sets), pivot)
            for claim in wanted:
                if claim.group in groups:
                    rows += _judged(
                        scored, contrast, level, sets, groups[claim.group], claim, margins, seed
                    )
    for m in margins:
        own = [row for row in rows if row["m"] == m]
        for row, p in zip(own, _holm([row["p_holm"] for row in own]), strict=True):
            row["p_holm"] = p
    return CLAIMS.build(rows)


def _judged(
    scored: Scores,
    contrast: Contrast,
    level: str,
    sets: Sequence[str],
    langs: Sequence[str],
    claim: Claim,
    margins: Sequence[float],
    seed: int,
) -> list[dict[str, Any]]:
    found = difference(scored, contrast, sets, langs, seed)
    lo, hi = ends(found.widest_D)
    if lo is None or hi is None:
        return []
    side = found.widest_D if claim.up else -found.widest_D
    return [
        {
            "claim": claim.text,
            "arm": contrast.arm,
            "minus": contrast.minus,
            "level": level,
            "group": claim.group,
            "direction": "up" if claim.up else "down",
            "m": m,
            "delta": found.delta,
            "lo": lo,
            "hi": hi,
            "verdict": verdict(lo, hi, m, up=claim.up),
            "p_holm": float((1 + (side <= m).sum()) / (1 + len(side))),
            "siblings": contrast.siblings,
        }
        for m in margins
    ]


def _holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    steps = np.array(p)[order] * np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(p) else []
    return [float(value) for value in corrected]
