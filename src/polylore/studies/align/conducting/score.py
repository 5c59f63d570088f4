"""From raw answers about invented facts to conductivity and gates; no model is needed."""

from collections.abc import Collection, Iterable, Mapping

import polars as pl

from polylore.errors import DataError
from polylore.facts.fiction.lint import valid_facts
from polylore.facts.fiction.world import World
from polylore.metrics.align.conduct import conductivity
from polylore.metrics.align.gates import COMPONENTS, THRESHOLD, gates
from polylore.tables.fiction import FICTION_FACTS


def taught(world: World) -> tuple[str, ...]:
    """Components of the gate that a world's rows teach."""
    blocks = set(world.rows["block"])
    return tuple(name for name in COMPONENTS if name in blocks)


def conduct_tables(
    answers: pl.DataFrame,
    worlds: Iterable[World],
    *,
    trained: Mapping[str, Collection[str]] | None = None,
    draws: int = 2000,
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> dict[str, pl.DataFrame]:
    """Conductivity and gates of every run and step.

    Args:
        answers: table FICTION_ANSWERS, of runs that were all asked about these worlds.
        worlds: one per pair of languages, with the same facts in languages they share.
        trained: components that each run_id trained; by default what its world's rows teach.
        draws: bootstrap draws over subjects.
        seed: seed of the draws.
        threshold: share right from which on a component of the gate passes.

    Returns:
        align_conductivity and align_gates.

    Raises:
        DataError: worlds that tell one fact of one language differently, or answers about a pair of
            languages that no world has.
    """
    worlds = list(worlds)
    facts = pl.concat([world.facts for world in worlds]).unique(maintain_order=True)
    if facts.select("fact_id", "lang").is_duplicated().any():
        raise DataError(
            "These worlds tell the same facts differently; score the runs of each one alone."
        )
    pairs = {(world.source, world.target): world for world in worlds}
    runs = answers.select("run_id", "source", "target").unique(maintain_order=True)
    known: dict[str, set[str]] = {}
    for run_id, source, target in runs.iter_rows():
        if (source, target) not in pairs:
            raise DataError(f"There is no world from {source} to {target}, but answers about it.")
        known.setdefault(run_id, set()).update(taught(pairs[source, target]))
    valid = pl.concat(
        [
            valid_facts(world).with_columns(
                source=pl.lit(world.source), target=pl.lit(world.target)
            )
            for world in worlds
        ]
    )
    told = {run_id: (trained or {}).get(run_id, own) for run_id, own in known.items()}
    facts = FICTION_FACTS.validate(facts)
    gate = gates(answers, facts, trained=told, threshold=threshold)
    found = conductivity(answers, facts, valid, trained=told, gate=gate, draws=draws, seed=seed)
    return {"align_conductivity": found, "align_gates": gate}
