"""From hidden states to the raw tables SIMS and GRID (specification, sections 2.6 and 6)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.metrics.unification.contributions import Contributions, contributions
from polylore.metrics.unification.linear import cka, cka_debiased, half_of, u_proc
from polylore.metrics.unification.scores import FEWEST, Scores, reason_for
from polylore.metrics.unification.shuffled import permutations, shuffled_null
from polylore.metrics.unification.vectors import Center, Distractors, Kind, prepared
from polylore.tables.unify import GRID, SIMS


@dataclass(frozen=True)
class Variant:
    """One way to compare."""

    center: Center = "none"
    standardize: bool = False
    distractors: Kind = "all"


VARIANTS = (
    Variant(),
    Variant(center="lang"),
    Variant(center="global"),
    Variant(standardize=True),
    Variant(distractors="same_relation"),
    Variant(distractors="diff_value"),
)


@dataclass(frozen=True)
class Items:
    """A fixed sample of items: the same for all checkpoints of a run."""

    fact_ids: Sequence[str]
    entities: Sequence[str]
    relation_N: Array
    """Code of each item's relation."""
    value_N: Array
    """Code of each item's value."""
    tokens_NLT: Array
    """Prompt of each item in each language, for the flag `trivial`."""

    def trivial(self, a: int, b: int, position: int) -> Array:
        """Whether the prompts of two languages are token-identical up to a position: bool (N,)."""
        seen = self.tokens_NLT[:, :, : position + 1]
        return np.asarray((seen[:, a] == seen[:, b]).all(axis=1))


@dataclass(frozen=True)
class What:
    """Which states these are: the columns that all their rows share."""

    run_hash: str
    step: int
    item_kind: str
    items: str
    init: int = 0

    @property
    def columns(self) -> dict[str, str | int]:
        """Column names and values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def measure(
    states_NLKPD: Array,
    items: Items,
    what: What,
    *,
    languages: Sequence[str],
    positions: Sequence[int],
    variants: Sequence[Variant] = VARIANTS,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare the states of items in every pair of languages, layer, position and variant.

    Args:
        states_NLKPD: states by item, language, hidden state, position and dimension.
        items: who the items are.
        what: run, step and kind of item.
        languages: codes of the languages, in the order of the states.
        positions: prompt positions of the states; negative ones count from the end.
        variants: ways to compare.
        seed: seed of the shuffled pairs and of the halves of entities.

    Returns:
        Tables SIMS and GRID. Fewer than 8 items that are not trivial give a row of GRID with a
        reason and nothing else.

    Raises:
        DataError: the states are not as many as items, languages or positions.
    """
    n, n_languages, n_layers, n_positions, _ = states_NLKPD.shape
    if (n, n_languages, n_positions) != (len(items.fact_ids), len(languages), len(positions)):
        raise DataError(
            f"States of {n} items, {n_languages} languages and {n_positions} positions do not fit "
            f"{len(items.fact_ids)} items, {len(languages)} languages, {len(positions)} positions."
        )
    length = items.tokens_NLT.shape[2]
    at = [p % length for p in positions]
    compare = _Comparison(items, seed)
    sims, grid = [], []
    for variant in variants:
        for layer, place in np.ndindex(n_layers, n_positions):
            states_LND = states_NLKPD[:, :, layer, place].swapaxes(0, 1)
            raw, unit = prepared(states_LND, center=variant.center, standardize=variant.standardize)
            for a, b in combinations(range(n_languages), 2):
                trivial = items.trivial(a, b, at[place])
                where = {
                    "lang_a": languages[a],
                    "lang_b": languages[b],
                    "layer": layer,
                    "position": at[place],
                    **{field.name: getattr(variant, field.name) for field in fields(Variant)},
                }
                found, row = compare(raw[[a, b]], unit[[a, b]], trivial, variant.distractors)
                sims.append(_sims(found, items, trivial).with_columns(**_literals(where)))
                grid.append(what.columns | where | row)
    if not sims:
        return SIMS.empty(), GRID.empty()
    whole = pl.concat(sims).with_columns(**_literals(what.columns))
    return SIMS.validate(whole), GRID.build(grid)


class _Comparison:
    """Compares two languages at one place; draws are made once for all places."""

    def __init__(self, items: Items, seed: int) -> None:
        self.items, self.seed = items, seed
        self.fit_N = half_of(np.asarray(items.entities), seed)
        self._swaps: dict[bytes, Array] = {}

    def __call__(
        self, raw_2ND: Array, unit_2ND: Array, trivial: Array, kind: Kind
    ) -> tuple[Contributions, dict[str, float | int | str | None]]:
        """Contributions of all items, and what GRID has beside them."""
        kept = np.ones_like(trivial) if trivial.all() else ~trivial
        others = Distractors(kind, self.items.relation_N, self.items.value_N).of(kept)
        x, y = unit_2ND[:, kept]
        part = contributions(x, y, others)
        row: dict[str, float | int | str | None] = {
            "n": int((~trivial).sum()),
            "n_trivial": int(trivial.sum()),
        }
        if kept.sum() < FEWEST:
            row["reason"] = f"fewer than {FEWEST} items"
            return part.spread(kept), row
        whole = ~np.isnan(part.par)
        scores = Scores.of(part)
        row["reason"] = reason_for(float(scores.par), float(scores.within), int(whole.sum()))
        row["cka"] = _number(cka(*raw_2ND[:, kept]))
        row["cka_debiased"] = _number(cka_debiased(*raw_2ND[:, kept]))
        if row["reason"] is None:
            row["u_proc"] = _number(u_proc(x, y, self.fit_N[kept], others))
            within = float(scores.within)
            swaps = self._permutations(kept, whole)
            null = shuffled_null(x[whole], y[whole], within, swaps, others.of(whole))
            row["null_u_norm"] = _number(null.u_norm.mean())
            row["null_u_norm_hi"] = _number(np.quantile(null.u_norm, 0.95))
            row["null_u_diff"] = _number(null.u_diff.mean())
            row["null_u_pair"] = _number(null.u_pair.mean())
        return part.spread(kept), row

    def _permutations(self, kept: Array, whole: Array) -> Array:
        used = np.flatnonzero(kept)[whole]
        key = used.tobytes()
        if key not in self._swaps:
            self._swaps[key] = permutations(self.items.relation_N[used], seed=self.seed)
        return self._swaps[key]


def _sims(found: Contributions, items: Items, trivial: Array) -> pl.DataFrame:
    columns = {
        "par_i": found.par,
        "within_i_a": found.within_a,
        "within_i_b": found.within_b,
        "cross_i": found.cross,
        "auc_i": found.auc,
        "rank_i": found.rank,
        "ret_i": found.ret,
    }
    return pl.DataFrame(
        {
            "item": list(items.fact_ids),
            "entity": list(items.entities),
            **{name: pl.Series(values, nan_to_null=True) for name, values in columns.items()},
            "trivial": trivial,
        }
    )


def _literals(values: dict[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
