"""The claims of the experiment (specification of `inject`, section 9.5) and their verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass

from acceptance.inject import readout as r
from acceptance.inject.numbers import SHOWN, UNDETERMINED, Number, joint
from acceptance.inject.readout import Readout

DUPLICATION, PARAPHRASE, ONCE = "duplication", "paraphrase", "once"
MEMORIZATION, SEMANTIC, COMPOSITIONAL = "memorization", "semantic", "compositional"
REPEATED = (DUPLICATION, PARAPHRASE)
WITHIN = 5
"""Never-injected items: E_cf must lie within the published E over so many."""


@dataclass(frozen=True)
class Part:
    """One number of a claim, and whether it is on the predicted side of zero."""

    label: str
    number: Number
    verdict: str

    @classmethod
    def positive(cls, label: str, number: Number) -> "Part":
        """A number that is predicted to be positive."""
        return cls(label, number, number.verdict)


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


def claims(found: Readout) -> Iterator[Claim]:
    """All claims that the arms decide."""
    yield Claim(
        "A1",
        "never-injected items: the published E is positive without any learning, and the whole "
        f"interval of E_cf lies within a {WITHIN}th of it",
        True,
        tuple(part for depth in (MEMORIZATION, SEMANTIC) for part in _noise(found, depth)),
    )
    yield Claim(
        "A2",
        "every exposure gains: E_cf > 0",
        True,
        tuple(
            Part.positive(f"{arm}, {depth}", found.number(r.gain, arm, depth))
            for arm in (DUPLICATION, PARAPHRASE, ONCE)
            for depth in (MEMORIZATION, SEMANTIC)
        ),
    )
    first = found.number(r.first_gain, DUPLICATION) - found.number(r.later_gain, DUPLICATION)
    yield Claim(
        "A3",
        "the first exposure gains more than the mean of the later ones",
        True,
        (Part.positive(DUPLICATION, first),),
    )
    more = found.number(r.at_peak, DUPLICATION) - found.number(r.at_peak, ONCE)
    yield Claim(
        "A4",
        "six exposures accumulate",
        True,
        (
            Part.positive("D_pk: duplication less once", more),
            Part.positive("A - S", found.number(r.accumulated, DUPLICATION)),
        ),
    )
    yield Claim(
        "A5",
        f"gains are forgotten: D_pk less D {r.LATER} steps later",
        True,
        tuple(
            Part.positive(f"{arm}, {depth}", found.number(r.lost, arm, depth))
            for arm in REPEATED
            for depth in (MEMORIZATION, SEMANTIC)
        ),
    )
    gaps = {
        arm: found.number(r.at_peak, arm) - found.number(r.at_peak, arm, SEMANTIC)
        for arm in REPEATED
    }
    yield Claim(
        "A6",
        "D_pk: memorization exceeds semantic under duplication, and less so under paraphrase",
        True,
        (
            Part.positive("gap under duplication", gaps[DUPLICATION]),
            Part.positive("less the gap under paraphrase", gaps[DUPLICATION] - gaps[PARAPHRASE]),
        ),
    )
    yield Claim(
        "A7",
        "E_cf is larger in the language of the passage than in the other one",
        True,
        tuple(
            Part.positive(arm, found.number(r.gain, arm) - found.number(r.gain, arm, across=True))
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
                Part.positive(f"{arm}, D_pk", found.number(r.at_peak, arm, across=True)),
                Part.positive(f"{arm}, swap margin", found.swap_margin(arm, across=True)),
            )
        ),
    )
    yield from _reported(found)


def _noise(found: Readout, depth: str) -> Iterator[Part]:
    published = found.control_published(DUPLICATION, depth)
    yield Part.positive(f"{depth}, published E", published)
    own = found.control_gain(DUPLICATION, depth)
    lo, hi = own.limits
    bound = published.value / WITHIN
    inside = -bound < lo and hi < bound
    label = f"{depth}, E_cf within ±{bound:.2f}"
    yield Part(label, own, SHOWN if inside else UNDETERMINED)


def _reported(found: Readout) -> Iterator[Claim]:
    yield Claim(
        "B1",
        f"what was transferred fades faster: share of D_pk lost after {r.LATER} steps, other "
        "language less own",
        False,
        tuple(
            Part.positive(
                arm,
                found.number(r.lost_share, arm, across=True) - found.number(r.lost_share, arm),
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
                found.number(r.lost_share, DUPLICATION, depth)
                - found.number(r.lost_share, PARAPHRASE, depth),
            )
            for depth in (MEMORIZATION, SEMANTIC)
        ),
    )
    yield Claim(
        "B3",
        "facts that need a second one from the background gain: compositional E_cf > 0",
        False,
        tuple(Part.positive(arm, found.number(r.gain, arm, COMPOSITIONAL)) for arm in REPEATED),
    )
