"""A number with two kinds of uncertainty: resampled items over all runs, and run by run."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.injection.resample import FEWEST, divide

SHOWN, CONTRADICTED, UNDETERMINED = "shown", "contradicted", "undetermined"


@dataclass(frozen=True)
class Number:
    """A number of all runs together, and the same of each of them."""

    rows_R: Array
    """Row 0: the data. The others: resamples of items, which move together in all runs."""
    runs_S: Array
    """The number of each run alone, in the order of their names."""
    items: int
    """Items behind it."""
    why: str | None = None
    """Why there is no number, if more can be said than that nothing was read."""

    @property
    def value(self) -> float | None:
        """The number; None if it could not be computed."""
        found = float(self.rows_R[0])
        return found if np.isfinite(found) else None

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Its 95 % interval; None without resamples or with fewer than ten items."""
        if len(self.rows_R) < 2 or self.items < FEWEST:
            return None, None
        lo, hi = (float(end[0]) for end in interval(self.rows_R[1:, None]))
        return (lo, hi) if np.isfinite(lo) and np.isfinite(hi) else (None, None)

    @property
    def signs(self) -> list[int]:
        """Sign of the number in each run; 0 where it could not be computed."""
        return [int(np.sign(v)) if np.isfinite(v) else 0 for v in self.runs_S]

    @property
    def reason(self) -> str | None:
        """Why there is no number or no interval."""
        if self.value is None:
            return self.why or "no_readings"
        if self.items < FEWEST:
            return "few_items"
        return "no_resamples" if self.limits[0] is None else None

    @property
    def verdict(self) -> str:
        """Whether it is above zero (specification of `inject`, section 9.5).

        Shown: the pooled interval lies above zero and every run has that sign. Contradicted: the
        interval lies below zero. Undetermined: all else.
        """
        lo, hi = self.limits
        if lo is None or hi is None:
            return UNDETERMINED
        if lo > 0 and all(sign > 0 for sign in self.signs):
            return SHOWN
        return CONTRADICTED if hi < 0 else UNDETERMINED

    def within(self, margin: "Number") -> str:
        """Whether it is about zero: the interval lies within plus or minus the margin's value.

        Runs are not asked one by one: of what is about zero no sign is predicted. The margin is
        taken as it is, without its own uncertainty.
        """
        (lo, hi), bar = self.limits, margin.value
        if lo is None or hi is None or bar is None:
            return UNDETERMINED
        if lo > -bar and hi < bar:
            return SHOWN
        return CONTRADICTED if lo > bar or hi < -bar else UNDETERMINED

    def __sub__(self, other: "Number") -> "Number":
        return self._with(other, np.subtract)

    def __add__(self, other: "Number") -> "Number":
        return self._with(other, np.add)

    def __truediv__(self, other: "Number") -> "Number":
        return self._with(other, divide)

    def __neg__(self) -> "Number":
        return self.times(-1)

    def _with(self, other: "Number", operation: Callable[[Array, Array], Array]) -> "Number":
        runs = np.full(max(len(self.runs_S), len(other.runs_S)), np.nan)
        if len(self.runs_S) == len(other.runs_S):
            runs = operation(self.runs_S, other.runs_S)
        rows = operation(self.rows_R, other.rows_R)
        return Number(rows, runs, min(self.items, other.items), self.why or other.why)

    def times(self, factor: float) -> "Number":
        """The number, scaled."""
        return self.map(lambda values: values * factor)

    def map(self, function: Callable[[Array], Array]) -> "Number":
        """A function of the number."""
        return replace(self, rows_R=function(self.rows_R), runs_S=function(self.runs_S))
