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
from polylore.studies.align.arms.tree import name_without_target


def conduction_claims(
    answers: pl.DataFrame,
    worlds: Mapping[str, World],
    compared: Sequence[Judged],
    manifests: Sequence[Manifest],
    conductivity: pl.DataFrame,
    config: ArmsConfig,
) -> list[dict[str, Any]]:
    """Claim P4: conductivity is poor, and treatments before the injection hardly improve it.

    Rows are open, with the reason, where a run did not pass its gate in the end. At equal updates
    the gate at the end counts, too: before that, arms are compared on their way to it.
    """
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
    gates = conductivity.filter(
        (pl.col("subset") == "valid")
        & (pl.col("scoring") == "default")
        & (pl.col("step") == pl.col("step").max().over("run_id"))
    )

    def by_key(own: pl.DataFrame) -> dict[tuple[str, str], Carried]:
        found = carried(own, facts, valid, draws=score.draws, seed=score.seed,
                        gates=gates)  # fmt: skip
        return {(one.arm, one.target): one for one in found}

    passed = by_key(injected)
    rows: list[dict[str, Any]] = []
    for one in passed.values():
        rows += poor(one, score.margins, score.seed)
    by_name = {m["arm"]: m for m in manifests}
    for pair in compared:
        if pair.pair.factor != "start":
            continue
        arm, minus = (
            name_without_target(name, by_name[name]["targets"])
            for name in (pair.pair.arm, pair.pair.minus)
        )
        equal = by_key(equally_long(injected, arm, minus))
        for target in by_name[pair.pair.arm]["targets"]:
            for level, found in ((LEVEL, passed), (EQUAL, equal)):
                if (arm, target) in found and (minus, target) in found:
                    rows += improved(
                        found[arm, target], found[minus, target], score.margins, score.seed,
                        siblings=pair.siblings, level=level,
                    )  # fmt: skip
    return rows
