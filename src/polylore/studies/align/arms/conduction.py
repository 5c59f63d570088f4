"""Claim P4: facts carry over poorly, and treatments before the injection hardly improve it."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylore.facts.fiction.lint import valid_facts
from polylore.facts.fiction.world import World
from polylore.metrics.align.carried import (
    EQUAL,
    LEVEL,
    Carried,
    carried,
    equally_long,
    improved,
    poor,
)
from polylore.studies.align.arms.comparisons import Judged
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.siblings import Manifest


def conduction_claims(
    answers: pl.DataFrame,
    worlds: Mapping[str, World],
    compared: Sequence[Judged],
    manifests: Sequence[Manifest],
    config: ArmsConfig,
) -> list[dict[str, Any]]:
    """Claim P4: conductivity is poor, and treatments before the injection hardly improve it."""
    facts = pl.concat([world.facts for world in worlds.values()]).unique(maintain_order=True)
    valid = pl.concat(
        [
            valid_facts(world).with_columns(
                source=pl.lit(world.source), target=pl.lit(world.target)
            )
            for world in worlds.values()
        ]
    )
    if not config.score.draws:
        return []
    # The ceiling and the control of permuted answers say nothing about conduction.
    shown = [
        m["run_id"]
        for m in manifests
        if m["kind"] == "inject"
        and not m["design"]["parallel_exposure"]
        and not m["design"]["shuffled"]
    ]
    injected = answers.filter(pl.col("run_id").is_in(shown))
    if not injected.height:
        return []
    score = config.score

    def by_key(own: pl.DataFrame) -> dict[tuple[str, str], Carried]:
        found = carried(own, facts, valid, draws=score.draws, seed=score.seed)
        return {(one.arm, one.target): one for one in found}

    passed = by_key(injected)
    rows: list[dict[str, Any]] = []
    for one in passed.values():
        rows += poor(one, score.margins, score.seed)
    for pair in compared:
        if pair.pair.factor != "start":
            continue
        arm, _, target = pair.pair.arm.rpartition("/")
        minus = pair.pair.minus.rpartition("/")[0]
        equal = by_key(equally_long(injected, arm, minus))
        for level, found in ((LEVEL, passed), (EQUAL, equal)):
            if (arm, target) in found and (minus, target) in found:
                rows += improved(
                    found[arm, target], found[minus, target], score.margins, score.seed,
                    siblings=pair.siblings, level=level,
                )  # fmt: skip
    return rows
