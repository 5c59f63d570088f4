"""Half-life and zero of a kernel: lags that may lie beyond what was observed."""

from dataclasses import dataclass

import numpy as np

LONGEST = 300.0
"""log10 of a lag beyond which a number of steps means nothing."""


@dataclass(frozen=True)
class Reach:
    """A lag with its interval; None stands for "later than observed", or never."""

    value: float | None
    lo: float | None
    hi: float | None

    @property
    def censored(self) -> bool:
        """Whether only "> observed" is known."""
        return self.value is None


def reach(a: float, a_lo: float, a_hi: float, share: float, observed: int) -> Reach:
    """Lag at which `share` of the peak is lost: 10^(share / a) (`inject`, section 2.4, rule 5).

    Args:
        a: decay constant; one that is not positive means never.
        a_lo: lower end of its interval, or NaN.
        a_hi: upper end of its interval, or NaN.
        share: 0.5 for the half-life, 1 for zero.
        observed: longest lag observed; nothing beyond it is printed as a number.
    """
    longest = float(np.log10(observed))

    def lag(constant: float) -> float | None:
        if not constant > 0 or share / constant > longest:
            return None
        return float(10 ** (share / constant))

    return Reach(lag(a), lag(a_hi), lag(a_lo))
