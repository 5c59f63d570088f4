"""Onset curves of every setting, and paired differences between settings.

Specification of `patch`, sections 5 and 6: tables `curves` and `contrasts`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.patching.onsets import SUMMARIES, halves, summary
from polylore.metrics.patching.resample import Estimate, Resample, band
from polylore.metrics.patching.values import METRICS, UNPATCHED, Axes, Values
from polylore.tables.contract import Table
from polylore.tables.course import course
from polylore.tables.patch_derived import CONTRASTS, CURVES

Progress = Callable[[int, int, str], None]
SUBSETS = ("full", "clean")

COMPARED: tuple[tuple[str, str], ...] = (
    ("seen", "src_unpatched"),
    ("seen", "tgt"),
    ("samek1", "tgt"),
    ("norm_matched", "tgt"),
    ("seen", "random_concept"),
    ("seen", "en_en"),
    ("seen", "self"),
    ("tgt", "random_concept"),
    ("en_en", "random_concept"),
    ("self", "random_concept"),
    ("src_unpatched", "tgt_unpatched"),
)
"""Settings whose difference is reported. `samek1`: the shared vector made from one source prompt,
as `tgt` is. The last four say when other things than the shared space emerged."""


Block = tuple[str, slice, tuple[int | None, ...]]


@dataclass(frozen=True)
class Series:
    """Values of one setting or contrast, in all the ways in which onsets are looked at."""

    values_PIG: Array
    blocks: tuple[Block, ...]
    """(at, columns, onsets): columns run over checkpoints, and over the onsets within each."""


def series_of(values_PIKJ: Array, axes: Axes, half_I: Array, *, patched: bool = True) -> Series:
    """Onset by onset (or unpatched), and summed up in each way of `SUMMARIES`."""
    p, i, k, j = values_PIKJ.shape
    flat = values_PIKJ.reshape(p, i, k * j)
    if not patched:
        return Series(flat, (("unpatched", slice(0, k), (None,)),))
    parts = [flat]
    blocks: list[Block] = [("onset", slice(0, k * j), axes.onsets_J)]
    for how in SUMMARIES:
        start = k * j + k * (len(parts) - 1)
        parts.append(summary(values_PIKJ, axes, half_I, how))
        blocks.append((how, slice(start, start + k), (None,)))
    return Series(np.concatenate(parts, axis=2), tuple(blocks))


def difference(first: Series, second: Series) -> Series:
    """Item by item, wherever both have a value; an unpatched run is the same at every onset.

    Each side is read off at its own best onset where onsets are summed up.
    """
    if len(first.blocks) == len(second.blocks):
        return Series(first.values_PIG - second.values_PIG, first.blocks)
    swapped = len(first.blocks) < len(second.blocks)
    long, short = (second, first) if swapped else (first, second)
    spread = [np.repeat(short.values_PIG, len(onsets), axis=2) for _, _, onsets in long.blocks]
    off = long.values_PIG - np.concatenate(spread, axis=2)
    return Series(-off if swapped else off, long.blocks)


@dataclass(frozen=True)
class Analysis:
    """A run's values with one set of draws for all its numbers."""

    values: Values
    resample: Resample
    checkpoints: pl.DataFrame
    half_I: Array

    @classmethod
    def of(cls, values: Values, checkpoints: pl.DataFrame, *, draws: int, seed: int) -> "Analysis":
        """Draw once.

        Args:
            values: what is analysed.
            checkpoints: table CHECKPOINTS.
            draws: bootstrap draws.
            seed: seed of the draws and of the halves of concepts.
        """
        axes = values.axes
        return cls(values, Resample.of(axes, n=draws, seed=seed), checkpoints, halves(axes, seed))

    def series(self, setting: str, intervention: str, metric: str, cell: str) -> Series | None:
        """Values of a setting; an unpatched one is found whatever the intervention is."""
        for own in dict.fromkeys((intervention, UNPATCHED)):
            found = self.values.get(setting, own, metric, cell)
            if found is not None:
                return series_of(found, self.values.axes, self.half_I, patched=own != UNPATCHED)
        return None

    def subset(self, series: Series, name: str) -> Series:
        """All items, or only the clean ones."""
        if name == "full":
            return series
        clean = self.values.clean_PI[..., None]
        return Series(np.where(clean, series.values_PIG, np.nan), series.blocks)

    @cached_property
    def places(self) -> pl.DataFrame:
        """ckpt_id, step, tokens, stage of the analysed checkpoints, in order."""
        known = course(self.checkpoints).join(
            self.checkpoints.select("ckpt_id", "stage"), on="ckpt_id", how="left"
        )
        order = pl.DataFrame({"ckpt_id": self.values.axes.ckpts_K})
        return order.join(known, on="ckpt_id", how="left", maintain_order="left")

    def rows(
        self, series: Series, keys: dict[str, Any], *, keep: "Keep | None" = None
    ) -> Iterator[pl.DataFrame]:
        """Rows of an estimate table for all pairs, pools and subsets.

        Args:
            series: what is estimated.
            keys: constant columns.
            keep: called with each estimate, for what is computed from the draws.
        """
        layout = self._layout(series.blocks)
        for subset in SUBSETS:
            chosen = self.subset(series, subset)
            for a, b, estimate in self.resample.estimates(chosen.values_PIG):
                own = keys | {"subset": subset, "lang_a": a, "lang_b": b}
                bands = {at: band(estimate, columns) for at, columns, _ in series.blocks}
                ends = zip(*bands.values(), strict=True)
                sim_lo, sim_hi = (np.concatenate(parts) for parts in ends)
                numbers = {
                    "mean": estimate.mean_G,
                    "lo": estimate.lo_G,
                    "hi": estimate.hi_G,
                    "sim_lo": sim_lo,
                    "sim_hi": sim_hi,
                    "rowwise_lo": estimate.mean_G - estimate.half_G,
                    "rowwise_hi": estimate.mean_G + estimate.half_G,
                    "n_items": estimate.n_G,
                }
                yield layout.with_columns(
                    *(pl.Series(name, value, nan_to_null=True) for name, value in numbers.items()),
                    *(pl.lit(value).alias(name) for name, value in own.items()),
                ).filter(pl.col("n_items") > 0)
                if keep is not None:
                    keep(series, estimate, bands, own)

    def _layout(self, blocks: tuple[Block, ...]) -> pl.DataFrame:
        """Checkpoint, way of looking at onsets and onset of every column."""
        parts = [
            self.places[np.repeat(np.arange(self.places.height), len(onsets))].with_columns(
                at=pl.lit(at),
                onset=pl.Series(list(onsets) * self.places.height, dtype=pl.Int32),
            )
            for at, _, onsets in blocks
        ]
        return pl.concat(parts)


