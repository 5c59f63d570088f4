"""The cases of claims that hold conditions against each other: checkpoints, sizes, batches, sweeps.

Numbers that should be above zero, with their verdicts, as in `claim_cases`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.injection.batches import NONE, SHARE, zero_differences
from polylore.metrics.injection.claim_cases import Row, case_of, open_reason
from polylore.metrics.injection.evidence import (
    COMP,
    DUP,
    EPSILON,
    MEM,
    ONCE,
    PARA,
    SEM,
    TWO_HOP,
    Evidence,
    Series,
)
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.readout import OWN, decay, gain
from polylore.metrics.injection.sweep import x_intercept


def stages(series: Sequence[Series]) -> Iterator[Row]:
    """Whether later checkpoints gain no more."""
    for one in series:
        for (early, before), (late, after) in zip(one.stages, one.stages[1:], strict=False):
            for arm in (DUP, PARA, ONCE):
                pair = [side.number(gain, arm, MEM) for side in (before, after)]
                if pair[0] is not None and pair[1] is not None:
                    rise = pair[1] - pair[0]
                    verdict, why = _rises(rise, pair[0])
                    words = "rise of E_cf, less than a tenth of it"
                    case = f"{_of(one, series)}{arm}: step {late} minus step {early}"
                    yield case_of(case, words, rise, verdict, why)


def _of(one: Series, series: Sequence[Series]) -> str:
    """What tells a series from the others, if there are any."""
    return f"{one.name}, " if len(series) > 1 else ""


def _rises(rise: Number, before: Number) -> tuple[str, str | None]:
    """Whether a gain does not rise by a tenth; of what was not gained there is no tenth.

    By the rule of `Number.within`: the pooled interval decides, and the tenth is taken as it is.
    """
    lo, hi = rise.limits
    least, bar = before.limits[0], EPSILON * (before.value or 0.0)
    if lo is None or hi is None:
        return UNDETERMINED, None
    if least is None or least <= 0:
        return UNDETERMINED, "denominator_not_positive"
    return SHOWN if hi < bar else CONTRADICTED if lo > max(bar, 0) else UNDETERMINED, None


def sizes(e: Evidence) -> Iterator[Row]:
    """Whether larger models gain more."""
    for (small, one), (large, two) in zip(e.sizes, e.sizes[1:], strict=False):
        for arm in (DUP, PARA, ONCE):
            pair = [side.number(gain, arm, MEM) for side in (one, two)]
            if pair[0] is not None and pair[1] is not None:
                case = f"{arm}: {large:,} minus {small:,} parameters"
                yield case_of(case, "difference of E_cf", pair[1] - pair[0])


_DECAYS = "difference of a_kernel"
_LEVEL = f"{_DECAYS}, within a tenth of the first"


def stage_decay(series: Sequence[Series]) -> Iterator[Row]:
    """Whether the last checkpoint forgets more slowly than the earlier ones."""
    for one in series:
        late, last = one.stages[-1]
        for early, before in one.stages[:-1]:
            pair = [side.number(decay, DUP, MEM) for side in (before, last)]
            if pair[0] is not None and pair[1] is not None:
                case = f"{_of(one, series)}step {early} minus step {late}"
                yield case_of(case, _DECAYS, pair[0] - pair[1])


def early_alike(series: Sequence[Series]) -> Iterator[Row]:
    """Whether the checkpoints before the last one forget about equally fast."""
    for one in series:
        for (step, first), (later, second) in zip(one.stages[:-1], one.stages[1:-1], strict=False):
            pair = [side.number(decay, DUP, MEM) for side in (first, second)]
            if pair[0] is not None and pair[1] is not None:
                yield _alike(f"{_of(one, series)}step {step} minus step {later}", pair[0], pair[1])


def decay_levels(e: Evidence) -> Iterator[Row]:
    """Whether checkpoints that went on at one constant rate forget about equally fast.

    And, where the same checkpoints also went on at rates of their own, whether the difference is
    smaller than there.
    """
    for one in e.level:
        (early, before), (late, after) = one.stages[0], one.stages[-1]
        pair = [side.number(decay, DUP, MEM) for side in (before, after)]
        if pair[0] is None or pair[1] is None:
            continue
        case = f"{_of(one, e.level)}step {early} minus step {late}"
        yield _alike(case, pair[0], pair[1])
        for other in e.stages:
            by = dict(other.stages)
            if early not in by or late not in by:
                continue
            own = [by[step].number(decay, DUP, MEM) for step in (early, late)]
            if own[0] is not None and own[1] is not None:
                words = f"{_DECAYS}, at rates of their own minus at one rate"
                number = (own[0] - own[1]) - (pair[0] - pair[1])
                yield case_of(f"{case}, {_of(other, e.stages)}by rate", words, number)


def _alike(case: str, one: Number, two: Number) -> Row:
    """Whether two decay constants differ by less than a tenth of the first."""
    difference, least = one - two, one.limits[0]
    if difference.limits[0] is not None and (least is None or least <= 0):
        return case_of(case, _LEVEL, difference, UNDETERMINED, "denominator_not_positive")
    return case_of(case, _LEVEL, difference, difference.within(one.times(EPSILON)))


def batches(e: Evidence, quantity: str, sign: int) -> Iterator[Row]:
    """Whether a small batch exceeds a large one (sign 1), or falls short of it (-1)."""
    if e.batch is None:
        return
    own = e.batch.filter(
        (pl.col("quantity") == quantity)
        & (pl.col("direction") == OWN)
        & pl.col("match").is_in([NONE, SHARE])
    )
    for row in own.iter_rows(named=True):
        ends = [None if row[k] is None else sign * row[k] for k in ("estimate", "lo", "hi")]
        if ends[1] is not None and ends[2] is not None:
            ends[1:] = sorted((ends[1], ends[2]))
        lo, hi = ends[1], ends[2]
        signs = [sign * one for one in row["signs_by_seed"]]
        verdict = UNDETERMINED
        if lo is not None and hi is not None:
            agreed = bool(signs) and all(one > 0 for one in signs)
            verdict = SHOWN if lo > 0 and agreed else CONTRADICTED if hi < 0 else UNDETERMINED
        reason = None
        if verdict == UNDETERMINED and lo is not None:
            reason = open_reason(lo, signs)
        names = ("match", "lr_rule", "optimizer", "batch_small", "batch_large", "arm")
        yield {
            "case": _sizes_of([row[name] for name in names], row["depth"]),
            "measure": ("" if sign > 0 else "minus ") + f"difference of {quantity}",
            "estimate": ends[0],
            "lo": lo,
            "hi": hi,
            "signs_by_seed": signs,
            "verdict": verdict,
            "reason": row["reason"] or reason,
            "n_items": row["n_items"],
        }


def _sizes_of(about: Sequence[Any], depth: str) -> str:
    """The case of a matching, rule of the rate, optimizer, both batch sizes, arm; and a depth."""
    match, lr, optimizer, small, large, arm = about
    return f"{arm}, {depth}, match {match}, LR {lr}, {optimizer}: {small} against {large} rows"


def batches_by_depth(e: Evidence) -> Iterator[Row]:
    """Whether tokens until all is lost shrink most for compositional probes in a small batch."""
    zeros = zero_differences(e.batches)
    for (*about, depth, direction), comp in zeros.items():
        if depth not in (COMP, TWO_HOP) or direction != OWN or about[0] not in (NONE, SHARE):
            continue
        for other in (MEM, SEM):
            beside = zeros.get((*about, other, direction))
            if beside is not None:
                case = _sizes_of(about, f"{depth} against {other}")
                words = "by how much more log10 of the tokens until zero shrinks"
                yield case_of(case, words, beside - comp)


def proxy(e: Evidence) -> Iterator[Row]:
    """Whether the published x-intercept lies outside the bracket that the sweep measured.

    The bracket is taken as it was measured; only the x-intercept is resampled.
    """
    if e.brackets is None:
        return
    own = e.brackets.filter(
        (pl.col("inject_lang") == pl.col("probe_lang")) & (pl.col("depth") == MEM)
    )
    for row in own.iter_rows(named=True):
        readout = e.sweeps.get(row["run_id"])
        pair = (row["inject_lang"], row["probe_lang"])
        x = None if readout is None else x_intercept(readout, MEM, pair)
        if x is None:
            continue
        case = f"{row['run_id']}, {row['inject_lang']}"
        words = "log10 of how far the x-intercept lies beyond the nearest end of the bracket"
        ends = row["bracket_lo"], row["bracket_hi"]
        beyond = _beyond(x, *ends) if row["monotone"] else "not_monotone"
        if isinstance(beyond, str):
            yield {
                "case": case,
                "measure": words,
                "signs_by_seed": [],
                "verdict": UNDETERMINED,
                "reason": beyond,
                "n_items": x.items,
            }
        else:
            yield case_of(case, words, beyond)


def _beyond(x: Number, low: int | None, high: int | None) -> Number | str:
    """By how many factors of ten x lies outside a bracket, or why that cannot be said.

    An open bracket says nothing of an x on its open side.
    """
    if x.value is None:
        return x.why or "no_readings"
    lo, hi = (None if end is None else float(np.log10(end)) for end in (low, high))
    if lo is not None and x.value < lo:
        return x.map(lambda values: lo - values)
    if hi is not None and x.value > hi:
        return x.map(lambda values: values - hi)
    if lo is None or hi is None:
        return "no_bracket" if lo is hi else "open_bracket"
    return x.map(lambda values: np.maximum(lo - values, values - hi))
