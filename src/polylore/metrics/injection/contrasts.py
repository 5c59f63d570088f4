"""Arms against each other: repetition, paraphrase and mixed languages (`inject`, 2.7 and 2.8).

Items are drawn once for all arms, so an item that is in one arm in one run and in the other in the
next is on both sides of every draw: differences are paired.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from polylore.metrics.injection.number import Number
from polylore.metrics.injection.readout import (
    OTHER,
    OWN,
    Reading,
    Readout,
    at_peak,
    decay,
    gain,
    left,
)
from polylore.tables.injection_evidence import DEDUP_CONTRAST, MIXED_CONTRAST

DEPTHS = ("memorization", "semantic", "compositional", "two_hop_background")
MIXED = "mixed_language"
TOLERANCE = 0.10
"""Doses count as equal up to this share."""
_COPIES, _PARAPHRASE, _SINGLE = "duplication", "paraphrase", "once"
Row = dict[str, Any]


def dedup_contrast(readout: Readout, plan: pl.DataFrame, run_id: str = "all") -> pl.DataFrame:
    """Exact copies against paraphrases and against one exposure.

    Args:
        readout: a condition, measured.
        plan: contract `tables.inject.PLAN`, of one of its runs or of all.
        run_id: what the rows are called.

    Returns:
        Table DEDUP_CONTRAST; empty without at least two of the arms duplication, paraphrase, once.
    """
    arms = {key[1] for key in readout.pooled.measured}
    dose = item_tokens(plan)
    end = end_of(readout)
    rows: list[Row] = []
    for direction in (OWN, OTHER):
        for arm in (_COPIES, _PARAPHRASE, _SINGLE):
            gap = _gap(readout, arm, direction)
            if arm in arms and gap is not None:
                key = {"arm_a": arm, "depth": "memorization", "direction": direction}
                rows.append(key | {"quantity": "gap"} | as_row(gap))
        for a, b in ((_COPIES, _PARAPHRASE), (_COPIES, _SINGLE), (_PARAPHRASE, _SINGLE)):
            if not {a, b} <= arms:
                continue
            doses = _doses(dose, a, b)
            key = {"arm_a": a, "arm_b": b, "direction": direction} | doses
            one, two = (_gap(readout, arm, direction) for arm in (a, b))
            if one is not None and two is not None:
                made = {"depth": "memorization", "quantity": "gap_difference"}
                rows.append(key | made | as_row(one - two))
            for depth in DEPTHS:
                for quantity, number in _between(readout, a, b, depth, direction, end):
                    rows.append(key | {"depth": depth, "quantity": quantity} | as_row(number))
    return DEDUP_CONTRAST.build([{"run_id": run_id} | row for row in rows])


def mixed_contrast(readout: Readout, plan: pl.DataFrame, run_id: str = "all") -> pl.DataFrame:
    """Exposures in turning languages against as many in the language of the question, or another.

    Returns:
        Table MIXED_CONTRAST: for each language B asked and A told, mixed minus A alone; empty
        without an arm `mixed_language`.
    """
    cells = list(readout.pooled.measured)
    mixed = sorted({key[2:5] for key in cells if key[1] == MIXED})
    dose = item_tokens(plan)
    rows: list[Row] = []
    for depth, source, target in mixed:
        for arm in (_COPIES, _PARAPHRASE):
            told = sorted({k[3] for k in cells if k[1] == arm and k[2] == depth and k[4] == target})
            for lang in told:
                for quantity, reading in _readings(end_of(readout)):
                    one = readout.number(reading, MIXED, depth, pair=(source, target))
                    two = readout.number(reading, arm, depth, pair=(lang, target))
                    if one is not None and two is not None:
                        key = {"arm_a": MIXED, "arm_b": arm, "depth": depth, "inject_lang": lang,
                               "probe_lang": target, "quantity": quantity}  # fmt: skip
                        rows.append(key | _doses(dose, MIXED, arm) | as_row(one - two))
    return MIXED_CONTRAST.build([{"run_id": run_id} | row for row in rows])


def _readings(end: int | None) -> Iterator[tuple[str, Reading]]:
    yield "effectivity", gain
    yield "at_peak", at_peak
    if end is not None:
        yield "end", left(end)
    yield "a_kernel", decay


def _between(
    readout: Readout, a: str, b: str, depth: str, direction: str, end: int | None
) -> Iterator[tuple[str, Number]]:
    for quantity, reading in _readings(end):
        one, two = (readout.number(reading, arm, depth, direction) for arm in (a, b))
        if one is not None and two is not None:
            yield quantity, one - two


def _gap(readout: Readout, arm: str, direction: str) -> Number | None:
    """E_cf of memorization minus that of semantic probes."""
    one, two = (readout.number(gain, arm, depth, direction) for depth in DEPTHS[:2])
    return None if one is None or two is None else one - two


def end_of(readout: Readout) -> int | None:
    """The longest lag after the last peak that every arm was read at."""
    longest = [int(m.lags_L[-1]) for m in readout.pooled.measured.values() if len(m.lags_L)]
    return min(longest) if longest and min(longest) > 0 else None


def as_row(number: Number) -> Row:
    """Estimate, interval, items and reason of a number."""
    lo, hi = number.limits
    return {"estimate": number.value, "lo": lo, "hi": hi, "n_items": number.items,
            "reason": number.reason}  # fmt: skip


def item_tokens(plan: pl.DataFrame) -> dict[str, float]:
    """Injected tokens, weighted by their loss weight, per item of each arm."""
    weighted = (pl.col("n_tokens") * pl.col("loss_weight")).sum()
    found = plan.group_by("arm").agg(dose=weighted / pl.col("item_id").n_unique())
    return dict(found.iter_rows())


def _doses(dose: dict[str, float], a: str, b: str) -> Row:
    if a not in dose or not dose.get(b):
        return {"dose_ratio": None, "matched": None}
    ratio = dose[a] / dose[b]
    return {"dose_ratio": ratio, "matched": 1 / (1 + TOLERANCE) <= ratio <= 1 + TOLERANCE}
