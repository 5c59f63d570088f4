"""What the log of a study says: gains, swap margins, and both estimators where nothing was told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection import window_of
from polylore.metrics.injection.crossfit import Gains, control_effectivity
from polylore.metrics.injection.evidence import MEM
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.number import CONTRADICTED, SHOWN, UNDETERMINED, Number
from polylore.metrics.injection.published import FACTORS, find_peaks, trimmed_mean
from polylore.metrics.injection.readout import Readout
from polylore.metrics.injection.resample import RESAMPLES, ItemDraws, divide, with_data
from polylore.metrics.injection.trajectories import pseudo_exposed
from polylore.metrics.injection.transfer import SWAP_MARGIN

WINDOW = window_of(0.9)


@dataclass(frozen=True)
class Found:
    """The runs of a condition, measured."""

    scores: Readout
    """Of the probability of what is asked."""
    margins: Readout | None
    """Of what it is likelier than after another subject; None if that was not read."""

    @classmethod
    def of(cls, log: pl.DataFrame, exposures: pl.DataFrame, resamples: int = RESAMPLES) -> "Found":
        """Measure a log."""
        swapped = log.filter(pl.col("swap_mean_logprob").is_not_null())
        return cls(
            Readout.of(log, exposures, window=WINDOW, resamples=resamples),
            Readout.of(swapped, exposures, window=WINDOW, resamples=resamples, score=SWAP_MARGIN)
            if swapped.height
            else None,
        )

    @property
    def arms(self) -> list[str]:
        """Arms that inject, in alphabetical order."""
        return sorted({key[1] for key in self.scores.pooled.cells})


def text(number: Number | None) -> str:
    """Value, interval and the values of the runs."""
    if number is None or number.value is None:
        return "–"
    lo, hi = number.limits
    runs = ", ".join("–" if np.isnan(value) else f"{value:+.2f}" for value in number.runs_S)
    between = "" if lo is None or hi is None else f" [{lo:+.2f}, {hi:+.2f}]"
    return f"{number.value:+.2f}{between}; runs {runs}"


def joint(verdicts: Sequence[str]) -> str:
    """Verdict of a claim with several parts: shown if all are, contradicted if one is."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SHOWN if set(verdicts) == {SHOWN} else UNDETERMINED


def swap_margin(found: Found, arm: str, direction: str) -> Number:
    """D of the swap margin: mean of its readings within the window after the last exposure.

    It is read at few states, and staggered items share no lag on which one could be chosen.

    Raises:
        SystemExit: swapped subjects were not read.
    """
    if found.margins is None:
        raise SystemExit("swapped subjects were not read")
    draws = found.margins.pooled.draws
    pooled = found.margins.cells(arm, MEM, direction)
    alone = [found.margins.cells(arm, MEM, direction, run=run) for run in found.margins.names]
    runs = [float(_afterwards(cells, None)[0]) for cells in alone]
    items = {name for m in pooled for name in m.cell.injected.names}
    return Number(_afterwards(pooled, draws), np.array(runs), len(items))


def _afterwards(cells: Sequence[Measured], draws: ItemDraws | None) -> Array:
    """Weighted mean over items of D within the window after the last exposure: (R,)."""
    tops, bottoms = [], []
    for measured in cells:
        gains, cell = measured.gains, measured.cell
        since_JT = cell.states_T[None] - gains.items.times_JN.max(axis=1)[:, None]
        inside_JT = ((since_JT > 0) & (since_JT <= WINDOW)).astype(np.float64)
        inside_JT /= inside_JT.sum(axis=1, keepdims=True)
        weights = with_data(cell, draws)
        means = []
        for part in weights.chunks(100):
            corrected_DJT = np.nan_to_num(gains.corrected(part))
            means.append((corrected_DJT * inside_JT).sum(axis=2))
        tops.append((weights.injected_DJ * np.concatenate(means)).sum(axis=1))
        bottoms.append(weights.injected_DJ.sum(axis=1))
    return divide(sum(tops, np.zeros(1)), sum(bottoms, np.zeros(1)))


# Never-injected items, at the times of an arm.


def control_gain(found: Found, arm: str, depth: str) -> Number:
    """E_cf of never-injected items."""

    def rows(cell: Measured, drawn: bool) -> Array:
        weights = with_data(cell.cell, found.scores.pooled.draws if drawn else None)
        gains = Gains.of_controls(cell.cell, WINDOW)
        return np.concatenate([control_effectivity(gains, part) for part in weights.chunks(100)])

    return _of_controls(found, arm, depth, rows)


def control_published(found: Found, arm: str, depth: str) -> Number:
    """The paper's E of never-injected items: the maximum of readings in a window."""

    def rows(cell: Measured, drawn: bool) -> Array:
        items = pseudo_exposed(cell.cell)
        peaks = find_peaks(cell.cell, items, WINDOW)
        weights = with_data(cell.cell, found.scores.pooled.draws if drawn else None)
        return np.array(
            [
                _trimmed(np.repeat(peaks.gain_QN, often[items.item_Q], axis=0))
                for often in weights.control_DK.astype(np.int64)
            ]
        )

    return _of_controls(found, arm, depth, rows)


def _trimmed(gain_QN: Array) -> float:
    return trimmed_mean(gain_QN[~np.isnan(gain_QN)], FACTORS["paper"])[0]


def _of_controls(
    found: Found, arm: str, depth: str, rows: Callable[[Measured, bool], Array]
) -> Number:
    """Mean over the languages of the probes."""
    pooled = found.scores.cells(arm, depth)
    alone = [found.scores.cells(arm, depth, run=run) for run in found.scores.names]
    runs = [float(np.mean([rows(cell, False)[0] for cell in cells])) for cells in alone]
    names = {n for m in pooled if m.cell.control is not None for n in m.cell.control.names}
    total = sum((rows(cell, True) for cell in pooled), np.zeros(1))
    return Number(divide(total, np.array(float(len(pooled)))), np.array(runs), len(names))
