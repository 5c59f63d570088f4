"""Which claims of the published study a comparison of two arms is about (`align`, 9.6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from polylore.metrics.align.claims import Claim
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.sets import INSTRUCTED
from polylore.studies.align.arms.siblings import Manifest, Pair

HELPS = Claim("continued pretraining helps its target language", "target", up=True)
COSTS = (
    Claim("continued pretraining costs the pivot", "pivot", up=False),
    Claim("continued pretraining costs the other languages", "others_out", up=False),
)
SPARES = (
    Claim("mixed pretraining spares the pivot", "pivot", up=True),
    Claim("mixed pretraining spares other languages in the mix", "others_in", up=True),
    Claim("mixed pretraining spares languages outside the mix", "others_out", up=True),
)
TUNED = {
    True: "instruction tuning helps a language that it is in",
    False: "instruction tuning helps a language that it is not in",
}


@dataclass(frozen=True)
class Judged:
    """One comparison of arms: what may be claimed about it."""

    pair: Pair
    siblings: bool
    target: str | None
    inside: frozenset[str]
    claims: tuple[Claim, ...]


def comparisons(
    pairs: Sequence[Pair],
    table: pl.DataFrame,
    manifests: Sequence[Manifest],
    allow_confounded: bool,
) -> Iterator[Judged]:
    """Comparisons that may be judged, each with its claims."""
    proven = {(arm, minus): ok for arm, minus, ok in table.select(
        "arm", "minus", "siblings").iter_rows()}  # fmt: skip
    by_name = {m["arm"]: m for m in manifests}
    for pair in pairs:
        ok = proven[pair.arm, pair.minus]
        if not ok and not allow_confounded:
            continue
        arm, minus = by_name[pair.arm], by_name[pair.minus]
        target, inside = arm["target"], frozenset(languages_of(arm))
        claims: tuple[Claim, ...] = ()
        if arm["kind"] == "cpt":
            claims = (HELPS, *COSTS)
        elif arm["kind"] == "mix" and minus["kind"] == "cpt":
            target, claims = minus["target"], SPARES
        elif arm["kind"] == "itune":
            # Not `inside`, which holds replayed languages, too.
            spoken = set(arm["design"]["lang"] or ())
            claims = tuple(
                Claim(TUNED[lang in spoken], f"lang:{lang}", up=True)
                for lang in sorted(_asked_languages(manifests))
            )
        yield Judged(pair, ok, target, inside, claims)


def plain(pair: Pair, arm: Manifest) -> Judged:
    """A comparison that nothing is claimed about: only how far apart two arms are."""
    return Judged(pair, True, arm["target"], frozenset(languages_of(arm)), ())


def _asked_languages(manifests: Sequence[Manifest]) -> set[str]:
    return {lang for m in manifests for lang in m["asked"]}


def languages_of(manifest: Manifest) -> set[str]:
    """Languages whose text an arm was meant to read, replayed text of the start included."""
    design = manifest["design"]
    if design.get("replay"):
        return {lang for lang, own in manifest["spent"]["by_language"].items() if own}
    ratio = design.get("ratio")
    if isinstance(ratio, dict):
        return set(ratio)
    return set(design.get("lang") or ()) | {
        lang for lang, own in manifest["spent"]["by_language"].items() if ratio and own
    }


def is_about(dataset: str, pair: Judged, config: ArmsConfig) -> bool:
    """Whether a claim is about a set: of a primer's, questions are for instruction tuning alone."""
    if config.eval.sets is not None:
        return True
    tuned = any(claim.group.startswith("lang:") for claim in pair.claims)
    return tuned == dataset.startswith(INSTRUCTED)