Keep = Callable[[Series, Estimate, dict[str, tuple[Array, Array]], dict[str, Any]], None]


def curves(analysis: Analysis, progress: Progress | None = None) -> pl.DataFrame:
    """Means of every setting, metric, cell and subset.

    Args:
        analysis: the run.
        progress: called with (done, total, what).

    Returns:
        Table CURVES.
    """
    frames: list[pl.DataFrame] = []
    listed = [x for x in analysis.values.series() if x[0] != "samek"]
    for done, (setting, intervention) in enumerate(listed):
        if progress:
            progress(done, len(listed), f"curves of {setting}")
        for metric in METRICS:
            for cell in analysis.values.cells(setting, intervention):
                series = analysis.series(setting, intervention, metric, cell)
                if series is not None:
                    keys = {"setting": setting, "intervention": intervention, "metric": metric,
                            "cell": cell}  # fmt: skip
                    frames += analysis.rows(series, keys)
    return _table(CURVES, frames)


def contrasts(
    analysis: Analysis,
    compared: Sequence[tuple[str, str]] = COMPARED,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> pl.DataFrame:
    """Paired differences: the same items and the same draws on both sides.

    Args:
        analysis: the run.
        compared: (setting, setting it is held against); those that were not run are left out.
        progress: called with (done, total, what).
        keep: see `Analysis.rows`.

    Returns:
        Table CONTRASTS.
    """
    frames: list[pl.DataFrame] = []
    for done, (first, second) in enumerate(compared):
        if progress:
            progress(done, len(compared), f"{first} minus {second}")
        for intervention in analysis.values.interventions():
            for metric in METRICS:
                a, b = _sides(analysis, first, second, intervention, metric)
                if a is None or b is None:
                    continue
                keys = {"contrast": f"{first}-{second}", "intervention": intervention,
                        "metric": metric}  # fmt: skip
                frames += analysis.rows(difference(a, b), keys, keep=keep)
    return _table(CONTRASTS, frames)


def _sides(
    analysis: Analysis, first: str, second: str, intervention: str, metric: str
) -> tuple[Series | None, Series | None]:
    """Both sides of a contrast; the natural target prompt answers for its own concept if exact."""
    sides = []
    for setting in (first, second):
        series = analysis.series(setting, intervention, metric, "src_b")
        if setting == "self" and series is not None:
            series = _with_english(analysis, series, intervention, metric)
        sides.append(series)
    return sides[0], sides[1]


def _with_english(analysis: Analysis, own: Series, intervention: str, metric: str) -> Series:
    """`self` is `en_en` where English is asked for, and was not run twice there."""
    english = analysis.series("en_en", intervention, metric, "src_b")
    if english is None:
        return own
    into_P = np.array([b == "en" for _, b in analysis.values.axes.langs_P])
    absent_P = np.isnan(own.values_PIG).all(axis=(1, 2)) & into_P
    merged = np.where(absent_P[:, None, None], english.values_PIG, own.values_PIG)
    return Series(merged, own.blocks)


def _table(table: Table, frames: list[pl.DataFrame]) -> pl.DataFrame:
    if not frames:
        return table.empty()
    return table.validate(pl.concat(frames).select(table.schema.keys()))
