"""Checkpoints that a series should have and lacks (specification of `trace`, section 4.1)."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from polylore.tables.derived import GAPS

Row = dict[str, Any]

_V0 = re.compile(r".*-v0(?:-.*)?", re.IGNORECASE)


def pythia_grid(repo: str) -> list[int]:
    """Steps that a Pythia model has: 154, or the 143 multiples of 1,000 of a v0 model."""
    late = list(range(1_000, 144_000, 1_000))
    return late if _V0.fullmatch(repo) else [0, *(2**k for k in range(10)), *late]


def find_gaps(rows: Sequence[Row], requested: Sequence[int] = ()) -> pl.DataFrame:
    """Table GAPS of a series.

    The expected steps are the family's grid where it has one, and otherwise a regular grid with
    the commonest distance between steps. That grid is trusted only where at least half of the
    distances are equal to it, and inside a region that follows it.

    Args:
        rows: rows of table CHECKPOINTS.
        requested: steps that a schedule asked for and the series lacks.
    """
    found: list[Row] = []
    branches: dict[tuple[Any, Any], list[Row]] = {}
    for row in rows:
        if row["step"] is not None:
            branches.setdefault((row["stage"], row["ingredient"]), []).append(row)
    for (stage, ingredient), own in branches.items():
        tokens: dict[Any, Any] = {row["step"]: row["tokens"] for row in own}
        there = sorted(tokens)
        # Requests count the steps of all stages.
        offset = (own[0].get("total_step") or own[0]["step"]) - own[0]["step"]
        family = {row["family"] for row in own}
        if "pythia" in family:
            missing = sorted(set(pythia_grid(own[0]["repo"] or own[0]["model"])) - set(there))
        else:
            missing = regular_gaps(there)
        for start, stop, steps in _stretches(there, missing):
            first, last = tokens.get(start), tokens.get(stop)
            found.append(
                {
                    "model": own[0]["model"],
                    "stage": stage,
                    "ingredient": ingredient,
                    "from_step": start,
                    "to_step": stop,
                    "n_missing": len(steps),
                    "missing_steps": steps,
                    "longest_gap_tokens": None if first is None or last is None else last - first,
                    "affected_requests": [
                        step
                        for step in requested
                        if (start is None or step > start + offset)
                        and (stop is None or step < stop + offset)
                    ],
                }
            )
    return GAPS.build(found)


def regular_gaps(steps: Sequence[int]) -> list[int]:
    """Steps missing from a series whose commonest distance makes a grid.

    Args:
        steps: ascending.
    """
    distances = [b - a for a, b in pairwise(steps)]
    if not distances:
        return []
    # The larger of two equally common distances raises fewer false alarms.
    distance, times = max(Counter(distances).items(), key=lambda item: (item[1], item[0]))
    if times < 2 or 2 * times < len(distances):
        return []
    rest = Counter(step % distance for step in steps).most_common(1)[0][0]
    missing: list[int] = []
    for place, (a, b) in enumerate(pairwise(steps)):
        inside = list(range(a + 1 + (rest - a - 1) % distance, b, distance))
        sides = (distance in distances[max(0, place - 3) : place]) + (
            distance in distances[place + 1 : place + 4]
        )
        if b - a > distance and (sides == 2 or (sides == 1 and len(inside) <= len(steps))):
            missing += inside
    return missing


def _stretches(
    there: Sequence[int], missing: Sequence[int]
) -> list[tuple[int | None, int | None, list[int]]]:
    """Missing steps grouped by the checkpoints they lie between."""
    groups: dict[tuple[int | None, int | None], list[int]] = {}
    for step in missing:
        place = bisect_left(there, step)
        before = there[place - 1] if place else None
        after = there[place] if place < len(there) else None
        groups.setdefault((before, after), []).append(step)
    return [(before, after, steps) for (before, after), steps in groups.items()]
