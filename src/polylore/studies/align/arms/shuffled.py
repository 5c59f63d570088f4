"""The control of permuted answers: what was taught is not what is true."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylore.facts.fiction.world import World
from polylore.metrics.align.gates import THRESHOLD, gates, passed
from polylore.tables.fiction import CONDUCTIVITY, FICTION_FACTS, GATES, RUN_KEY


def told_facts(world: World) -> pl.DataFrame:
    """Facts as the training rows tell them; table FICTION_FACTS."""
    rows = world.rows.filter(pl.col("block").str.starts_with("source_"))
    said = dict(rows.select("fact_id", "answer").iter_rows())
    names = {
        (answer, lang): text
        for answer, lang, text in world.facts.select("answer", "lang", "object").iter_rows()
    }
    told: list[Mapping[str, Any]] = [
        row | {"answer": said[row["fact_id"]], "object": names[said[row["fact_id"]], row["lang"]]}
        if row["fact_id"] in said
        else row
        for row in world.facts.iter_rows(named=True)
    ]
    return FICTION_FACTS.build(told)


def with_taught_gates(
    made: Mapping[str, pl.DataFrame],
    answers: pl.DataFrame,
    taught: Mapping[str, Mapping[str, World]],
    manifests: Sequence[Mapping[str, Any]],
    *,
    threshold: float = THRESHOLD,
) -> dict[str, pl.DataFrame]:
    """Gates of runs with permuted answers by what they were taught.

    Conductivity stays that against the truth; the gate says whether what was taught was learned.

    Args:
        made: align_gates and align_conductivity, by what is true.
        answers: table FICTION_ANSWERS.
        taught: worlds by run_id and target, with the rows that were taught.
        manifests: of all trainings.
        threshold: share from which on a component passes.

    Returns:
        Both tables.
    """
    gate, table = made["align_gates"], made["align_conductivity"]
    for manifest in manifests:
        run_id = manifest["run_id"]
        if run_id not in taught:
            continue
        own = answers.filter(pl.col("run_id") == run_id)
        fresh = pl.concat(
            [
                gates(
                    own.filter(pl.col("target") == target),
                    told_facts(world),
                    trained={run_id: manifest["components"]},
                    threshold=threshold,
                )
                for target, world in taught[run_id].items()
                if target in manifest["targets"]
            ]
        )
        gate = pl.concat([gate.filter(pl.col("run_id") != run_id), fresh])
        rows = [
            row | passed(fresh, row, manifest["components"]) if row["run_id"] == run_id else row
            for row in table.iter_rows(named=True)
        ]
        table = CONDUCTIVITY.build(rows)
    keys = list(RUN_KEY)
    return {
        "align_gates": GATES.validate(gate.sort(keys, maintain_order=True)),
        "align_conductivity": table,
    }
