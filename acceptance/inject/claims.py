"""The claims of the experiment (specification of `inject`, section 9.5) and their verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass

from acceptance.inject.readout import Found, control_gain, control_published, joint, swap_margin
from polylore.metrics.injection.evidence import COMP, DUP, LATER, MEM, ONCE, PARA, SEM
from polylore.metrics.injection.number import SHOWN, Number
from polylore.metrics.injection.readout import (
    OTHER,
    OWN,
    LostShare,
    Reading,
    accumulated,
    at_peak,
    first_gain,
    gain,
    later_gain,
    lost,
)

REPEATED = (DUP, PARA)
WITHIN = 5
"""Never-injected items: E_cf must lie within the published E over so many."""


@dataclass(frozen=True)
class Part:
    """One number of a claim, and whether it is where it was predicted to be."""

    label: str
    number: Number
    verdict: str
    about_zero: bool = False
    """Whether it is predicted to be about zero, and not above it."""

    @classmethod
    def positive(cls, label: str, number: Number) -> "Part":
        """A number that is predicted to be positive."""
        return cls(label, number, number.verdict)

    @property
    def why(self) -> str:
        """What keeps it from being shown; empty if it is shown."""
        lo, hi = self.number.limits
        if self.verdict == SHOWN:
            return ""
        if lo is None or hi is None:
            return f"there is no interval ({self.number.reason})"
        between = f"the interval over items, [{lo:+.2f}, {hi:+.2f}],"
        if self.about_zero:
            return f"{between} does not lie within those bounds"
        signs = self.number.signs
        wrong = [f"run {n + 1}" for n, sign in enumerate(signs) if sign <= 0]
        side = "lies above zero" if lo > 0 else "lies below zero" if hi < 0 else "holds zero"
        told = " ".join({1: "+", -1: "-"}.get(sign, "0") for sign in signs)
        verb = "is" if len(wrong) == 1 else "are"
        others = f", of which {' and '.join(wrong)} {verb} not as predicted" if wrong else ""
        return f"{between} {side}; signs of the runs {told}{others}"


@dataclass(frozen=True)
class Claim:
    """A prediction."""

    id: str
    statement: str
    required: bool
    parts: tuple[Part, ...]

    @property
    def verdict(self) -> str:
        """shown, contradicted or undetermined."""
        return joint([part.verdict for part in self.parts])

    @property
    def why(self) -> str:
        """Which numbers keep it from being shown, and by what; empty if it is shown."""
        lost = [part for part in self.parts if part.verdict != SHOWN]
        if not lost:
            return ""
        told = "; ".join(f"{part.label}: {part.why}" for part in lost)
        count = f"{len(lost)} of its {len(self.parts)} numbers" if len(self.parts) > 1 else "it"
        return f"{self.id} is {self.verdict}, since {count} did not come out as predicted. {told}."


def claims(found: Found) -> Iterator[Claim]:
    """All claims that the arms decide."""
    yield Claim(
        "A1",
        "never-injected items at the times of duplication: the published E is positive without any "
        f"learning, and the whole interval of E_cf lies within a {WITHIN}th of it",
        True,
        tuple(part for depth in (MEM, SEM) for part in _noise(found, DUP, depth)),
    )
    yield Claim(
        "A2",
        "every exposure gains: E_cf > 0",
        True,
        tuple(
            Part.positive(f"{arm}, {depth}", _read(found, gain, arm, depth))
            for arm in (DUP, PARA, ONCE)
            for depth in (MEM, SEM)
        ),
    )
    first = _read(found, first_gain, DUP) - _read(found, later_gain, DUP)
    yield Claim(
        "A3",
        "the first exposure gains more than the mean of the later ones",
        True,
        (Part.positive(DUP, first),),
    )
    more = _read(found, at_peak, DUP) - _read(found, at_peak, ONCE)
    yield Claim(
        "A4",
        "six exposures accumulate",
        True,
        (
            Part.positive("D_pk: duplication less once", more),
            Part.positive("A - S", _read(found, accumulated, DUP)),
        ),
    )
    yield Claim(
        "A5",
        f"gains are forgotten: D_pk less D {LATER} steps later",
        True,
        tuple(
            Part.positive(f"{arm}, {depth}", _read(found, lost(LATER), arm, depth))
            for arm in REPEATED
            for depth in (MEM, SEM)
        ),
    )
    gaps = {arm: _read(found, at_peak, arm) - _read(found, at_peak, arm, SEM) for arm in REPEATED}
    yield Claim(
        "A6",
        "D_pk: memorization exceeds semantic under duplication, and less so under paraphrase",
        True,
        (
            Part.positive("gap under duplication", gaps[DUP]),
            Part.positive("less the gap under paraphrase", gaps[DUP] - gaps[PARA]),
        ),
    )
    yield Claim(
        "A7",
        "E_cf is larger in the language of the passage than in the other one",
        True,
        tuple(
            Part.positive(arm, _read(found, gain, arm) - _read(found, gain, arm, direction=OTHER))
            for arm in REPEATED
        ),
    )
    yield Claim(
        "A8",
        "the fact reaches the other language: D_pk and swap margin there are positive",
        True,
        tuple(
            part
            for arm in REPEATED
            for part in (
                Part.positive(f"{arm}, D_pk", _read(found, at_peak, arm, direction=OTHER)),
                Part.positive(f"{arm}, swap margin", swap_margin(found, arm, OTHER)),
            )
        ),
    )
    yield from _reported(found)


def _read(
    found: Found, reading: Reading, arm: str, depth: str = MEM, *, direction: str = OWN
) -> Number:
    """A reading that the design of the experiment has.

    Raises:
        SystemExit: the runs lack it.
    """
    number = found.scores.number(reading, arm, depth, direction)
    if number is None:
        raise SystemExit(f"there is no reading of {arm}, {depth}, in the {direction} language")
    return number


def _noise(found: Found, arm: str, depth: str) -> Iterator[Part]:
    paper = control_published(found, arm, depth)
    yield Part.positive(f"{arm}, {depth}, published E", paper)
    own, margin = control_gain(found, arm, depth), paper.times(1 / WITHIN)
    yield Part(
        f"{arm}, {depth}, E_cf within ±{margin.value or 0:.2f}", own, own.within(margin), True
    )


def _reported(found: Found) -> Iterator[Claim]:
    share = LostShare(LATER)
    yield Claim(
        "B0",
        "A1 at the times of the other arms; with one exposure E_cf of never-injected items is read "
        "at their own worst lag, and does not say what nothing taught gives",
        False,
        tuple(p for arm in (PARA, ONCE) for d in (MEM, SEM) for p in _noise(found, arm, d)),
    )
    yield Claim(
        "B1",
        f"what was transferred fades faster: share of D_pk lost after {LATER} steps, other "
        "language less own",
        False,
        tuple(
            Part.positive(
                arm,
                _read(found, LostShare(LATER), arm, direction=OTHER)
                - _read(found, LostShare(LATER), arm),
            )
            for arm in REPEATED
        ),
    )
    yield Claim(
        "B2",
        "duplication loses a larger share than paraphrase",
        False,
        tuple(
            Part.positive(
                depth,
                _read(found, share, DUP, depth) - _read(found, share, PARA, depth),
            )
            for depth in (MEM, SEM)
        ),
    )
    yield Claim(
        "B3",
        "facts that need a second one from the background gain: compositional E_cf > 0",
        False,
        tuple(Part.positive(arm, _read(found, gain, arm, COMP)) for arm in REPEATED),
    )
