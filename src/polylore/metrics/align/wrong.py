"""Do two languages give the same answer, even where it is wrong?"""

import numpy as np

from polylore.metrics.align.layout import Layout
from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array


def agreement(layout: Layout, a: Array, b: Array, mask_IP: Array) -> dict[str, Array]:
    """same_answer, same_wrong and same_wrong_null of every pair (`align`, section 2.4).

    Args:
        layout: one set.
        a, b: columns of the two sides.
        mask_IP: items that count, answered in both.

    Returns:
        Columns of ALIGN_CONSISTENCY, float64 (P,); NaN where no item is wrong in both,
        and of free answers, whose wrong ones are not told apart.
    """
    if layout.free:
        unknown = np.full(mask_IP.shape[1], np.nan)
        return dict.fromkeys(("same_answer", "same_wrong", "same_wrong_null"), unknown)
    a_IP, b_IP = layout.choice_IC[:, a], layout.choice_IC[:, b]
    read_IP = mask_IP & (a_IP >= 0) & (b_IP >= 0)
    same_IP = read_IP & (a_IP == b_IP)
    gold_I1 = layout.gold_I[:, None]
    wrong_IP = read_IP & (a_IP != gold_I1) & (b_IP != gold_I1)
    n_wrong = wrong_IP.sum(axis=0)
    expected = np.zeros(mask_IP.shape[1])
    for g in range(layout.k):
        own = layout.gold_I == g
        here = wrong_IP[own]
        n_g = here.sum(axis=0)
        # Share of every wrong option given this gold letter, in both languages.
        for q in range(layout.k):
            a_q = (here & (a_IP[own] == q)).sum(axis=0)
            b_q = (here & (b_IP[own] == q)).sum(axis=0)
            expected += np.nan_to_num(divide(a_q * b_q, n_g.astype(np.float64)))
    return {
        "same_answer": divide(same_IP.sum(axis=0), mask_IP.sum(axis=0).astype(np.float64)),
        "same_wrong": divide((same_IP & wrong_IP).sum(axis=0), n_wrong.astype(np.float64)),
        "same_wrong_null": divide(expected, n_wrong.astype(np.float64)),
    }
