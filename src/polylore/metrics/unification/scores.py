"""The unification family: scores of a pair of languages from what its items contribute (2.6)."""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.unification.contributions import Contributions

FEWEST = 8
"""Fewer items make no score."""
COINCIDING = 1e-6
"""1 - within below this: all items coincide, and U_norm is undefined."""


@dataclass(frozen=True)
class Scores:
    """Scores of one pair; NaN where undefined. Arrays if their inputs were arrays."""

    par: Array
    within: Array
    cross: Array
    auc: Array
    ret1: Array

    @classmethod
    def of(cls, items: Contributions) -> "Scores":
        """Means over the items that have every contribution."""
        columns = (items.par, items.within, items.cross, items.auc, items.ret)
        whole = ~np.isnan(np.stack(columns)).any(axis=0)
        if not whole.any():
            return cls(*(np.float64("nan") for _ in columns))  # type: ignore[arg-type]
        return cls(*(values[whole].mean() for values in columns))

    @property
    def u_diff(self) -> Array:
        """par - within: the published sentence, in our formula."""
        return self.par - self.within

    @property
    def u_norm(self) -> Array:
        """(par - within)/(1 - within)."""
        return normalised(self.par, self.within)

    @property
    def u_pair(self) -> Array:
        """par - cross."""
        return self.par - self.cross

    @property
    def c(self) -> Array:
        """Checkerboard index within - cross."""
        return self.within - self.cross


def normalised(par: Array, within: Array) -> Array:
    """U_norm = (par - within)/(1 - within); NaN where items coincide."""
    room = 1 - np.asarray(within, dtype=np.float64)
    defined = room >= COINCIDING
    return np.where(defined, (par - within) / np.where(defined, room, 1), np.nan)


def u_items(items: Contributions) -> Array:
    """u_i = par_i - 2 within_i + within: their mean is U_diff (section 2.10)."""
    return np.asarray(items.par - 2 * items.within + np.nanmean(items.within))


def reason_for(par: float, within: float, n: int) -> str | None:
    """Why U_norm is null; null if it is not."""
    if np.isnan(par) or np.isnan(within):
        return "states are constant or items have no distractors"
    if n < FEWEST:
        return f"fewer than {FEWEST} items"
    return "all items coincide" if 1 - within < COINCIDING else None
