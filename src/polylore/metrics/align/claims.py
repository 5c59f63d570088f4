"""Directional claims and what the intervals say (specification of `align`, section 2.7)."""

import math
from collections import Counter
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
from polylore.metrics.index import Array
from polylore.tables.align import CLAIMS

LOST = 0.05
"""Share of draws without a value from which on there is no interval."""
ALPHA = 0.05
EQUALLY = " at equal updates"
"""End of a level whose rows may be those of the level without it."""
NOT_AFTER_HOLM = "not after Holm"
NO_VARIATION = "no variation"


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
                    rows += judged(
                        scored, contrast, level, sets, groups[claim.group], claim, margins, seed
                    )
    return family(rows)


def family(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Judged claims as one family: p after Holm over all rows with the same margin.

    What is the same at equal updates as at the gate is one test. Confirmed claims whose p is above
    0.05 then are noted as such.

    Returns:
        Table ALIGN_CLAIMS.
    """
    corrected = [dict(row) for row in rows]
    for m in dict.fromkeys(row["m"] for row in rows):
        # What is not judged is no test, so it makes no other one stricter.
        own = [row for row in corrected if row["m"] == m and row.get("p_holm") is not None]
        keys = [_test(row) for row in own]
        tests = {key: row["p_holm"] for key, row in zip(keys, own, strict=True)}
        after = dict(zip(tests, _holm(list(tests.values())), strict=True))
        for key, row in zip(keys, own, strict=True):
            row["p_holm"] = after[key]
            if row["verdict"] == "confirmed" and row["p_holm"] > ALPHA:
                row["note"] = NOT_AFTER_HOLM
    return CLAIMS.build(corrected)


def _test(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two rows one test."""
    names = ("claim", "arm", "minus", "group", "m", "delta", "lo", "hi", "p_holm")
    return (row["level"].removesuffix(EQUALLY), *(row[name] for name in names))


def too_few_draws(table: pl.DataFrame, draws: int) -> str | None:
    """A sentence where no p can be small after Holm; None where there are draws enough.

    Args:
        table: table ALIGN_CLAIMS.
        draws: bootstrap draws behind it.
    """
    rows = table.filter(pl.col("p_holm").is_not_null()).to_dicts()
    tests = {_test(row): row["m"] for row in rows}
    n = max(Counter(tests.values()).values(), default=0)
    if not draws or n / (draws + 1) <= ALPHA:
        return None
    return (
        f"{draws} draws are too few for {n} claims: no p after Holm can be as low as {ALPHA}; "
        f"give at least {math.ceil(n / ALPHA) - 1} as score.draws."
    )


def judged(
    scored: Scores,
    contrast: Contrast,
    level: str,
    sets: Sequence[str],
    langs: Sequence[str],
    claim: Claim,
    margins: Sequence[float],
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of ALIGN_CLAIMS about one claim, one per margin; p is not yet corrected.

    Args:
        scored, contrast: the models.
        level: name of the sets.
        sets: the sets.
        langs: languages that the claim is about.
        claim: the claim.
        margins, seed: as for `claims`.
    """
    found = difference(scored, contrast, sets, langs, seed)
    about = {
        "claim": claim.text,
        "arm": contrast.arm,
        "minus": contrast.minus,
        "level": level,
        "group": claim.group,
        "siblings": contrast.siblings,
    }
    return verdicts(about, found.delta, found.widest_D, margins, up=claim.up)


def verdicts(
    about: Mapping[str, Any], delta: float, drawn_D: Array, margins: Sequence[float], *, up: bool
) -> list[dict[str, Any]]:
    """Rows of ALIGN_CLAIMS about one difference, one per margin; none without draws.

    Draws without a value are left out and counted; if they are more than `LOST` of all, what is
    left is no fair sample, and the interval is null. Where all draws are equal and the margin is
    not passed (nobody knows anything on either side), an interval without width is no proof of
    equality: such rows are open.
    """
    if not len(drawn_D):
        return []
    lost = int(np.isnan(drawn_D).sum())
    if lost > LOST * len(drawn_D):
        reason = f"{lost} of {len(drawn_D)} draws have no value"
        return unjudged(about, reason, margins, up=up, delta=delta, lost=lost)
    kept = drawn_D[~np.isnan(drawn_D)]
    lo, hi = ends(kept)
    if lo is None or hi is None:
        return []
    side = kept if up else -kept
    still = bool((kept == kept[0]).all())
    rows: list[dict[str, Any]] = []
    for m in margins:
        row = {**about, "direction": "up" if up else "down", "m": m, "delta": delta, "lo": lo,
               "hi": hi, "verdict": verdict(lo, hi, m, up=up), "lost": lost}  # fmt: skip
        if still and row["verdict"] in ("equivalent", "open"):
            rows.append(row | {"verdict": "open", "reason": NO_VARIATION})
        else:
            p = float((1 + (side <= m).sum()) / (1 + len(side)))
            rows.append(row | {"p_holm": p})
    return rows


def unjudged(
    about: Mapping[str, Any],
    reason: str,
    margins: Sequence[float],
    *,
    up: bool,
    delta: float | None = None,
    lost: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of ALIGN_CLAIMS about a claim that nothing can be said about: open, with the reason."""
    direction = "up" if up else "down"
    row = {**about, "direction": direction, "delta": delta, "lost": lost, "reason": reason}
    return [row | {"m": m, "verdict": "open"} for m in margins]


def _holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    steps = np.array(p)[order] * np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(p) else []
    return [float(value) for value in corrected]
