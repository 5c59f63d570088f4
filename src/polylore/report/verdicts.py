"""The rule by which a claim is confirmed, not confirmed or undecided.

A claim "value > bar" is judged case by case (usually language by language): its interval lies
wholly above the bar (for), wholly at or below it (against), or neither (open; also where there is
no interval). Confirmed: for in all. Not confirmed: for in none, against in at least one.
Undecided: the rest. Asking all cases to agree needs no correction for their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from polylore.report.model import Verdict


@dataclass(frozen=True)
class Case:
    """One language's evidence for a claim "value > bar"."""

    name: str
    low: float | None
    high: float | None
    bar: float

    @property
    def side(self) -> str:
        """for, against or open."""
        if self.low is None or self.high is None:
            return "open"
        if self.low > self.bar:
            return "for"
        return "against" if self.high <= self.bar else "open"


def judge(cases: Sequence[Case]) -> Verdict:
    """The verdict over all languages, by the rule of this file."""
    sides = [case.side for case in cases]
    if sides and all(side == "for" for side in sides):
        return "confirmed"
    if "for" not in sides and "against" in sides:
        return "not confirmed"
    return "undecided"


def tally(cases: Sequence[Case]) -> str:
    """How many languages are for, open and against, and which are not for."""
    words = []
    for side, say in (("for", "confirmed"), ("open", "undecided"), ("against", "not confirmed")):
        names = [case.name for case in cases if case.side == side]
        which = f" ({', '.join(names)})" if names and side != "for" else ""
        if names or side == "for":
            words.append(f"{say} in {len(names)}{which}")
    return f"Of {len(cases)}: " + ", ".join(words) + "."
