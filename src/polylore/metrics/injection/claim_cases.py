"""The cases of each claim within a condition: numbers that should be above zero, with verdicts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.injection.contrasts import DEPTHS, end_of
from polylore.metrics.injection.evidence import (
    COMP,
    DUP,
    EPSILON,
    LEVEL_AT,
    MEM,
    ONCE,
    PARA,
    SEM,
    TWO_HOP,
    Evidence,
)
from polylore.metrics.injection.forms import leading_form
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.readout import (
    OTHER,
    OWN,
    LostShare,
    Reading,
    Readout,
    accumulated,
    at_peak,
    decay,
    first_gain,
    gain,
    last_gain,
    later_gain,
    left,
    lost,
    second_gain,
)

STRAIGHT = "log_linear"
Row = dict[str, Any]


def case_of(
    case: str, measure: str, number: Number, verdict: str | None = None, why: str | None = None
) -> Row:
    """A case; `why` is the reason of an undetermined verdict that the number does not know."""
    lo, hi = number.limits
    found = verdict or number.verdict
    reason = number.reason or why
    if reason is None and found == UNDETERMINED and lo is not None:
        reason = open_reason(lo, number.signs)
        if verdict is not None:
            reason = "interval_crosses_the_margin"
    return {
        "case": case,
        "measure": measure,
        "estimate": number.value,
        "lo": lo,
        "hi": hi,
        "signs_by_seed": number.signs,
        "verdict": found,
        "reason": reason,
        "n_items": number.items,
    }


def open_reason(lo: float, signs: list[int]) -> str:
    """Why a number with an interval is not surely above zero in every seed."""
    if lo <= 0:
        return "interval_holds_zero"
    return by_seed_reason(signs)


def by_seed_reason(signs: list[int]) -> str:
    """Why runs do not all agree with what they show together."""
    return "no_number_in_a_seed" if 0 in signs else "signs_differ_between_seeds"


def absent(reason: str) -> Row:
    return {"signs_by_seed": [], "verdict": UNDETERMINED, "reason": reason, "n_items": 0}


def _read(
    e: Evidence, reading: Reading, arm: str, depth: str, direction: str = OWN
) -> Number | None:
    return e.main.number(reading, arm, depth, direction)


def _arms(e: Evidence) -> list[str]:
    return sorted({key[1] for key in e.main.pooled.measured})


def gains(e: Evidence) -> Iterator[Row]:
    for arm in _arms(e):
        for depth in (MEM, SEM):
            number = _read(e, gain, arm, depth)
            if number is not None:
                yield case_of(f"{arm}, {depth}", "E_cf", number)


def forgotten(e: Evidence) -> Iterator[Row]:
    if e.later is None:
        return
    for arm in _arms(e):
        for depth in (MEM, SEM):
            number = _read(e, lost(e.later), arm, depth)
            if number is not None:
                words = f"D at the last peak minus D {e.later} steps later"
                yield case_of(f"{arm}, {depth}", words, number)


def accumulate(e: Evidence) -> Iterator[Row]:
    single = _read(e, at_peak, ONCE, MEM)
    for arm in _arms(e):
        many = _read(e, at_peak, arm, MEM)
        if arm == ONCE or many is None:
            continue
        if single is not None:
            yield case_of(f"{arm} against once", "difference of D at the last peak", many - single)
        kept = _read(e, accumulated, arm, MEM)
        if kept is not None and kept.value is not None:
            yield case_of(f"{arm}, one interval later", "A - S", kept)


def between_depths(e: Evidence, arm: str | None, one: str, two: str) -> Iterator[Row]:
    for name in [arm] if arm else _arms(e):
        pair = [_read(e, at_peak, name, depth) for depth in (one, two)]
        if pair[0] is not None and pair[1] is not None:
            words = "difference of D at the last peak"
            yield case_of(f"{name}: {one} minus {two}", words, pair[0] - pair[1])


def gaps(e: Evidence) -> Iterator[Row]:
    parts = [_read(e, at_peak, arm, depth) for arm in (DUP, PARA) for depth in (MEM, SEM)]
    if all(part is not None for part in parts):
        a, b, c, d = (part for part in parts if part is not None)
        words = "memorization minus semantic, of D at the last peak"
        yield case_of("duplication minus paraphrase", words, (a - b) - (c - d))


def between_arms(e: Evidence, reading: Reading, measure: str) -> Iterator[Row]:
    for depth in DEPTHS:
        pair = [_read(e, reading, arm, depth) for arm in (DUP, PARA)]
        if pair[0] is not None and pair[1] is not None:
            yield case_of(f"duplication minus paraphrase, {depth}", measure, pair[0] - pair[1])


def level(e: Evidence) -> Iterator[Row]:
    end = end_of(e.main)
    if end is None or end < LEVEL_AT:
        return
    for depth in (MEM, SEM):
        pair = [_read(e, left(end), arm, depth) for arm in (DUP, PARA)]
        margin = _read(e, at_peak, DUP, depth)
        if pair[0] is not None and pair[1] is not None and margin is not None:
            number = pair[0] - pair[1]
            verdict = number.within(margin.times(EPSILON))
            words = f"difference of D {end} steps after the last peak, within a tenth of the peak"
            yield case_of(f"duplication minus paraphrase, {depth}", words, number, verdict)


def once_exceeds(e: Evidence) -> Iterator[Row]:
    single = _read(e, gain, ONCE, MEM)
    for arm in (DUP, PARA):
        many = _read(e, gain, arm, MEM)
        if single is not None and many is not None:
            yield case_of(f"once minus {arm}", "difference of E_cf", single - many)


def first_exceeds(e: Evidence) -> Iterator[Row]:
    for arm in (DUP, PARA):
        pair = [_read(e, reading, arm, MEM) for reading in (first_gain, later_gain)]
        if pair[0] is not None and pair[1] is not None:
            yield case_of(f"{arm}, memorization", "difference of E_cf", pair[0] - pair[1])


def later_equal(e: Evidence) -> Iterator[Row]:
    for arm in (DUP, PARA):
        parts = [_read(e, reading, arm, MEM) for reading in (last_gain, second_gain, later_gain)]
        if all(part is not None for part in parts):
            last, second, mean = (part for part in parts if part is not None)
            number = last - second
            verdict = number.within(mean.times(EPSILON))
            words = "E_cf of the last minus the second exposure, within a tenth of their mean"
            yield case_of(f"{arm}, memorization", words, number, verdict)


def straight(e: Evidence) -> Iterator[Row]:
    if e.forms is None:
        return
    own = e.forms.filter(
        (pl.col("form") == STRAIGHT)
        & (pl.col("gains") == "by_exposure")
        & (pl.col("inject_lang") == pl.col("probe_lang"))
        & (pl.col("verdict") != "too_few_points")
    )
    for row in own.sort("arm", "depth", "inject_lang").iter_rows(named=True):
        key = (row["arm"], row["depth"], row["inject_lang"], row["probe_lang"])
        signs = [_leads(e.main, (run, *key)) for run in e.main.names]
        verdict, reason = _straightest(row["verdict"], signs)
        cells = e.main.cells(row["arm"], row["depth"], pair=key[2:])
        yield {
            "case": f"{row['arm']}, {row['depth']}, {row['inject_lang']}",
            "measure": "share of resamples in which this form wins (0.9 needed; signs: whether it "
            "leads in each run)",
            "estimate": row["win_share"],
            "signs_by_seed": signs,
            "verdict": verdict,
            "reason": reason,
            "n_items": len({name for m in cells for name in m.names}),
        }


def _straightest(winner: str, signs: list[int]) -> tuple[str, str | None]:
    """Shown: the straight form wins the resamples and leads in every run."""
    if winner == UNDETERMINED:
        return UNDETERMINED, "no_form_wins"
    if winner != STRAIGHT:
        return CONTRADICTED, None
    if all(sign > 0 for sign in signs):
        return SHOWN, None
    return UNDETERMINED, by_seed_reason(signs)


def _leads(readout: Readout, key: tuple[str, ...]) -> int:
    """1 if the straight form leads in a run, -1 if another one does, 0 if none can be named."""
    measured = readout.runs.measured.get(key)
    if measured is None or measured.by_exposure is None:
        return 0
    leader = leading_form(measured.mean, measured.by_exposure.kernel)
    return 0 if leader is None else 1 if leader == STRAIGHT else -1


def slowest(e: Evidence) -> Iterator[Row]:
    for arm in (DUP, PARA, ONCE):
        for hops in (COMP, TWO_HOP):
            comp = _read(e, decay, arm, hops)
            for depth in (MEM, SEM):
                other = _read(e, decay, arm, depth)
                if comp is not None and other is not None:
                    case = f"{arm}: {depth} minus {hops}"
                    yield case_of(case, "difference of a_kernel", other - comp)


def false_gains(e: Evidence) -> Iterator[Row]:
    for depth, (paper, value, lo, hi) in e.false.items():
        verdict, reason, bar = UNDETERMINED, None, paper / 5
        if not np.isfinite([paper, lo, hi]).all():
            reason = "few_items"
        elif paper <= 0:
            reason = "denominator_not_positive"
        elif lo > -bar and hi < bar:
            verdict = SHOWN
        elif lo > bar or hi < -bar:
            verdict = CONTRADICTED
        else:
            reason = "interval_crosses_the_margin"
        yield {
            "case": depth,
            "measure": f"E_cf of never-injected items, within a fifth of their published E "
            f"({paper:.3g})",
            "estimate": value if np.isfinite(value) else None,
            "lo": lo if np.isfinite(lo) else None,
            "hi": hi if np.isfinite(hi) else None,
            "signs_by_seed": [],
            "verdict": verdict,
            "reason": reason,
            "n_items": 0,
        }  # fmt: skip


def direct_exceeds(e: Evidence) -> Iterator[Row]:
    for arm in _arms(e):
        pair = [_read(e, gain, arm, MEM, direction) for direction in (OWN, OTHER)]
        if pair[0] is not None and pair[1] is not None:
            yield case_of(f"{arm}, memorization", "difference of E_cf", pair[0] - pair[1])


def arrives(e: Evidence) -> Iterator[Row]:
    for arm in _arms(e):
        number = _read(e, at_peak, arm, MEM, OTHER)
        if number is not None:
            yield case_of(f"{arm}, memorization", "D at the last peak, other language", number)


def specific(e: Evidence) -> Iterator[Row]:
    if e.swaps is None:
        return
    for arm in sorted({key[1] for key in e.swaps.pooled.measured}):
        number = e.swaps.number(at_peak, arm, MEM, OTHER)
        if number is not None:
            words = "rise of y over y with another subject, other language"
            yield case_of(f"{arm}, memorization", words, number)


def fades(e: Evidence) -> Iterator[Row]:
    if e.later is None:
        return
    for arm in _arms(e):
        pair = [_read(e, LostShare(e.later), arm, MEM, direction) for direction in (OTHER, OWN)]
        if pair[0] is not None and pair[1] is not None:
            words = f"difference of the share lost {e.later} steps after the last peak"
            yield case_of(f"{arm}, memorization", words, pair[0] - pair[1])
