"""Forms of consistency from counts (specification of `align`, section 2.4)."""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array

TOLERANCE = 1e-9
"""A ceiling closer than this to chance leaves nothing to normalise."""


def iou(both: Array, p: Array, l: Array) -> Array:  # noqa: E741
    """both/(p + l - both); NaN if nobody is right."""
    return divide(both, p + l - both)


@dataclass(frozen=True)
class Counts:
    """Weighted sums over the items answered in both languages, by draw and pair: (D, P)."""

    n: Array
    p: Array
    """Right in the pivot."""
    l: Array  # noqa: E741
    """Right in the language."""
    both: Array
    independent: Array
    """Sum over gold letters g of p_g * l_g / n_g: expected both, if independent within g."""
    largest: Array
    """Sum over gold letters of min(p_g, l_g)."""

    @classmethod
    def of(
        cls, weights_DI: Array, mask_IP: Array, p_IP: Array, l_IP: Array, gold_I: Array
    ) -> "Counts":
        """Sum matrices of zeros and ones; p and l are zero outside the mask."""
        shape = (len(weights_DI), mask_IP.shape[1])
        n, p, l, both, independent, largest = (np.zeros(shape) for _ in range(6))  # noqa: E741
        for g in np.unique(gold_I):
            own = gold_I == g
            weights = np.ascontiguousarray(weights_DI[:, own])
            n_g, p_g, l_g, both_g = (
                # Sums of zeros and ones are exact in float32; their ratios need float64.
                (weights @ part[own].astype(np.float32)).astype(np.float64)
                for part in (mask_IP, p_IP, l_IP, p_IP & l_IP)
            )
            n += n_g
            p += p_g
            l += l_g  # noqa: E741
            both += both_g
            independent += np.nan_to_num(divide(p_g * l_g, n_g))
            largest += np.minimum(p_g, l_g)
        return cls(n, p, l, both, independent, largest)

    def headline(self, c: float) -> dict[str, Array]:
        """The forms that have an interval, and how far k_both is beyond what either knows."""
        co_iou = iou(self.both, self.p, self.l)
        co_pos = iou(self.independent, self.p, self.l)
        excess = co_iou - co_pos
        room = iou(self.largest, self.p, self.l) - co_pos
        a_p, a_l = divide(self.p, self.n), divide(self.l, self.n)
        room_c = np.array(1 - c)  # none where every item has one option
        k_both = divide(divide(self.both, self.n) - c * a_p - c * a_l + c * c, room_c**2)
        known = divide(np.minimum(a_p, a_l) - c, room_c)
        return {
            "co_iou": co_iou,
            "excess": excess,
            "co_norm": divide(excess, np.where(room < TOLERANCE, 0, room)),
            "k_both": k_both,
            "k_beyond": k_both - known,
        }

    def forms(self, c: float) -> dict[str, Array]:
        """Every form, by column of ALIGN_CONSISTENCY.

        Args:
            c: chance.
        """
        n, p, l, both = self.n, self.p, self.l, self.both  # noqa: E741
        given_p = divide(both, p)
        spread = np.sqrt(p * (n - p) * l * (n - l))
        return self.headline(c) | {
            "co_given_p": given_p,
            "co_given_l": divide(both, l),
            "xltr": divide(given_p - c, np.array(1 - c)),
            "co_indep": iou(divide(p * l, n), p, l),
            "co_pos": iou(self.independent, p, l),
            "co_max": iou(np.minimum(p, l), p, l),
            "co_posmax": iou(self.largest, p, l),
            "phi": divide(n * both - p * l, spread),
        }
