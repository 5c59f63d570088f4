"""Causal checks on a trained model: edits in one language, and states put into another's prompts.

Specification of `unify`, section 2.8. Only what came out is written; scores are made of it later.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import DataError
from polylore.facts.worlds import World
from polylore.studies.unify.sample import Ids, facts_of, first_prompts
from polylore.tables import unify as tables
from polylore.training.tiny.edits import Asked, edited, says
from polylore.training.tiny.patches import patched
from polylore.training.tiny.stack import TinyModel

BESIDE, RETAINED = 256, 512
"""Ordinary presentations beside the edits in every update, and cells asked for retention; of
fewer than twice as many other cells, half are asked."""
Flags = NDArray[np.bool_]
_SETS = {"x": "mono", "parallel": "parallel"}


@dataclass(frozen=True, eq=False)
class _Edits:
    """Facts to edit: each in a language it was shown in, asked in one that stays untouched."""

    source: Ids
    """[n] cells that are edited."""
    target: Ids
    """[n] cells of the same facts that are asked."""
    new: Ids
    """[n] new values."""


def edit_rows(model: TinyModel, world: World, run_hash: str, step: int, n: int) -> pl.DataFrame:
    """Table EDITS: n facts of X, and n parallel ones, are given new values on a copy each."""
    frames: list[pl.DataFrame] = []
    for name, population in _SETS.items():
        rng = _generator(world, 2, len(name))
        chosen = _choose(model, world, population, n, rng)
        if len(chosen.source):
            frames.append(_edited_set(model, world, name, chosen, rng, retention=not frames))
    if not frames:
        return tables.EDITS.empty()
    whole = pl.concat(frames).with_columns(run_hash=pl.lit(run_hash), step=pl.lit(step))
    return tables.EDITS.validate(whole)


def _generator(world: World, *key: int) -> np.random.Generator:
    return np.random.default_rng(
        np.random.SeedSequence(world.config.seed_of("eval"), spawn_key=key)
    )


def _choose(
    model: TinyModel, world: World, population: str, n: int, rng: np.random.Generator
) -> _Edits:
    """Facts that the model knows in a language it was shown them in."""
    facts = rng.permutation(facts_of(world, population))
    cells = world.cell_of[facts]
    source = cells[np.arange(len(facts)), world.home[cells[:, 0]]]
    seen = world.seen[source]
    facts, cells, source = facts[seen], cells[seen], source[seen]
    others = np.where(cells == source[:, None], -1, cells)
    wanted = ~world.seen[cells] if population == "mono" else world.seen[cells]
    usable = (others >= 0) & wanted & _legal(world, source).any(axis=1, keepdims=True)
    target = cells[np.arange(len(cells)), (rng.random(cells.shape) * usable).argmax(axis=1)]
    asked = Asked(first_prompts(world, source), world.answer_tokens[source][:, None])
    # Some facts must be left to train beside the edits, and to be asked for retention.
    most = min(n, len(np.unique(world.fact[world.seen])) // 2)
    known = np.flatnonzero(usable.any(axis=1) & (says(model, asked) == 0))[:most]
    return _Edits(source[known], target[known], _new_values(world, source[known], rng))


def _new_values(world: World, cells: Ids, rng: np.random.Generator) -> Ids:
    """Another value for each.

    Raises:
        DataError: a fact has no other value that it could be given.
    """
    legal = _legal(world, cells)
    if not legal.any(axis=1).all():
        fact = world.facts["fact_id"][int(cells[~legal.any(axis=1)][0])]
        raise DataError(
            f"Fact {fact} has no other value that it could be given; raise world.values, or leave "
            "edits out with measure.edits: 0."
        )
    return np.asarray((rng.random(legal.shape) * legal).argmax(axis=1))


def _legal(world: World, cells: Ids) -> Flags:
    """Values that each fact could be given [n, V]: another one that every language can say, of
    the same block where values belong to languages."""
    values = world.value_tokens.shape[2]
    legal = np.arange(values)[None] != world.value[cells][:, None]
    forms = world.value_tokens[world.relation[cells]]
    legal &= (forms >= 0).all(axis=(1, 3))
    if world.config.facts is None and world.config.lam == 1:
        block = values // len(world.languages)
        legal &= np.arange(values)[None] // block == (world.value[cells] // block)[:, None]
    return np.asarray(legal)


def _edited_set(
    model: TinyModel,
    world: World,
    name: str,
    edits: _Edits,
    rng: np.random.Generator,
    *,
    retention: bool,
) -> pl.DataFrame:
    touched = np.isin(world.fact, world.fact[edits.source])
    others = rng.permutation(np.flatnonzero(world.seen & ~touched))
    # What is asked for retention must not be rehearsed.
    asked = min(RETAINED, len(others) // 2)
    held, beside = others[:asked], others[asked:]
    relation = world.relation[edits.source]
    new_source = world.value_tokens[relation, world.lang[edits.source], edits.new]
    new_target = world.value_tokens[relation, world.lang[edits.target], edits.new]

    def presented(cells: Ids, step: int, kind: int) -> Ids:
        draws = _generator(world, 3, kind, step)
        templates = world.train_templates[cells]
        template = templates[
            np.arange(len(cells)), draws.integers(templates.shape[1], size=len(cells))
        ]
        return world.rows(cells, template, world.cue.draw(draws, world.lang[cells]))

    def with_new_values(step: int) -> Ids:
        rows = presented(edits.source, step, 0)
        rows[:, -world.value_len :] = new_source
        return rows

    def rest(step: int) -> Ids:
        draws = _generator(world, 4, step)
        return presented(draws.choice(beside, size=min(BESIDE, len(beside))), step, 1)

    old_target = world.answer_tokens[edits.target]
    in_target = Asked(
        first_prompts(world, edits.target), np.stack([new_target, old_target], axis=1)
    )
    in_source = Asked(first_prompts(world, edits.source), new_source[:, None])
    kept = Asked(first_prompts(world, held), world.answer_tokens[held][:, None])
    before, kept_before = says(model, in_target), says(model, kept)
    changed = edited(model, with_new_values, rest, value_len=world.value_len)
    after, kept_after = says(changed, in_target), says(changed, kept)
    rows = _frame(world, name, edits.source, edits.target).with_columns(
        new_value=pl.Series(edits.new, dtype=pl.Int32),
        source_new=pl.Series(says(changed, in_source) == 0),
        target_new=pl.Series(after == 0),
        old_before=pl.Series(before == 1),
        old_after=pl.Series(after == 1),
    )
    if not retention:
        return rows
    others_kept = _frame(world, "retention", held, held).with_columns(
        new_value=pl.lit(None, dtype=pl.Int32()),
        source_new=pl.lit(None, dtype=pl.Boolean()),
        target_new=pl.lit(None, dtype=pl.Boolean()),
        old_before=pl.Series(kept_before == 0),
        old_after=pl.Series(kept_after == 0),
    )
    return pl.concat([rows, others_kept])


def _frame(world: World, name: str, source: Ids, target: Ids) -> pl.DataFrame:
    facts, langs = world.facts["fact_id"], world.facts["lang"]
    return pl.DataFrame(
        {
            "set": [name] * len(source),
            "fact_id": facts.gather(source),
            "entity": [str(e) for e in world.entity[source]],
            "source_lang": langs.gather(source),
            "lang": langs.gather(target),
        }
    )


@dataclass(frozen=True, eq=False)
class _Cases:
    """Held-out cells, each with the prompts of its patches; -1 where there is no such cell."""

    target: Ids
    """[n] held-out cells (f, l)."""
    source: Ids
    """[n] (f, l') as training shows it."""
    base: Ids
    """[n] another fact of the relation in l, with another value: the prompt that is patched."""
    rand: Ids
    """[n] a third fact in l with yet another value."""
    same: Ids
    """[n] a fact shown in l with the value of f."""


def patch_rows(model: TinyModel, world: World, run_hash: str, step: int, n: int) -> pl.DataFrame:
    """Table PATCHES: names and answer positions of n held-out facts put into other prompts."""
    cases = _cases(world, n)
    if not len(cases.target):
        return tables.PATCHES.empty()
    first, behind = world.name_span
    spans = {"name": (first, behind - 1), "answer": (world.prompt_len - 1,) * 2}
    donors = {"cross": cases.source, "rand": cases.rand, "same": cases.same}
    relation, value = world.relation[cases.target], world.value[cases.target]
    in_lang = world.value_tokens[relation, world.lang[cases.target], value]
    in_source = world.value_tokens[relation, world.lang[cases.source], value]
    frames = []
    for place, (start, end) in spans.items():
        for arm, donor in donors.items():
            there = np.flatnonzero(donor >= 0)
            if not len(there):
                continue
            found = patched(
                model,
                first_prompts(world, cases.base[there]),
                first_prompts(world, donor[there]),
                start,
                end,
                np.stack([in_lang[there], in_source[there]], axis=1),
            )
            rows = _frame(world, "", cases.source[there], cases.target[there]).select(
                pl.col("fact_id").alias("item"), "lang", "source_lang", "entity"
            )
            rows = rows.with_columns(base_fact=world.facts["fact_id"].gather(cases.base[there]))
            for layer in range(model.sizes.layers):
                frames.append(
                    rows.with_columns(
                        layer=pl.lit(layer, dtype=pl.Int32()),
                        position=pl.lit(place),
                        arm=pl.lit(arm),
                        hit=pl.Series(found.hit[layer, :, 0]),
                        hit_src=pl.Series(found.hit[layer, :, 1]),
                        logp=pl.Series(found.logp[layer, :, 0].astype(np.float64)),
                    )
                )
    whole = pl.concat(frames).with_columns(run_hash=pl.lit(run_hash), step=pl.lit(step))
    return tables.PATCHES.validate(whole)


def _cases(world: World, n: int) -> _Cases:
    rng = _generator(world, 5)
    rows: list[tuple[int, int, int, int, int]] = []
    for target in rng.permutation(world.cells("mono_unseen")).tolist():
        if len(rows) == n:
            break
        cells = world.cell_of[world.fact[target]]
        sources = cells[(cells >= 0) & world.seen[np.maximum(cells, 0)]]
        alike = world.seen & (world.lang == world.lang[target])
        alike &= world.relation == world.relation[target]
        other = rng.permutation(np.flatnonzero(alike & (world.value != world.value[target])))
        if not len(sources) or not len(other):
            continue
        base = int(other[0])
        third = other[world.value[other] != world.value[base]]
        same = rng.permutation(np.flatnonzero(alike & (world.value == world.value[target])))
        rows.append(
            (
                target,
                int(rng.choice(sources)),
                base,
                int(third[0]) if len(third) else -1,
                int(same[0]) if len(same) else -1,
            )
        )
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return _Cases(*columns)
