"""Which checkpoints of a series to ask: all, evenly or logarithmically spaced, or a list.

Specification of `trace`, sections 4 and 4.1.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from polylore.errors import ConfigError, ModelError

Row = dict[str, Any]
Schedule = str | int | Sequence[int | str]

_NUMBER = re.compile(r"\d+")
_RULE = re.compile(r"(?P<rule>log|every):(?P<n>\d+)")


@dataclass(frozen=True)
class Choice:
    """What a schedule picked."""

    rows: list[Row]
    """Chosen checkpoints, in order; replaced ones have `requested_step` and `used_step`."""
    requested: list[int]
    """Every step the schedule asked for by number."""
    missing: list[int]
    """Those that the series does not have and that nothing replaces."""


def choose(rows: Sequence[Row], schedule: Schedule = "all", *, nearest: bool = False) -> Choice:
    """Pick checkpoints from the rows of a series, which stand in order of training.

    Args:
        rows: rows of table CHECKPOINTS.
        schedule: ``all``; ``log:N``, at most N steps spread evenly over the logarithm of the step,
            first and last included; ``every:K``, the multiples of K between the first and the last
            step; or a list of steps and of checkpoint names. ``log`` and ``every`` leave out final
            models without a step, unless the series has nothing else.
        nearest: let the nearest checkpoint stand for a step that is missing.

    Raises:
        ConfigError: not a schedule.
        ModelError: an unknown name, or none of the requested steps exists.
    """
    if isinstance(schedule, Sequence) and not isinstance(schedule, str) and len(schedule) == 1:
        schedule = schedule[0]  # as a command line that takes lists gives it
    if schedule == "all":
        return Choice([dict(row) for row in rows], [], [])
    steps = position_of(rows)
    if isinstance(schedule, str) and (match := _RULE.fullmatch(schedule.strip())):
        n = int(match["n"])
        if not steps:
            return Choice([dict(row) for row in rows], [], [])
        if match["rule"] == "log":
            return _only(rows, steps, log_spaced(sorted(set(steps.values())), n))
        if n < 1:
            raise ConfigError("every:0 is no schedule; write for example every:5000.")
        first, last = min(steps.values()), max(steps.values())
        return _requested(rows, steps, list(range(-(-first // n) * n, last + 1, n)), [], nearest)
    numbers, names = _listed(schedule)
    _refuse_unknown(rows, names)
    return _requested(rows, steps, numbers, names, nearest)


def position_of(rows: Sequence[Row]) -> dict[str, int]:
    """Place in training of every checkpoint that has one, by ckpt_id.

    The step; where steps start anew with each stage, those of all stages together.
    """
    return {
        row["ckpt_id"]: row["step"] if row.get("total_step") is None else row["total_step"]
        for row in rows
        if row["step"] is not None
    }


def log_spaced(steps: Sequence[int], n: int) -> list[int]:
    """At most `n` of some ascending steps, evenly spread over their logarithm.

    Step 0 (the initial model) and the last step are always among them.

    Raises:
        ConfigError: fewer than two are wanted.
    """
    if n < 2:
        raise ConfigError(f"log:{n} is no schedule; write at least log:2.")
    if len(steps) <= n:
        return list(steps)
    best = [steps[0], steps[-1]]
    positive = [step for step in steps if step > 0]
    zero = [0] if steps[0] == 0 else []
    # Several targets may fall on one step where steps are sparse, so more of them are tried.
    for wanted in range(2, 20 * n):
        ratio = math.log(positive[-1] / positive[0]) / (wanted - 1)
        targets = [positive[0] * math.exp(ratio * i) for i in range(wanted)]
        picked = sorted({_nearest(positive, target, log=True) for target in targets})
        if len(zero) + len(picked) > n:
            continue
        if len(zero) + len(picked) >= len(best):
            best = zero + picked
        if len(best) == n:
            break
    return best


def _only(rows: Sequence[Row], steps: dict[str, int], wanted: Sequence[int]) -> Choice:
    kept = set(wanted)
    chosen = [dict(row) for row in rows if steps.get(row["ckpt_id"]) in kept]
    return Choice(chosen, list(wanted), [])


def _requested(
    rows: Sequence[Row],
    steps: dict[str, int],
    numbers: Sequence[int],
    names: Sequence[str],
    nearest: bool,
) -> Choice:
    there = sorted(set(steps.values()))
    missing = [number for number in numbers if number not in set(there)]
    replaced: dict[int, int] = {}
    if nearest and there:
        for number in missing:
            used = _nearest(there, number)
            # A checkpoint that was asked for itself, or stands for a nearer step, keeps that role.
            if used not in numbers and (
                used not in replaced or abs(used - number) < abs(used - replaced[used])
            ):
                replaced[used] = number
        missing = []
    wanted = (set(numbers) & set(there)) | set(replaced)
    chosen: list[Row] = []
    for row in rows:
        step = steps.get(row["ckpt_id"])
        if step not in wanted and row["ckpt_id"] not in names:
            continue
        new = dict(row)
        if step is not None and step in replaced:
            new["requested_step"], new["used_step"] = replaced[step], step
        chosen.append(new)
    if not chosen:
        near = sorted({_nearest(there, number) for number in numbers}) if there else []
        raise ModelError(
            f"The series has none of the steps {_short(numbers)}"
            + (
                f"; the nearest are {_short(near)} (set series.nearest to use them)."
                if near
                else ", because its checkpoints have no steps."
            )
        )
    return Choice(chosen, list(numbers), missing)


def _listed(schedule: Schedule) -> tuple[list[int], list[str]]:
    entries = [schedule] if isinstance(schedule, (str, int)) else list(schedule)
    numbers: list[int] = []
    names: list[str] = []
    for entry in entries:
        text = str(entry).strip()
        if isinstance(entry, bool) or not text or text.startswith("-") or ":" in text:
            raise ConfigError(
                f"'{entry}' is no schedule; write all, log:20, every:5000, or a list of steps."
            )
        if text.isdecimal():
            numbers.append(int(text))
        else:
            names.append(text)
    if not entries:
        raise ConfigError("The schedule is an empty list; write for example log:20.")
    return sorted(set(numbers)), names


def _refuse_unknown(rows: Sequence[Row], names: Sequence[str]) -> None:
    known = [row["ckpt_id"] for row in rows]
    unknown = [name for name in names if name not in known]
    if unknown:
        near = _closest(unknown[0], known)
        raise ModelError(
            f"There is no checkpoint or revision '{unknown[0]}'; the closest names are "
            f"{', '.join(near)}."
        )


def _closest(name: str, known: Sequence[str]) -> list[str]:
    """The names most like a wrong one, and those nearest to it if it differs in numbers alone."""
    alike = get_close_matches(name, known, n=5, cutoff=0.4) or [*known[:2], *known[-2:]]
    numbers = _numbers(name)
    near = sorted(
        (one for one in known if _NUMBER.sub("#", one) == _NUMBER.sub("#", name) != name),
        key=lambda one: [abs(a - b) for a, b in zip(_numbers(one), numbers, strict=True)],
    )
    return list(dict.fromkeys([alike[0], *near[:4], *alike[1:]]))[:5]


def _numbers(name: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(name)]


def _nearest(ascending: Sequence[int], target: float, *, log: bool = False) -> int:
    """The nearest step; the earlier one of two equally near."""
    place = bisect_left(ascending, target)
    around = ascending[max(0, place - 1) : place + 1]

    def distance(step: int) -> float:
        return abs(math.log(step / target)) if log else abs(step - target)

    return min(around, key=lambda step: (distance(step), step))


def _short(numbers: Sequence[int]) -> str:
    text = ", ".join(str(number) for number in numbers[:10])
    return f"{text}, ..." if len(numbers) > 10 else text
