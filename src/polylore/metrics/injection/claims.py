"""The paper's directional claims, and ours, held against a run (`inject`, sections 1 and 9.5).

A claim is a number that should be above zero. It is shown if the pooled interval lies above zero
and every run has that sign, contradicted if the interval lies below, undetermined otherwise: also
where the run has no arms for it, with the reason. No published value is compared with: the known
claims are directions.
"""

from collections.abc import Iterator
from itertools import chain

import polars as pl

from polylore.metrics.injection import claim_cases as cases
from polylore.metrics.injection import claim_conditions as conditions
from polylore.metrics.injection.claim_cases import Row
from polylore.metrics.injection.evidence import COMP, DUP, LEVEL_AT, MEM, SEM, TWO_HOP, Evidence
from polylore.metrics.injection.readout import decay, gain
from polylore.tables.injection_evidence import CLAIMS

_ARMS = "the run lacks the arms"
_STAGE, _SIZE = "one stage of pretraining only", "one model size only"
_RATES = "the stages of pretraining went on at one constant learning rate only"
_ONE_RATE = "no two stages of pretraining went on at one constant learning rate"
_THREE = "fewer than three stages of pretraining"
_BATCH = "one batch size only"
_DEPTHS = "compositional probes were not asked at both batch sizes"
_LANG = "one language only"
_CORPORA = "a hypothesis about corpora; injection alone does not test it"
_BATCHES = (
    ("8a", "A small batch gains more per exposure.", "effectivity", 1),
    ("8b", "A small batch forgets faster.", "a_kernel", 1),
    ("8c", "A small batch loses everything within fewer tokens.", "zero_tokens_log10", -1),
)


def claims(evidence: Evidence) -> pl.DataFrame:
    """Table CLAIMS: one row per claim and case; a claim without any case says why."""
    rows: list[Row] = []
    for claim_id, statement, found, why in (*_of_the_paper(evidence), *_ours(evidence)):
        untold = not evidence.main.pooled.measured and why == _ARMS
        own = list(found) or [cases.absent("no_control_items" if untold else why)]
        rows += [{"claim_id": claim_id, "statement": statement} | row for row in own]
    return CLAIMS.build(rows)


Claim = tuple[str, str, Iterator[Row], str]


def _of_the_paper(e: Evidence) -> Iterator[Claim]:
    """Number of the paper's claim, statement, cases, and why there may be none."""
    yield "1a", "An exposure raises the log-probability.", cases.gains(e), _ARMS
    yield (
        "1b",
        "After the last exposure part of the gain is lost again.",
        cases.forgotten(e),
        ("the log ends before"),
    )
    yield "1c", "Small acquisitions accumulate over exposures.", cases.accumulate(e), _ARMS
    found = cases.between_depths(e, DUP, MEM, SEM)
    yield "2a", "Memorization gains more than semantic probes, under duplication.", found, _ARMS
    hops = (cases.between_depths(e, None, SEM, depth) for depth in (COMP, TWO_HOP))
    found = chain.from_iterable(hops)
    yield "2b", "Semantic probes gain more than compositional ones.", found, _ARMS
    words = "Paraphrase closes the gap between memorization and semantic probes."
    yield "2c", words, cases.gaps(e), _ARMS
    found = cases.between_arms(e, gain, "difference of E_cf")
    yield "3a", "Duplication gains more than paraphrase, at every depth.", found, _ARMS
    found = cases.between_arms(e, decay, "difference of a_kernel")
    yield "3b", "Duplication forgets faster than paraphrase.", found, _ARMS
    yield (
        "3c",
        "Late on, duplication and paraphrase are about level.",
        cases.level(e),
        (f"the log ends sooner than {LEVEL_AT} steps after the last exposure"),
    )
    stage = _ARMS if e.stages else _RATES if e.level else _STAGE
    level = _ARMS if e.level else _ONE_RATE
    words = "Effectivity does not rise with the stage of pretraining."
    yield "4a", words, conditions.stages(e.stages), stage
    yield "4b", "Effectivity rises with model size.", conditions.sizes(e), _SIZE
    words = "Nor does it at an equal constant learning rate."
    yield "4c", words, conditions.stages(e.level), level
    words = "Mean effectivity is larger for one exposure than for many."
    yield "5a", words, cases.once_exceeds(e), _ARMS
    words = "The first exposure gains more than the mean of the later ones."
    yield "5b", words, cases.first_exceeds(e), _ARMS
    yield "5c", "Later exposures gain about equally much.", cases.later_equal(e), _ARMS
    yield (
        "6",
        "Forgetting is a straight line in log t.",
        cases.straight(e),
        (
            "too few effective readings, neighbouring ones being alike, to compare forms: 20 are "
            "needed, and one more for every further exposure"
        ),
    )
    yield "7a", "Compositional gains are forgotten most slowly.", cases.slowest(e), _ARMS
    words = "Under duplication, late checkpoints forget more slowly than early ones."
    yield "7b", words, conditions.stage_decay(e.stages), stage
    words = "At an equal constant learning rate that difference disappears."
    yield "7c", words, conditions.decay_levels(e), level
    words = "Under duplication, checkpoints before the last one forget about equally fast."
    yield "7d", words, conditions.early_alike(e.stages), _THREE if e.stages else stage
    for number, words, quantity, sign in _BATCHES:
        yield number, words, conditions.batches(e, quantity, sign), _BATCH
    words = "The tokens until all is lost shrink most for compositional probes."
    why = _BATCH if e.batch is None else _DEPTHS
    yield "8d", words, conditions.batches_by_depth(e), why
    words = "The x-intercept is no more than a proxy of the measured threshold."
    yield "9", words, conditions.proxy(e), "no sweep of exposure intervals"
    words = "Repetition widens the gap between memorizing and understanding."
    yield "10a", words, cases.gaps(e), _ARMS
    words = "Long-tail facts fail because they recur beyond the threshold."
    yield "10b", words, iter(()), _CORPORA
    words = "More text helps by showing more kinds of facts, not by better learning of each."
    yield "10c", words, iter(()), _CORPORA


def _ours(e: Evidence) -> Iterator[Claim]:
    """The same of our own claims: controls and transfer."""
    words = "At an arm's times items never injected gain nothing, though the published form does."
    yield "C1", words, cases.false_gains(e), "no control items, or no published form of them"
    words = "A fact gains more in the language of injection than in another."
    yield "T1", words, cases.direct_exceeds(e), _LANG
    yield "T2", "A fact arrives in the other language.", cases.arrives(e), _LANG
    words = "What arrives in the other language is a fact, not a likelier word."
    yield "T3", words, cases.specific(e), "swapped subjects were not read, or one language only"
    words = "What arrives in the other language fades faster."
    yield "T4", words, cases.fades(e), _LANG
