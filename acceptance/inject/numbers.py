"""Numbers with two kinds of uncertainty: resampled items over all runs, and run by run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array

SHOWN, CONTRADICTED, UNDETERMINED = "shown", "contradicted", "undetermined"


@dataclass(frozen=True)
class Number:
    """A number of all runs together, and the same of each of them."""

    rows_R: Array
    """Row 0: the data. The others: resamples of items, which move together in all runs."""
    runs_S: Array
    """The number of each run alone."""

    @property
    def value(self) -> float:
        """The number."""
        return float(self.rows_R[0])

    @property
    def limits(self) -> tuple[float, float]:
        """Its 95 % interval."""
        lo, hi = interval(self.rows_R[1:, None])
        return float(lo[0]), float(hi[0])

    def __sub__(self, other: "Number") -> "Number":
        return self._with(other, np.subtract)

    def __add__(self, other: "Number") -> "Number":
        return self._with(other, np.add)

    def __truediv__(self, other: "Number") -> "Number":
        return self._with(other, _divide)

    def _with(self, other: "Number", operation: Callable[[Array, Array], Array]) -> "Number":
        return Number(operation(self.rows_R, other.rows_R), operation(self.runs_S, other.runs_S))

    def times(self, factor: float) -> "Number":
        """The number, scaled."""
        return Number(self.rows_R * factor, self.runs_S * factor)

    @property
    def verdict(self) -> str:
        """Whether it is above zero: interval and the sign of every run (section 9.5)."""
        lo, hi = self.limits
        if lo > 0 and bool((self.runs_S > 0).all()):
            return SHOWN
        return CONTRADICTED if hi < 0 else UNDETERMINED

    def text(self) -> str:
        """Value, interval and the values of the runs."""
        if np.isnan(self.value):
            return "–"
        lo, hi = self.limits
        runs = ", ".join(f"{value:+.2f}" for value in self.runs_S)
        return f"{self.value:+.2f} [{lo:+.2f}, {hi:+.2f}]; runs {runs}"


def _divide(top: Array, bottom: Array) -> Array:
    return np.asarray(np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom != 0))


def mean(numbers: Sequence[Number]) -> Number:
    """Mean of several numbers."""
    return Number(
        np.mean([n.rows_R for n in numbers], axis=0), np.mean([n.runs_S for n in numbers], axis=0)
    )


def joint(verdicts: Sequence[str]) -> str:
    """Verdict of a claim with several parts: shown if all are, contradicted if one is."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SHOWN if set(verdicts) == {SHOWN} else UNDETERMINED
