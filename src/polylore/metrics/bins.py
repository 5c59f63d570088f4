"""Bins of exposure, and the published correlation over bins."""

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.ranking import pearson

PAPER_EDGES = 30


def paper_edges(largest: float) -> Array:
    """30 edges from 1 to max + 1, evenly spaced in the logarithm; 29 bins, zero in none."""
    return np.logspace(0, np.log10(largest + 1), PAPER_EDGES)


def log_edges(positive: Array) -> Array:
    """Edges 1, 3, 10, 30, ... around all positive exposures (below 1 only for scaled ones)."""
    if not positive.size:
        return np.array([1.0, 3.0])
    smallest = min(float(positive.min()), 1.0)
    decades = range(int(np.floor(np.log10(smallest))), int(np.log10(positive.max())) + 2)
    edges = np.array([round(m * 10.0**d, 12) for d in decades for m in (1, 3)])
    start = np.searchsorted(edges, smallest, side="right") - 1
    end = np.searchsorted(edges, positive.max(), side="right")
    return edges[start : end + 1]


def bin_numbers(exposure: Array, edges: Array) -> Array:
    """Bin of each exposure: -1 for zero and NaN; the last bin includes its end (numpy rule)."""
    numbers = np.searchsorted(edges, exposure, side="right") - 1
    numbers = np.where(exposure == edges[-1], len(edges) - 2, numbers)
    return np.where(np.nan_to_num(exposure) > 0, numbers, -1)


def binned_r(exposure: Array, right: Array, edges: Array, *, empty_as_zero: bool) -> float:
    """Pearson r of log10 bin centres (geometric) with P(right): the published form.

    It is inflated, since averaging within bins removes the scatter that a correlation measures.

    Args:
        exposure: (N,); zeros fall out.
        right: bool (N,).
        edges: bin edges.
        empty_as_zero: count P = 0 in empty bins (pooled plot), else leave them out.
    """
    numbers = bin_numbers(exposure, edges)
    inside = numbers >= 0
    width = len(edges) - 1
    n = np.bincount(numbers[inside], minlength=width)
    hits = np.bincount(numbers[inside], weights=right[inside].astype(np.float64), minlength=width)
    centres = (np.log10(edges[:-1]) + np.log10(edges[1:])) / 2
    kept = np.ones(width, dtype=bool) if empty_as_zero else n > 0
    return pearson(centres[kept], (hits / np.maximum(n, 1))[kept])
