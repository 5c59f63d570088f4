"""What the log of a stage says of each arm, told and asked in the same language or across."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from acceptance.inject.numbers import Number, mean
from polylore.metrics.index import Array
from polylore.metrics.injection import item_draws, read_cells, window_of
from polylore.metrics.injection.crossfit import Gains, control_effectivity
from polylore.metrics.injection.measured import Measured, measure
from polylore.metrics.injection.published import FACTORS, find_peaks, trimmed_mean
from polylore.metrics.injection.resample import RESAMPLES, ItemDraws, divide, with_data
from polylore.metrics.injection.trajectories import Cell, pseudo_exposed

LATER = 120
"""Steps after the last peak at which forgetting is read."""
LAGS = [0, *range(2, LATER + 1, 2)]
WINDOW = window_of(0.9)
SWAPPED = pl.col("mean_logprob") - pl.col("swap_mean_logprob")
Reading = Callable[[Measured], Array]


def gain(m: Measured) -> Array:
    """E_cf."""
    return m.effect.value_D


def first_gain(m: Measured) -> Array:
    """E_cf of first exposures."""
    return m.effect.by_exposure_DN[:, 0]


def later_gain(m: Measured) -> Array:
    """E_cf of all later exposures."""
    return divide(m.effect.sum_DN[:, 1:].sum(axis=1), m.effect.weight_DN[:, 1:].sum(axis=1))


def at_peak(m: Measured) -> Array:
    """D at the last peak."""
    return _left(m, 0)


def lost(m: Measured) -> Array:
    """D at the last peak less D later."""
    at = int(np.flatnonzero(m.lags_L == LATER)[0])
    return divide(m.kept.bottom_DL[:, at] - m.kept.top_DL[:, at], m.kept.weight_DL[:, at])


def lost_share(m: Measured) -> Array:
    """Share of D at the last peak that is lost later."""
    at = int(np.flatnonzero(m.lags_L == LATER)[0])
    return 1 - m.kept.share_DL[:, at]


def accumulated(m: Measured) -> Array:
    """A - S: left of all exposures one interval after the last, less left of the first alone."""
    return divide(m.left.top_DL[:, 0] - m.left.bottom_DL[:, 0], m.left.weight_DL[:, 0])


def _left(m: Measured, lag: int) -> Array:
    at = int(np.flatnonzero(m.lags_L == lag)[0])
    return divide(m.kept.top_DL[:, at], m.kept.weight_DL[:, at])


@dataclass(frozen=True)
class Readout:
    """A log of several runs, measured together and run by run."""

    log: pl.DataFrame
    """Contract `tables.inject.LOG`."""
    exposures: pl.DataFrame
    """run_id, item_id, exposure and step."""
    resamples: int = RESAMPLES

    @cached_property
    def runs(self) -> list[str]:
        """Names of the runs."""
        return sorted(self.log["run_id"].unique())

    @cached_property
    def draws(self) -> ItemDraws:
        """Bootstrap draws of items."""
        return item_draws(self.log, self.resamples)

    @cached_property
    def _pooled(self) -> dict[tuple[str, ...], Cell]:
        return {_key(c): c for c in read_cells(self.log, self.exposures, pool=True)}

    @cached_property
    def _single(self) -> dict[tuple[str, ...], Cell]:
        found = read_cells(self.log, self.exposures)
        return {(c.key["run_id"], *_key(c)): c for c in found}

    @cached_property
    def _measured(self) -> dict[tuple[str, ...], Measured]:
        return {}

    def measured(self, *key: str) -> Measured:
        """One cell; with the name of a run in front, of that run alone."""
        if key not in self._measured:
            single = len(key) == len(_KEY) + 1
            cell = self._single[key] if single else self._pooled[key]
            draws = None if single else self.draws
            self._measured[key] = measure(cell, WINDOW, draws, LAGS)
        return self._measured[key]

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """Arm, depth, language of the passages and of the probes of every cell."""
        return list(self._pooled)

    @property
    def arms(self) -> list[str]:
        """Arms that inject, in alphabetical order."""
        return sorted({key[0] for key in self._pooled})

    def cell(self, *key: str) -> Cell:
        """Items of an arm, depth, language of the passages and of the probes, of all runs."""
        return self._pooled[key]

    def languages(self, arm: str, *, across: bool) -> list[tuple[str, str]]:
        """Pairs of languages (told, asked) of an arm."""
        pairs = {(key[2], key[3]) for key in self._pooled if key[0] == arm}
        return sorted(pair for pair in pairs if (pair[0] != pair[1]) == across)

    def number(
        self, reading: Reading, arm: str, depth: str = "memorization", *, across: bool = False
    ) -> Number:
        """A reading, mean over the languages that facts are told in.

        Args:
            reading: what is read of a cell.
            arm: the arm.
            depth: depth of the probes.
            across: ask in the other language than the facts were told in.
        """
        found = []
        for pair in self.languages(arm, across=across):
            rows = reading(self.measured(arm, depth, *pair))
            own = [float(reading(self.measured(run, arm, depth, *pair))[0]) for run in self.runs]
            found.append(Number(rows, np.array(own)))
        return mean(found)

    def published(self, arm: str, depth: str, *, across: bool = False) -> float:
        """The paper's E: mean of the maxima of readings that the outlier rule keeps."""
        values = []
        for pair in self.languages(arm, across=across):
            cell = self._pooled[arm, depth, *pair]
            gains = find_peaks(cell, cell.injected, WINDOW).gain_QN
            values.append(trimmed_mean(gains.ravel(), FACTORS["paper"])[0])
        return float(np.mean(values))

    # Never-injected items, at the times of an arm.

    def control_gain(self, arm: str, depth: str) -> Number:
        """E_cf of never-injected items."""

        def reading(cell: Cell, draws: bool) -> Array:
            weights = with_data(cell, self.draws if draws else None)
            gains = Gains.of_controls(cell, WINDOW)
            parts = [control_effectivity(gains, part) for part in weights.chunks(100)]
            return np.concatenate(parts)

        return self._of_cells(reading, arm, depth)

    def control_published(self, arm: str, depth: str) -> Number:
        """The paper's E of never-injected items: the maximum of readings in a window."""

        def reading(cell: Cell, draws: bool) -> Array:
            items = pseudo_exposed(cell)
            peaks = find_peaks(cell, items, WINDOW)
            item_Q = items.item_Q[peaks.rows_Q]
            weights = with_data(cell, self.draws if draws else None).control_DK.astype(np.int64)
            factor = FACTORS["paper"]
            return np.array(
                [
                    trimmed_mean(np.repeat(peaks.gain_QN, w[item_Q], axis=0).ravel(), factor)[0]
                    for w in weights
                ]
            )

        return self._of_cells(reading, arm, depth)

    def _of_cells(self, reading: Callable[[Cell, bool], Array], arm: str, depth: str) -> Number:
        found = []
        for pair in self.languages(arm, across=False):
            key = (arm, depth, *pair)
            own = [float(reading(self._single[run, *key], False)[0]) for run in self.runs]
            found.append(Number(reading(self._pooled[key], True), np.array(own)))
        return mean(found)

    # Swapped subjects.

    @cached_property
    def _margins(self) -> "Readout":
        """The same log, with what a fact is likelier than after another subject as its score."""
        log = self.log.filter(pl.col("swap_mean_logprob").is_not_null())
        return Readout(log.with_columns(SWAPPED.alias("mean_logprob")), self.exposures)

    def swap_margin(self, arm: str, *, across: bool) -> Number:
        """D of the swap margin: mean of its readings within the window after the last exposure.

        It is read at few states, so no best one is chosen among them.
        """
        log, found = self._margins, []
        for pair in self.languages(arm, across=across):
            key = (arm, "memorization", *pair)
            own = [_afterwards(log._single[run, *key], None)[0] for run in self.runs]
            rows = _afterwards(log._pooled[key], self.draws)
            found.append(Number(rows, np.array(own)))
        return mean(found)


_KEY = ("arm", "depth", "inject_lang", "probe_lang")


def _key(cell: Cell) -> tuple[str, ...]:
    return tuple(cell.key[name] for name in _KEY)


def _afterwards(cell: Cell, draws: ItemDraws | None) -> Array:
    """Weighted mean over items of D within the window after the last exposure: (R,)."""
    gains = Gains.of(cell, WINDOW)
    last_J = gains.items.times_JN.max(axis=1)
    since_JT = cell.states_T[None] - last_J[:, None]
    inside_JT = (since_JT > 0) & (since_JT <= WINDOW)
    rows = []
    for part in with_data(cell, draws).chunks(100):
        corrected = gains.corrected(part)
        mean_DJ = np.nanmean(np.where(inside_JT, corrected, np.nan), axis=2)
        rows.append(divide((part.injected_DJ * mean_DJ).sum(axis=1), part.injected_DJ.sum(axis=1)))
    return np.concatenate(rows)
