"""Hidden states made ready for comparison: standardised, centred, of unit length.

Specification of `unify`, section 2.6.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from polylore.errors import DataError
from polylore.metrics.index import Array

Center = Literal["none", "lang", "global"]
Kind = Literal["all", "same_relation", "diff_value"]

VANISHING = 1e-6
"""Share of a state's usual length below which what centring leaves is rounding, not direction."""
BLOCK = 2**20
"""Largest number of similarities that are held in memory at once."""


def prepared(
    states_LND: Array, *, center: Center = "none", standardize: bool = False
) -> tuple[Array, Array]:
    """Standardise, then centre, the states of one layer and position.

    Args:
        states_LND: states by language and item.
        center: subtract nothing, each language's mean, or the mean of all.
        standardize: z-score each dimension over all languages and items first.

    Returns:
        The vectors, float64 (L, N, D), and the same at unit length; a vector without a direction
        is NaN in the second.
    """
    x = np.asarray(states_LND, dtype=np.float64)
    if standardize:
        sd_D = x.std(axis=(0, 1))
        usual = np.sqrt(np.mean(x**2)) if x.size else 0.0
        x = x - x.mean(axis=(0, 1))
        x = np.where(sd_D > VANISHING * usual, x / np.where(sd_D > 0, sd_D, 1), 0.0)
    usual = np.sqrt(np.mean((x**2).sum(axis=-1))) if x.size else 0.0
    if center == "lang":
        x = x - x.mean(axis=1, keepdims=True)
    elif center == "global":
        x = x - x.mean(axis=(0, 1))
    length_LN1 = np.linalg.norm(x, axis=-1, keepdims=True)
    there = length_LN1 > VANISHING * usual
    return x, np.where(there, x / np.where(there, length_LN1, 1), np.nan)


@dataclass(frozen=True)
class Distractors:
    """Which other items an item is held against."""

    kind: Kind
    relation_N: Array
    """Code of each item's relation."""
    value_N: Array
    """Code of each item's value."""

    @classmethod
    def everything(cls, n: int) -> "Distractors":
        """All other items, of one relation."""
        return cls("all", np.zeros(n, dtype=np.int64), np.arange(n))

    def __post_init__(self) -> None:
        if self.kind not in ("all", "same_relation", "diff_value"):
            raise DataError(
                f"Distractors {self.kind!r} are unknown; say all, same_relation or diff_value."
            )

    def __len__(self) -> int:
        return len(self.relation_N)

    def of(self, items: Array) -> "Distractors":
        """The same among a part of the items."""
        return Distractors(self.kind, self.relation_N[items], self.value_N[items])

    def mask(self, rows: slice) -> Array:
        """Whether item j is a distractor of item i, for i in rows: bool (rows, N)."""
        n = len(self)
        if self.kind == "all":
            allowed = np.ones((len(range(n)[rows]), n), dtype=bool)
        else:
            allowed = self.relation_N[rows, None] == self.relation_N
            if self.kind == "diff_value":
                allowed &= self.value_N[rows, None] != self.value_N
        allowed[np.arange(len(allowed)), np.arange(n)[rows]] = False
        return allowed


def row_blocks(n: int) -> list[slice]:
    """Slices of rows whose similarities with all N items stay within `BLOCK`."""
    step = max(1, BLOCK // max(1, n))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
