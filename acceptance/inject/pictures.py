"""Figures of the experiment; the never-injected control is in each."""

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from acceptance.inject.design import INTERVAL, N
from acceptance.inject.readout import Found
from polylore.metrics.index import Array
from polylore.metrics.injection.readout import OTHER, OWN
from polylore.metrics.injection.trajectories import Cell, Read
from polylore.report import Chart, Page, Report, shapes
from polylore.report.axes import rows
from polylore.report.export import export_figures

NEVER = "never injected"
BEFORE, EVERY = 8, 4
"""Steps before the first exposure that are shown, and between points."""


def draw(charts: Sequence[Chart], folder: Path) -> None:
    """Write the charts as SVG."""
    page = Page("figures", "Figures", "", tuple(charts))
    report = Report("", "", (), (), (page,), {})
    export_figures(report, folder, ("svg",))


def course(found: Found, name: str, title: str, depths: Sequence[str]) -> Chart:
    """Scores on each item's own clock: steps since its first exposure."""
    parts, order = [], []
    for direction, words in ((OWN, "same"), (OTHER, "across")):
        for depth in depths:
            panel = f"{depth}, {words}"
            order.append(panel)
            parts += [
                frame.with_columns(panel=pl.lit(panel)) for frame in _panel(found, depth, direction)
            ]
    frame = pl.concat(parts)
    arms = [a for a in frame["series"].unique(maintain_order=True) if a != NEVER] + [NEVER]
    x = alt.X("lag:Q", title="steps since the first exposure")
    y = alt.Y("rise:Q", title="rise, nats per token")
    colour = alt.Color("series:N", scale=alt.Scale(domain=arms), legend=alt.Legend(title=None))
    area = alt.Chart(rows()).mark_area(opacity=0.2)
    layers = [
        area.encode(x=x, y=alt.Y("lo:Q"), y2="hi", color=colour),
        alt.Chart(rows()).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour),
        alt.Chart(rows()).mark_tick(thickness=1, size=9).encode(x="shown:Q", y=alt.value(96)),
    ]
    caption = (
        "Mean rise of the probability of what is asked, over the mean before the first exposure "
        "of all; not corrected. Ribbons: 1.96 standard errors over items. Ticks: exposures of "
        "duplication and paraphrase; once has the first alone. Never-injected items are shown at "
        "the same states. `same` and `across`: asked in the language of the passages, or in the "
        "other one."
    )
    return Chart(
        f"inject-{name}",
        title,
        caption,
        "Curves of the arms and of never-injected items, by depth and language of the probes.",
        shapes.panels(layers, "panel", order),
        frame,
        layout="panels",
    )


def _panel(found: Found, depth: str, direction: str) -> list[pl.DataFrame]:
    """Curves of all arms and of the control in one panel."""
    frames, controls = [], []
    for arm in found.arms:
        cells = [measured.cell for measured in found.scores.cells(arm, depth, direction)]
        lags = _lags(found)
        curves = [(_curve(cell, lags, False), _curve(cell, lags, True)) for cell in cells]
        frames.append(_frame(arm, np.concatenate([own for own, _ in curves])))
        controls += [control for _, control in curves]
    return [*frames, _frame(NEVER, np.concatenate(controls))]


def _lags(found: Found) -> Array:
    """Lags that were read of every item."""
    cells = found.scores.pooled.cells.values()
    reach = min(int(c.states_T[-1] - c.injected.times_JN[:, 0].max()) for c in cells)
    return np.arange(-BEFORE, reach + 1, EVERY)


def _curve(cell: Cell, lags: Array, control: bool) -> Array:
    """Rise of each item at lags since its first exposure, or of the control then: (J, L)."""
    own = cell.rise(cell.injected)
    out = np.full((cell.injected.n, len(lags)), np.nan)
    read = Read(cell.states_T, ~np.isnan(own))
    curves: dict[str, Array] = {}
    if cell.control is not None:
        rise, runs = cell.rise(cell.control), np.array(cell.control.runs)
        curves = {run: rise[runs == run].mean(axis=0) for run in dict.fromkeys(cell.control.runs)}
    for j, run in enumerate(cell.injected.runs):
        columns = read.at(cell.injected.times_JN[j, 0] + lags, np.array(j))
        values = curves[run] if control else own[j]
        out[j] = np.where(columns < 0, np.nan, values[columns])
    return out


def _frame(series: str, curves_JL: Array) -> pl.DataFrame:
    n = (~np.isnan(curves_JL)).sum(axis=0)
    mean = np.nanmean(curves_JL, axis=0)
    error = 1.96 * np.nanstd(curves_JL, axis=0) / np.sqrt(np.maximum(n, 1))
    lags = -BEFORE + EVERY * np.arange(curves_JL.shape[1])
    shown = set(range(0, INTERVAL * N, INTERVAL))
    return pl.DataFrame(
        {
            "series": series,
            "lag": lags,
            "rise": mean.round(3),
            "lo": (mean - error).round(3),
            "hi": (mean + error).round(3),
            "shown": [lag if lag in shown else None for lag in lags.tolist()],
        }
    )
