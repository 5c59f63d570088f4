"""Acquisition and forgetting of injected facts, from the log of probes and the plan alone."""

from polylore.metrics.injection.analysis import analyse_injection
from polylore.metrics.injection.measurements import Measurements, item_draws
from polylore.metrics.injection.published import window_of
from polylore.metrics.injection.sweep import threshold
from polylore.metrics.injection.trajectories import CONTROL, Cell, read_cells
from polylore.metrics.injection.transfer import transfer

__all__ = [
    "CONTROL",
    "Cell",
    "Measurements",
    "analyse_injection",
    "item_draws",
    "read_cells",
    "threshold",
    "transfer",
    "window_of",
]
