"""Why gains fade much or little: how near to certainty facts are at their last peak."""

import numpy as np

from acceptance.inject.page import table
from acceptance.inject.readout import Found, text
from polylore.metrics.injection.crossfit import at_states, peaks
from polylore.metrics.injection.evidence import LATER, MEM, SEM
from polylore.metrics.injection.readout import at_peak, decay, lost, lost_share
from polylore.metrics.injection.resample import ones


def level(found: Found, arm: str, depth: str) -> float:
    """Mean probability of the target at the last peak: exp of the mean score."""
    scores = []
    for measured in found.scores.cells(arm, depth):
        gains, weights = measured.gains, ones(measured.cell)
        states = peaks(gains, gains.corrected(weights), weights.injected_DJ)
        items = measured.cell.injected
        scores.append(at_states(gains.read, items.item_means(items.y_QT)[None], states))
    return float(np.exp(np.nanmean(np.concatenate(scores, axis=1))))


def fading_lines(found: Found) -> list[str]:
    """What is lost after the last peak, beside how sure the model was there."""
    rows = []
    for arm in found.arms:
        for depth in (MEM, SEM):
            readings = (at_peak, lost(LATER), lost_share(LATER), decay)
            numbers = [text(found.scores.number(reading, arm, depth)) for reading in readings]
            rows.append((arm, depth, f"{level(found, arm, depth):.2f}", *numbers))
    head = ("arm", "depth", "probability at the peak", "D_pk", f"lost {LATER} steps later",
            "share lost", "a of the kernel")  # fmt: skip
    return [
        "## How much fades, and from where",
        "",
        "Probability: exp of the mean score at the last peak (geometric mean). Near certainty the "
        "logarithm hardly moves.",
        *table(head, rows),
    ]
