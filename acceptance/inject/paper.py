"""What the experiment says to the directional claims of the source study (section 1, 1 to 10)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from acceptance.inject import readout as r
from acceptance.inject.claims import (
    COMPOSITIONAL,
    DUPLICATION,
    MEMORIZATION,
    ONCE,
    PARAPHRASE,
    SEMANTIC,
    Part,
)
from acceptance.inject.numbers import CONTRADICTED, SHOWN, Number
from acceptance.inject.readout import Readout
from polylore.metrics.index import Array
from polylore.metrics.injection.measured import Measured

WORDS = {SHOWN: "confirmed", CONTRADICTED: "not confirmed"}
UNDECIDED, NOT_TESTED = "undecided", "not tested"
DEPTHS = (MEMORIZATION, SEMANTIC, COMPOSITIONAL)


@dataclass(frozen=True)
class PaperClaim:
    """A claim of the source study."""

    number: int
    statement: str
    parts: tuple[Part, ...]
    remark: str = ""

    def verdicts(self) -> list[str]:
        """Verdict of each part, in words."""
        return [WORDS.get(part.verdict, UNDECIDED) for part in self.parts]

    @property
    def verdict(self) -> str:
        """Of the whole: confirmed if every part is, not confirmed if one is contradicted."""
        found = self.verdicts()
        if not found:
            return NOT_TESTED
        if WORDS[CONTRADICTED] in found:
            return WORDS[CONTRADICTED]
        return UNDECIDED if UNDECIDED in found else WORDS[SHOWN]


def straightness(m: Measured) -> Array:
    """Share of variance of R_c at the lags read that a straight line in log lag explains."""
    late = m.lags_L > 0
    x = np.log10(m.lags_L[late])
    y_RL = m.kept.share_DL[:, late]
    x = x - x.mean()
    centred = y_RL - y_RL.mean(axis=1, keepdims=True)
    slope_R = centred @ x / (x @ x)
    whole = (centred**2).sum(axis=1)
    rest = ((centred - slope_R[:, None] * x) ** 2).sum(axis=1)
    return np.asarray(1 - np.divide(rest, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def decay(m: Measured) -> Array:
    """Decay constant of the kernel."""
    if m.fits is None:
        return np.full(m.rows, np.nan)
    return np.asarray(m.fits.a_D)


def left_later(m: Measured) -> Array:
    """D so many steps after the last peak."""
    return r.at_peak(m) - r.lost(m)


def early_less_late(m: Measured) -> Array:
    """Gain of the second and third exposure less that of the last two."""
    by = m.effect.by_exposure_DN
    return np.asarray(by[:, 1:3].mean(axis=1) - by[:, -2:].mean(axis=1))


def paper_claims(
    arms: Readout, batch: dict[str, Readout], stage: dict[str, Readout]
) -> Iterator[PaperClaim]:
    """The claims, in their order.

    Args:
        arms: the runs of stage 2.
        batch: small, small_share and large: runs of the batch contrast; may be empty.
        stage: early and late; may be empty.
    """
    n = arms.number
    yield PaperClaim(
        1,
        "probability jumps after an exposure, then decays; exposures accumulate",
        (
            Part.positive("gain, duplication", n(r.gain, DUPLICATION)),
            Part.positive("lost later, duplication", n(r.lost, DUPLICATION)),
            Part.positive("A - S, duplication", n(r.accumulated, DUPLICATION)),
        ),
    )
    yield _depths(arms)
    yield _duplicated(arms)
    yield _stages(stage)
    yield _once(arms)
    yield _straight(arms)
    yield _decay(arms)
    yield _batches(batch)
    yield PaperClaim(
        9,
        "the x-intercept is only a proxy of the learnability threshold",
        (),
        "the sweep below shows both, and their distance",
    )
    yield PaperClaim(
        10,
        "long tail, diversity and deduplication are explained by forgetting",
        (),
        "hypotheses of the source study about whole corpora; no experiment of this size decides "
        "them",
    )


def _depths(arms: Readout) -> PaperClaim:
    n = arms.number
    own = {depth: n(r.gain, DUPLICATION, depth) for depth in DEPTHS}
    gap = own[MEMORIZATION] - own[SEMANTIC]
    other = n(r.gain, PARAPHRASE) - n(r.gain, PARAPHRASE, SEMANTIC)
    return PaperClaim(
        2,
        "gain: memorization > semantic > compositional; under paraphrase the first gap almost "
        "disappears",
        (
            Part.positive("memorization less semantic, duplication", gap),
            Part.positive("semantic less compositional", own[SEMANTIC] - own[COMPOSITIONAL]),
            Part.positive("first gap, duplication less paraphrase", gap - other),
        ),
    )


def _duplicated(arms: Readout) -> PaperClaim:
    n = arms.number
    parts = [
        Part.positive(f"gain, {d}", n(r.gain, DUPLICATION, d) - n(r.gain, PARAPHRASE, d))
        for d in DEPTHS
    ]
    faster = n(r.lost_share, DUPLICATION) - n(r.lost_share, PARAPHRASE)
    parts.append(Part.positive("share lost, memorization", faster))
    level = n(left_later, DUPLICATION) - n(left_later, PARAPHRASE)
    return PaperClaim(
        3,
        "duplication gains more than paraphrase at all depths, forgets faster, and is level later",
        tuple(parts),
        f"D {r.LATER} steps after the last peak, duplication less paraphrase: {level.text()}",
    )


def _stages(stage: dict[str, Readout]) -> PaperClaim:
    statement = "effectivity does not rise with the stage of pretraining, and rises with size"
    size = "one size was trained, so size is not tested"
    if not stage:
        return PaperClaim(4, statement, (), f"no early checkpoint was injected into; {size}")
    early, late = (stage[name].number(r.gain, DUPLICATION) for name in ("early", "late"))
    number = early - late
    return PaperClaim(
        4,
        statement,
        (Part.positive("early less late checkpoint, duplication", number),),
        f"equal constant rate, fresh optimizer after a burn-in; {size}",
    )


def _once(arms: Readout) -> PaperClaim:
    n = arms.number
    single = n(r.gain, ONCE)
    return PaperClaim(
        5,
        "mean effectivity is largest for once: the first exposure gains most, later ones equally",
        (
            Part.positive("once less duplication", single - n(r.gain, DUPLICATION)),
            Part.positive("once less paraphrase", single - n(r.gain, PARAPHRASE)),
            Part.positive(
                "first less later, duplication",
                n(r.first_gain, DUPLICATION) - n(r.later_gain, DUPLICATION),
            ),
        ),
        "exposures 2 and 3 less the last two, duplication: "
        f"{n(early_less_late, DUPLICATION).text()}; a positive number speaks against `equally`",
    )


def _straight(arms: Readout) -> PaperClaim:
    bars = {MEMORIZATION: 0.80, SEMANTIC: 0.80, COMPOSITIONAL: 0.65}
    parts = []
    for depth, bar in bars.items():
        number = arms.number(straightness, DUPLICATION, depth)
        over = Number(number.rows_R - bar, number.runs_S - bar)
        parts.append(Part.positive(f"R² less {bar:.2f}, {depth}, duplication", over))
    return PaperClaim(
        6,
        "retention is linear in log t",
        tuple(parts),
        "of R_c over the lags read; whether another form fits better is in the table of forms",
    )


def _decay(arms: Readout) -> PaperClaim:
    n = arms.number
    least = n(decay, DUPLICATION, COMPOSITIONAL)
    return PaperClaim(
        7,
        "the decay constant is smallest for compositional probes, and smaller under paraphrase",
        (
            Part.positive("memorization less compositional", n(decay, DUPLICATION) - least),
            Part.positive("semantic less compositional", n(decay, DUPLICATION, SEMANTIC) - least),
            Part.positive(
                "duplication less paraphrase", n(decay, DUPLICATION) - n(decay, PARAPHRASE)
            ),
        ),
        "of the kernel, which is comparable across schedules; its part on stages is not tested",
    )


def _batches(batch: dict[str, Readout]) -> PaperClaim:
    statement = "a smaller batch gains more per exposure and forgets faster"
    if not batch:
        return PaperClaim(8, statement, (), "one batch size was trained")
    gains = {name: found.number(r.gain, DUPLICATION) for name, found in batch.items()}
    rates = {name: found.number(decay, DUPLICATION) for name, found in batch.items()}
    return PaperClaim(
        8,
        statement,
        (
            Part.positive("gain, as published", gains["small"] - gains["large"]),
            Part.positive("gain, dose matched", gains["small_share"] - gains["large"]),
            Part.positive("decay constant, dose matched", rates["small_share"] - rates["large"]),
        ),
        "dose matched: passages weigh less in the small batch; under Adam a weight acts only "
        "relative to the rest of the batch",
    )
