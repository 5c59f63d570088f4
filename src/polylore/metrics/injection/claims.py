"""The paper's directional claims, and ours, held against a run (`inject`, sections 1 and 9.5).

A claim is a number that should be above zero. It is shown if the pooled interval lies above zero
and every run has that sign, contradicted if the interval lies below, undetermined otherwise: also
where the run has no arms for it, with the reason. No published value is compared with: the known
claims are directions.
"""

from collections.abc import Iterator

import polars as pl

from polylore.metrics.injection.claim_cases import (
    Row,
    accumulate,
    arrives,
    batches,
    between_arms,
    between_depths,
    direct_exceeds,
    fades,
    false_gains,
    first_exceeds,
    forgotten,
    gains,
    gaps,
    later_equal,
    level,
    once_exceeds,
    proxy,
    sizes,
    slowest,
    specific,
    stage_decay,
    stages,
    straight,
)
from polylore.metrics.injection.evidence import COMP, DUP, LEVEL_AT, MEM, SEM, Evidence
from polylore.metrics.injection.readout import decay, gain
from polylore.tables.injection_evidence import CLAIMS

Claim = tuple[str, str, Iterator[Row], str]


def claims(evidence: Evidence) -> pl.DataFrame:
    """Table CLAIMS: one row per claim and case; a claim without any case says why."""
    rows: list[Row] = []
    for claim_id, statement, cases, absent in _all(evidence):
        found = list(cases)
        if not found:
            found = [absent(absent)]
        rows += [{"claim_id": claim_id, "statement": statement} | row for row in found]
    return CLAIMS.build(rows)


def _all(e: Evidence) -> Iterator[Claim]:
    """Every claim: id, statement, cases, and why there may be none."""
    arms = "the run lacks the arms"
    late = "the log ends before"
    yield "1a", "An exposure raises the log-probability.", gains(e), arms
    yield "1b", "After the last exposure part of the gain is lost again.", forgotten(e), late
    yield "1c", "Small acquisitions accumulate over exposures.", accumulate(e), arms
    yield "2a", "Memorization gains more than semantic probes, under duplication.", between_depths(
        e, DUP, MEM, SEM), arms  # fmt: skip
    yield "2b", "Semantic probes gain more than compositional ones.", between_depths(
        e, None, SEM, COMP), arms  # fmt: skip
    yield "2c", "Paraphrase closes the gap between memorization and semantic probes.", gaps(
        e), arms  # fmt: skip
    yield "3a", "Duplication gains more than paraphrase, at every depth.", between_arms(
        e, gain, "difference of E_cf"), arms  # fmt: skip
    yield "3b", "Duplication forgets faster than paraphrase.", between_arms(
        e, decay, "difference of a_kernel"), arms  # fmt: skip
    yield "3c", "Late on, duplication and paraphrase are about level.", level(e), (
        f"the log ends sooner than {LEVEL_AT} steps after the last exposure")  # fmt: skip
    yield "4a", "Effectivity does not rise with the stage of pretraining.", stages(e), (
        "one stage of pretraining only")  # fmt: skip
    yield "4b", "Effectivity rises with model size.", sizes(e), "one model size only"
    yield "5a", "Mean effectivity is larger for one exposure than for many.", once_exceeds(e), arms
    yield (
        "5b",
        "The first exposure gains more than the mean of the later ones.",
        first_exceeds(e),
        arms,
    )
    yield "5c", "Later exposures gain about equally much.", later_equal(e), arms
    yield "6", "Forgetting is a straight line in log t.", straight(e), (
        "too few readings to compare forms of forgetting")  # fmt: skip
    yield "7a", "Compositional gains are forgotten most slowly.", slowest(e), arms
    yield "7b", "Under duplication, late checkpoints forget more slowly than early ones.", (
        stage_decay(e)), "one stage of pretraining only"  # fmt: skip
    for letter, quantity, sign, statement in (
        ("8a", "effectivity", 1, "A small batch gains more per exposure."),
        ("8b", "a_kernel", 1, "A small batch forgets faster."),
        ("8c", "zero_tokens_log10", -1, "A small batch loses everything within fewer tokens."),
    ):
        yield letter, statement, batches(e, quantity, sign), "one batch size only"
    yield "9", "The x-intercept is no more than a proxy of the measured threshold.", proxy(e), (
        "no sweep of exposure intervals")  # fmt: skip
    yield "10a", "Repetition widens the gap between memorizing and understanding.", gaps(e), arms
    yield "10b", "Long-tail facts fail because they recur beyond the threshold.", iter(()), (
        "a hypothesis about corpora; an injection run does not test it")  # fmt: skip
    yield "C1", "Never-injected items have no gain, though the published form finds one.", false_gains(
        e), "no control items, or no published form of them"  # fmt: skip
    yield "T1", "A fact gains more in the language of injection than in another.", direct_exceeds(e), (
        "one language only")  # fmt: skip
    yield "T2", "A fact arrives in the other language.", arrives(e), "one language only"
    yield "T3", "What arrives in the other language is a fact, not a likelier word.", specific(
        e), "swapped subjects were not read, or one language only"  # fmt: skip
    yield "T4", "What arrives in the other language fades faster.", fades(e), "one language only"
