"""A world for the other studies: as a parallel fact set, as a design, as a corpus."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.facts.factset import FactSet
from polylore.facts.worlds.stream import Batch
from polylore.facts.worlds.world import World
from polylore.files import atomic_path
from polylore.tables import raw

Progress = Callable[[int, int, str], None]


def to_factset(world: World, name: str = "world") -> FactSet:
    """The world as an ordinary parallel fact set.

    Prompts are its evaluation prompts: a variant is a wording and a cue (wording by wording, the
    cues of evaluation within each); candidates are all values of the relation.
    """
    rows = []
    candidates = _candidates(world)
    for fact in world.facts.iter_rows(named=True):
        own = candidates[fact["relation"], fact["lang"]]
        rows.append(
            {
                "fact_id": fact["fact_id"],
                "relation": fact["relation"],
                "lang": fact["lang"],
                "subject": fact["subject"],
                "object": fact["object"],
                "aliases": [],
                "candidate_ids": [f"{fact['relation']}.v{number}" for number, _ in own],
                "candidates": [text for _, text in own],
                "gold_pos": [number for number, _ in own].index(fact["value_index"]),
                "source": f"world {world.world_hash[:12]}",
                "flags": [fact["population"]],
            }
        )
    notes = []
    if world.config.templates > 1:
        notes.append(
            "Each entity was shown in some wordings and is tested in the others; a variant asks "
            "all entities in one."
        )
    facts = pl.DataFrame(rows, schema=raw.FACTS.schema).sort(
        pl.col("lang").replace_strict({code: n for n, code in enumerate(world.languages)}),
        maintain_order=True,
    )
    return FactSet(name, facts, _templates(world), tuple(notes))


def _candidates(world: World) -> dict[tuple[str, str], list[tuple[int, str]]]:
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    values = world.forms.filter(pl.col("kind") == "value").sort("number", maintain_order=True)
    for relation, number, lang, text in values.select(
        "relation", "number", "lang", "text"
    ).iter_rows():
        found.setdefault((relation, lang), []).append((number, text))
    return found


def _templates(world: World) -> pl.DataFrame:
    rows = []
    for lang, code in enumerate(world.languages):
        cues = [world.text(draw) for draw in world.cue.shown[lang].tolist()]
        for r, relation in enumerate(world.relations):
            variant = 0
            for token in world.relation_tokens[r, lang]:
                for cue in cues:
                    text = f"{cue} <subject> {world.words[token]} <mask>".strip()
                    rows.append((relation, code, "prompt", variant, text))
                    rows.append((relation, code, "statement", variant, text))
                    variant += 1
    return pl.DataFrame(rows, schema=raw.TEMPLATES.schema, orient="row")


def design_table(world: World, pivot: str | None = None) -> pl.DataFrame:
    """Where each fact is told, for the ground-truth mode of `trace`; contract `tables.raw.DESIGN`.

    Args:
        world: the world.
        pivot: language that the conditions are about, the first one if None.

    Raises:
        ConfigError: the world does not have this language.
    """
    pivot = world.languages[0] if pivot is None else pivot
    if pivot not in world.languages:
        raise ConfigError(f"The world has no language {pivot}, only {', '.join(world.languages)}.")
    at = world.cell_of[:, world.languages.index(pivot)]
    told_pivot = ((at >= 0) & world.seen[at])[world.fact]
    anywhere = np.zeros(len(world.fact_ids), dtype=bool)
    anywhere[world.fact[world.seen]] = True
    in_pivot = world.lang == world.languages.index(pivot)
    own = np.where(world.seen, "lang_only", "none")
    condition = np.where(told_pivot, np.where(world.seen, "both", "pivot_only"), own)
    condition = np.where(in_pivot & ~world.seen & anywhere[world.fact], "lang_only", condition)
    same = world.facts["object"].to_numpy() == world.facts["object"].to_numpy()[at[world.fact]]
    surface = [
        None if pivotal or there < 0 else ("same" if alike else "disjoint")
        for pivotal, there, alike in zip(in_pivot, at[world.fact], same, strict=True)
    ]
    half = np.random.default_rng(world.config.seed_of("eval")).permutation(len(world.fact_ids)) % 2
    table = world.facts.select("fact_id", "lang", "relation").with_columns(
        condition=pl.Series(condition.tolist(), dtype=pl.String),
        dose=pl.Series(world.weight),
        group=pl.Series([("A", "B")[int(h)] for h in half[world.fact]], dtype=pl.String),
        surface=pl.Series(surface, dtype=pl.String),
    )
    return raw.DESIGN.validate(table)


def dump_stream(
    world: World,
    path: str | Path,
    *,
    steps: int,
    batch_size: int,
    progress: Progress | None = None,
) -> int:
    """Write the documents of a training in their order as JSONL; returns how many.

    A line holds doc_id, step, lang, fact_id and text, so `corpus count` can count it. A row that
    tells a fact in two languages is two documents, one behind the other.

    Raises:
        ConfigError: fewer than one step.
    """
    if steps < 1:
        raise ConfigError(f"There must be at least 1 step to write, not {steps}.")
    stream, number = world.stream(batch_size), 0
    facts, langs = world.facts["fact_id"].to_list(), world.facts["lang"].to_list()
    words = world.words
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        for step in range(1, steps + 1):
            batch = stream.batch(step)
            for row, cell in _documents(batch, world.sequence_len):
                document = {
                    "doc_id": number,
                    "step": step,
                    "lang": langs[cell],
                    "fact_id": facts[cell],
                    "text": " ".join([words[token] for token in row]),
                }
                out.write(json.dumps(document, ensure_ascii=False) + "\n")
                number += 1
            if progress is not None:
                progress(step, steps, "writing the stream (steps)")
    return number


def _documents(batch: Batch, length: int) -> Iterator[tuple[list[int], int]]:
    """Tokens and cell of every sample of a batch, in their order."""
    before = np.full(len(batch.cell), -1) if batch.before is None else batch.before
    for row, first, cell in zip(
        batch.tokens.tolist(), before.tolist(), batch.cell.tolist(), strict=True
    ):
        if first >= 0:
            yield row[:length], first
            row = row[length:]
        yield row[:length], cell
