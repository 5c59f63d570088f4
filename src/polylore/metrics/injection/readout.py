"""What the runs of one condition say of an arm: all of them together, and each alone.

Cells are joined by their sums over items: an arm told and asked in the same language holds the
items of every language, each corrected by the control of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.injection.measured import Measured, surely_positive
from polylore.metrics.injection.measurements import Measurements, Progress, item_draws
from polylore.metrics.injection.number import Number
from polylore.metrics.injection.resample import RESAMPLES, ItemDraws, divide
from polylore.metrics.injection.trajectories import SCORE

OWN, OTHER = "own", "other"
"""Asked in the language of injection, or in another one."""
Reading = Callable[[list[Measured]], Array]


def gain(cells: list[Measured]) -> Array:
    """E_cf."""
    return _ratio(
        (m.effect.sum_DN.sum(axis=1) for m in cells),
        (m.effect.weight_DN.sum(axis=1) for m in cells),
    )


def first_gain(cells: list[Measured]) -> Array:
    """E_cf of first exposures."""
    return _exposures(cells, slice(0, 1))


def later_gain(cells: list[Measured]) -> Array:
    """E_cf of all later exposures."""
    return _exposures(cells, slice(1, None))


def second_gain(cells: list[Measured]) -> Array:
    """E_cf of second exposures."""
    return _exposures(cells, slice(1, 2))


def last_gain(cells: list[Measured]) -> Array:
    """E_cf of last exposures."""
    return _exposures(cells, slice(-1, None))


def at_peak(cells: list[Measured]) -> Array:
    """D at the last peak."""
    return left(0)(cells)


def left(lag: int) -> Reading:
    """D so many steps after the last peak."""

    def read(cells: list[Measured]) -> Array:
        places = [m.at(lag) for m in cells]
        if any(place is None for place in places):
            return _nothing(cells)
        pairs = list(zip(cells, places, strict=True))
        return _ratio(
            (m.kept.top_DL[:, at] for m, at in pairs),
            (m.kept.weight_DL[:, at] for m, at in pairs),
        )

    return read


def lost(lag: int) -> Reading:
    """D at the last peak less D so many steps later, of the items read at both."""

    def read(cells: list[Measured]) -> Array:
        places = [m.at(lag) for m in cells]
        if any(place is None for place in places):
            return _nothing(cells)
        pairs = list(zip(cells, places, strict=True))
        return _ratio(
            (m.kept.bottom_DL[:, at] - m.kept.top_DL[:, at] for m, at in pairs),
            (m.kept.weight_DL[:, at] for m, at in pairs),
        )

    return read


@dataclass(frozen=True)
class LostShare:
    """Share of D at the last peak that is lost so many steps later."""

    lag: int

    def __call__(self, cells: list[Measured]) -> Array:
        """The share; NaN unless D at the last peak is surely above zero."""
        if self.why(cells) is not None:
            return _nothing(cells)
        return divide(lost(self.lag)(cells), self._peak(cells))

    def why(self, cells: list[Measured]) -> str | None:
        """Why there is no share: of what was not gained nothing is lost."""
        peak = self._peak(cells)
        if np.isnan(peak[0]) or surely_positive(peak):
            return None
        return "denominator_not_positive"

    def _peak(self, cells: list[Measured]) -> Array:
        """D at the last peak of the items read at both."""
        places = [m.at(self.lag) for m in cells]
        if any(place is None for place in places):
            return _nothing(cells)
        pairs = list(zip(cells, places, strict=True))
        return _ratio(
            (m.kept.bottom_DL[:, at] for m, at in pairs),
            (m.kept.weight_DL[:, at] for m, at in pairs),
        )


def accumulated(cells: list[Measured]) -> Array:
    """A - S: left of all exposures one interval after the last, less left of the first alone."""
    if any(m.interval is None for m in cells):
        return _nothing(cells)
    return _ratio(
        (m.left.top_DL[:, 0] - m.left.bottom_DL[:, 0] for m in cells),
        (m.left.weight_DL[:, 0] for m in cells),
    )


def decay(cells: list[Measured]) -> Array:
    """a_kernel with a gain for every exposure: mean over cells, weighted by their items."""
    weights = [np.full(m.rows, float(m.n_items)) for m in cells]
    return _ratio((m.decay_R * w for m, w in zip(cells, weights, strict=True)), weights)


def _exposures(cells: list[Measured], which: slice) -> Array:
    return _ratio(
        (m.effect.sum_DN[:, which].sum(axis=1) for m in cells),
        (m.effect.weight_DN[:, which].sum(axis=1) for m in cells),
    )


def _ratio(tops: Iterable[Array], bottoms: Iterable[Array]) -> Array:
    return divide(sum(tops, np.zeros(1)), sum(bottoms, np.zeros(1)))


def _why(reading: Reading, cells: list[Measured]) -> str | None:
    """Why a reading has no number, if it can say."""
    if isinstance(reading, LostShare):
        return reading.why(cells)
    if reading is decay:
        return next((m.kernel_reason for m in cells if m.kernel_reason), None)
    return None


def _nothing(cells: list[Measured]) -> Array:
    return np.full(cells[0].rows if cells else 1, np.nan)


@dataclass(frozen=True)
class Readout:
    """The runs of one condition, measured."""

    pooled: Measurements
    runs: Measurements
    """The same, run by run, without resamples; equal to `pooled` where there is one run."""
    names: tuple[str, ...]
    """Names of the runs."""

    @classmethod
    def of(
        cls,
        log: pl.DataFrame,
        exposures: pl.DataFrame,
        *,
        window: int = 50,
        resamples: int = RESAMPLES,
        seed: int = 0,
        draws: ItemDraws | None = None,
        no_control: bool = False,
        score: pl.Expr = SCORE,
        kernels: bool = True,
        progress: Progress | None = None,
    ) -> "Readout":
        """Measure a condition; arguments as in `Measurements.of`.

        With `draws`, those of several conditions, differences between conditions stay paired.
        """
        if draws is None and resamples:
            draws = item_draws(log, resamples, seed)

        def measured(pool: bool) -> Measurements:
            return Measurements.of(
                log,
                exposures,
                window=window,
                draws=draws if pool else None,
                pool=pool,
                no_control=no_control,
                score=score,
                kernels=kernels,
                progress=progress,
            )

        names = tuple(sorted(log["run_id"].unique()))
        return cls(measured(True), measured(False), names)

    def without_log(self) -> "Readout":
        """The same without the readings themselves, which take most of the memory."""
        pooled, runs = (replace(m, log=m.log.clear()) for m in (self.pooled, self.runs))
        return replace(self, pooled=pooled, runs=runs)

    @cached_property
    def langs(self) -> list[str]:
        """Languages that items are injected in."""
        return sorted({key[3] for key in self.pooled.cells})

    def cells(
        self,
        arm: str,
        depth: str,
        direction: str | None = OWN,
        *,
        pair: tuple[str, str] | None = None,
        run: str | None = None,
    ) -> list[Measured]:
        """Cells of an arm and depth, pooled or of one run.

        Args:
            arm: name of the arm.
            depth: name of the depth.
            direction: `OWN`, `OTHER`, or None for both.
            pair: injection and probe language; instead of a direction.
            run: name of a run; None for all together.
        """
        source = self.pooled if run is None else self.runs
        found = []
        for key, measured in source.measured.items():
            here = OWN if key[3] == key[4] else OTHER
            if run is not None and key[0] != run:
                continue
            fits = key[3:] == pair if pair else direction in (None, here)
            if key[1:3] == (arm, depth) and fits:
                found.append(measured)
        return found

    def number(
        self,
        reading: Reading,
        arm: str,
        depth: str,
        direction: str | None = OWN,
        *,
        pair: tuple[str, str] | None = None,
    ) -> Number | None:
        """A reading of the joined cells; None if there are none."""
        cells = self.cells(arm, depth, direction, pair=pair)
        if not cells:
            return None
        alone = [self.cells(arm, depth, direction, pair=pair, run=run) for run in self.names]
        items = {name for m in cells for name in m.names}
        runs = [float(reading(one)[0]) if one else float("nan") for one in alone]
        return Number(reading(cells), np.array(runs), len(items), _why(reading, cells))
