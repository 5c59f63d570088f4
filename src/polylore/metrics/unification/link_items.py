"""From hidden states of a real model to the raw table LINK_ITEMS: scalars only (section 10.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.unification.contributions import contributions
from polylore.metrics.unification.overlap import (
    K,
    chance_overlap,
    neighbour_overlap,
    unit_overlap,
)
from polylore.metrics.unification.shuffled import permutations
from polylore.metrics.unification.vectors import Center, Distractors, prepared
from polylore.tables.unify import LINK_ITEMS


@dataclass(frozen=True)
class LinkFacts:
    """Facts that were put before a real model."""

    fact_ids: Sequence[str]
    relations: Sequence[str]
    object_N: Array
    """Code of each fact's object; facts of equal objects are no distractors of each other."""
    identical_NLL: Array
    """Whether subject string and prompt tokens are the same in two languages."""


def link_items(
    states_NLKPD: Array,
    facts: LinkFacts,
    *,
    model: str,
    ckpt_id: str,
    languages: Sequence[str],
    layers: Sequence[int],
    positions: Sequence[str],
    step: int | None = None,
    tokens: int | None = None,
    center: Center = "none",
    seed: int = 0,
) -> pl.DataFrame:
    """Contributions of every fact in every pair of languages; call it layer by layer.

    Distractors are facts of the relation with another object. Facts that are identical in both
    languages are a stratum of their own: they are held against all facts, the others only against
    each other.

    Args:
        states_NLKPD: states by fact, language, layer, position and dimension; NaN where a prompt
            has none.
        facts: who the facts are.
        model: name of the series.
        ckpt_id: checkpoint, or fresh:<k> for the k-th fresh initialisation.
        languages: codes in the order of the states.
        layers: numbers of the hidden states.
        positions: names of the positions.
        step: step of the checkpoint.
        tokens: tokens it has read.
        center: see `prepared`.
        seed: seed of the random partners of `null_i`.

    Returns:
        Table LINK_ITEMS.
    """
    relation_N = np.unique(np.asarray(facts.relations), return_inverse=True)[1]
    named = {"model": model, "ckpt_id": ckpt_id, "step": step, "tokens": tokens, "center": center}
    frames = []
    for k, layer in enumerate(layers):
        for p, position in enumerate(positions):
            states_LND = states_NLKPD[:, :, k, p].swapaxes(0, 1)
            for a, b in combinations(range(len(languages)), 2):
                there = np.asarray(~np.isnan(states_LND[[a, b]]).any(axis=(0, 2)))
                raw, unit = prepared(states_LND[[a, b]][:, there], center=center)
                same = facts.identical_NLL[there, a, b]
                others = Distractors("diff_value", relation_N[there], facts.object_N[there])
                columns = _pair(raw, unit, same, others, seed)
                where = {
                    "lang_a": languages[a],
                    "lang_b": languages[b],
                    "layer": layer,
                    "position": position,
                }
                frame = pl.DataFrame(
                    {
                        "fact_id": np.asarray(facts.fact_ids, dtype=str)[there],
                        "relation": np.asarray(facts.relations, dtype=str)[there],
                        "stratum": np.where(same, "identical", "main"),
                        **{c: pl.Series(v, nan_to_null=True) for c, v in columns.items()},
                    }
                )
                frames.append(frame.with_columns(**_literals(named | where)))
    return LINK_ITEMS.validate(pl.concat(frames)) if frames else LINK_ITEMS.empty()


def _pair(
    raw_2ND: Array, unit_2ND: Array, same: Array, others: Distractors, seed: int
) -> dict[str, Array]:
    """Columns of LINK_ITEMS of the facts of one pair: the others among themselves, then all."""
    n = len(same)
    columns = {name: np.full(n, np.nan) for name in _COLUMNS}
    everyone = np.ones(n, dtype=bool)
    for members, kept in ((~same, ~same), (same, everyone)):
        if not members.any():
            continue
        x, y = unit_2ND[:, kept]
        part = contributions(x, y, others.of(kept))
        swap = permutations(others.relation_N[kept], draws=1, seed=seed)[0]
        found = {
            "par_i": part.par,
            "within_i_a": part.within_a,
            "within_i_b": part.within_b,
            "cross_i": part.cross,
            "rank_i": part.rank,
            "null_i": np.einsum("nd,nd->n", x, y[swap]),
        } | _overlaps(raw_2ND[:, kept], unit_2ND[:, kept])
        for name, values in found.items():
            whole = np.full(n, np.nan)
            whole[kept] = values
            columns[name][members] = whole[members]
    return columns


_COLUMNS = ("par_i", "within_i_a", "within_i_b", "cross_i", "rank_i", "null_i", "neighbours_i",
            "units_i")  # fmt: skip


def _overlaps(raw_2ND: Array, unit_2ND: Array) -> dict[str, Array]:
    """Jaccard of neighbours and of active units, minus chance; of facts that have a direction."""
    whole = np.asarray(~np.isnan(unit_2ND).any(axis=(0, 2)))
    n, d = int(whole.sum()), raw_2ND.shape[2]
    out = {name: np.full(len(whole), np.nan) for name in ("neighbours_i", "units_i")}
    if n > K:
        found = neighbour_overlap(*unit_2ND[:, whole])
        out["neighbours_i"][whole] = found - chance_overlap(n - 1)
    if d >= K:
        out["units_i"][whole] = unit_overlap(*raw_2ND[:, whole]) - chance_overlap(d)
    return out


def _literals(values: dict[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value, dtype=LINK_ITEMS.schema[name]) for name, value in values.items()}
