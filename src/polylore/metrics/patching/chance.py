"""Could it be chance? Exact McNemar test and Benjamini-Hochberg (specification of `patch`, 2)."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def mcnemar(n01: int, n10: int) -> float:
    """Exact two-sided test that changes go both ways equally often.

    p = min(1, 2 P(Bin(n01 + n10, 1/2) <= min(n01, n10))); 1 without any change.

    Args:
        n01: items that were wrong and became right.
        n10: items that were right and became wrong.
    """
    return min(1.0, 2.0 * float(stats.binom.cdf(min(n01, n10), n01 + n10, 0.5)))


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for the false discovery rate over all that are not null."""
    known = [i for i, value in enumerate(p) if value is not None]
    out: list[float | None] = [None] * len(p)
    if known:
        adjusted = stats.false_discovery_control(np.array([p[i] for i in known], dtype=np.float64))
        for i, value in zip(known, adjusted, strict=True):
            out[i] = float(value)
    return out
