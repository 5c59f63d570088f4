"""What claims about an injection run may rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from polylore.metrics.injection.batches import BatchRuns
from polylore.metrics.injection.contrasts import DEPTHS, end_of
from polylore.metrics.injection.readout import Readout

MEM, SEM, COMP, TWO_HOP = DEPTHS
DUP, PARA, ONCE = "duplication", "paraphrase", "once"
EPSILON = 0.1
"""Share of the mean gain within which two numbers count as equal."""
LATER = 120
"""Steps after the last peak at which forgetting is read, if the log reaches that far."""
LEVEL_AT = 1000
"""Steps after the last exposure that a claim about the end of 2000 steps needs."""


@dataclass(frozen=True)
class Series:
    """Conditions that differ in the step of their checkpoint alone."""

    name: str
    """What tells it from other series."""
    stages: tuple[tuple[int, Readout], ...]
    """Step of the checkpoint and its runs, ascending."""


@dataclass(frozen=True)
class Evidence:
    """What claims may rest on."""

    main: Readout
    """The condition that arms are compared in."""
    swaps: Readout | None = None
    """The same, of swap margins; None if swapped subjects were not read."""
    stages: Sequence[Series] = ()
    """Checkpoints that went on at rates of their own, or falling ones."""
    level: Sequence[Series] = ()
    """Checkpoints that all went on at one constant rate."""
    sizes: tuple[tuple[int, Readout], ...] = ()
    """Conditions by the number of their parameters, ascending, if there are several."""
    batch: pl.DataFrame | None = None
    """Table BATCH_CONTRAST."""
    batches: Sequence[BatchRuns] = ()
    """The runs that it is made of."""
    forms: pl.DataFrame | None = None
    """Table FORMS of the condition, pooled."""
    brackets: pl.DataFrame | None = None
    """Table BRACKETS, of conditions."""
    sweeps: Mapping[str, Readout] = field(default_factory=dict)
    """The runs behind it, by condition."""
    false: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    """By depth, language and schedule: paper's E of the controls, and their E_cf with its interval.
    """

    @property
    def later(self) -> int | None:
        """A lag after the last peak at which every arm was read."""
        end = end_of(self.main)
        return None if end is None else min(LATER, end)
