"""What the numbers look like without learning, and what could be reached (`inject`, section 5)."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import norm

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.metrics.injection.crossfit import (
    Gains,
    control_effectivity,
    halves,
    halves_effectivity,
    mean_curves,
)
from polylore.metrics.injection.measured import Measured
from polylore.metrics.injection.measurements import Measurements
from polylore.metrics.injection.published import FACTORS, drawn_means, find_peaks, missing_states
from polylore.metrics.injection.resample import (
    FEWEST,
    RESAMPLES,
    ItemDraws,
    divide,
    limits,
    ones,
    with_data,
)
from polylore.metrics.injection.rows_published import OVER_READ
from polylore.metrics.injection.trajectories import Cell, Items, Read, mean_of, pseudo_exposed
from polylore.tables.injection_evidence import CONTROLS

Row = dict[str, Any]
_AT_ONCE = 100
"""Resamples that are computed together."""


def expected_maximum(n: int) -> float:
    """Expected maximum of n standard normals: 2.2491 for 50."""
    x = np.linspace(-8, 8, 20_001)
    density = n * norm.pdf(x) * norm.cdf(x) ** (n - 1)
    return float(np.trapezoid(x * density, x))


def control_rows(found: Measurements, ceiling: pl.DataFrame | None = None) -> pl.DataFrame:
    """Noise and the gain it feigns, false gains of controls, probes that never learn, ceilings.

    Args:
        found: a log, measured.
        ceiling: contract `tables.inject.CEILING`, of the same runs.

    Returns:
        Table CONTROLS.
    """
    rows: list[Row] = []
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for measured in found.measured.values():
        groups.setdefault(_group(measured.cell), []).append(measured)
        rows += _not_learned(measured)
    for own in groups.values():
        # The arm with most exposures stands for the depth and language.
        rows += _noise(max(own, key=lambda m: m.cell.injected.times_JN.shape[1]), found)
        for measured in _schedules(own):
            rows += _false_gains(measured, found)
    rows += _not_finite(found)
    if ceiling is not None and ceiling.height:
        rows += _ceilings(found, ceiling)
    return CONTROLS.build(rows)


def _group(cell: Cell) -> tuple[str, str, str]:
    return cell.key["run_id"], cell.key["depth"], cell.key["probe_lang"]


def _key(cell: Cell) -> Row:
    return {name: cell.key[name] for name in ("run_id", "depth", "probe_lang")}


def _schedules(own: list[Measured]) -> list[Measured]:
    """One cell of each arm: told in the language it is asked in, if there is one."""
    found: dict[str, Measured] = {}
    for measured in own:
        key = measured.cell.key
        if key["arm"] not in found or key["inject_lang"] == key["probe_lang"]:
            found[key["arm"]] = measured
    return list(found.values())


def _noise(measured: Measured, found: Measurements) -> Iterator[Row]:
    """Noise of the baseline, and what a maximum of it comes to."""
    cell = measured.cell
    if cell.control is None:
        return
    key = _key(cell)
    y_QT = np.concatenate([_before(cell, items) for items in (cell.injected, cell.control)])
    n = int(np.median((~np.isnan(y_QT)).sum(axis=1)))
    readings = _window_readings(measured, found.window)
    sd = _spread(y_QT) if n > 1 else float("nan")
    reason = None if n > 1 else "one_baseline_reading"
    yield key | {"quantity": "noise_sd", "value": _number(sd), "n": len(y_QT), "n_readings": n,
                 "reason": reason}  # fmt: skip
    yield key | {
        "quantity": "expected_false",
        "value": _number(sd * expected_maximum(readings)),
        "n": len(y_QT),
        "n_readings": readings,
        "reason": reason,
    }
    yield key | {"quantity": "start", "value": _number(float(np.nanmean(y_QT))), "n": len(y_QT),
                 "n_readings": n}  # fmt: skip


def _before(cell: Cell, items: Items) -> Array:
    """Readings of the baseline; NaN elsewhere."""
    return np.asarray(np.where(cell.baseline(items)[items.item_Q], items.y_QT, np.nan))


def _false_gains(measured: Measured, found: Measurements) -> Iterator[Row]:
    """Gains of never-injected items at the times of an arm: as published, as ours, by halves."""
    cell = measured.cell
    if cell.control is None:
        return
    key = _key(cell) | {"arm": cell.key["arm"]}
    n = len(set(cell.control.names))
    drawn = with_data(cell, found.draws if n >= FEWEST else None)
    own = Gains.of_controls(cell, found.window)
    parts = list(drawn.chunks(_AT_ONCE))
    ours = np.concatenate([control_effectivity(own, part) for part in parts])
    yield key | _with_interval("default_false", ours, n)
    if halves(cell):
        half = np.concatenate([halves_effectivity(cell, found.window, part) for part in parts])
        yield key | _with_interval("halves_false", half, n)
    items = pseudo_exposed(cell)
    try:
        peaks = find_peaks(cell, items, found.window)
    except DataError:
        yield key | {"quantity": "paper_false", "n": n, "reason": "unequal_exposures"}
        return
    item_QN = np.broadcast_to(items.item_Q[:, None], peaks.known_QN.shape)
    weights = drawn.control_DK[:, item_QN[peaks.known_QN]]
    false = drawn_means(peaks.gain_QN[peaks.known_QN], weights, FACTORS["paper"])
    row = _with_interval("paper_false", false, n)
    over = row["value"] is not None and len(missing_states(cell)) > 0
    yield key | row | ({"reason": OVER_READ} if over else {})


def _with_interval(quantity: str, rows_D: Array, n: int) -> Row:
    samples = rows_D[1:, None] if len(rows_D) > 1 else None
    lo, hi = limits(samples, 1)
    reason = "few_items" if n < FEWEST else None
    return {
        "quantity": quantity,
        "value": _number(float(rows_D[0])),
        "lo": _number(float(lo[0])),
        "hi": _number(float(hi[0])),
        "n": n,
        "reason": reason if np.isfinite(rows_D[0]) else "no_readings",
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(y_QT: Array) -> float:
    """Standard deviation of a probe's readings around its own mean, over probes."""
    present = ~np.isnan(y_QT)
    n = present.sum(axis=1)
    y_QT = y_QT[n > 1]
    if not len(y_QT):
        return float("nan")
    return float(np.sqrt(np.nanvar(y_QT, axis=1, ddof=1).mean()))


def _window_readings(measured: Measured, length: int) -> int:
    """Typical number of readings of a run in the window after an exposure of its items."""
    read, times = measured.gains.read, measured.gains.items.times_JN
    counts = []
    for row, known_T in zip(times, read.known_JT, strict=True):
        states = read.states_T[known_T]
        counts += [
            np.count_nonzero((states > t) & (states <= t + _reach(row, t, length)))
            for t in row
            if t >= 0
        ]
    return max(1, int(np.median(counts)))


def _reach(times: Array, t: int, length: int) -> int:
    gaps = [b - a for a, b in pairwise(times.tolist()) if a == t and b > a]
    return int(min([length, *gaps]))


def _not_learned(measured: Measured) -> Iterator[Row]:
    """Share of probes whose D at the last peak is not above zero; and the same of controls."""
    cell = measured.cell
    if cell.control is None:
        return
    controls = pseudo_exposed(cell)
    for quantity, items in (("not_learned", cell.injected), ("not_learned_control", controls)):
        at_peak_Q = _probe_peaks(measured, items)
        known = at_peak_Q[~np.isnan(at_peak_Q)]
        yield _key(cell) | {
            "arm": cell.key["arm"],
            "inject_lang": cell.key["inject_lang"],
            "quantity": quantity,
            "value": float((known <= 0).mean()) if len(known) else None,
            "n": len(known),
            "reason": None if len(known) else "no_readings",
        }


def _probe_peaks(measured: Measured, items: Items) -> Array:
    """D of each probe at the last exposure plus the lag at which the item mean peaks; (Q,)."""
    cell, gains = measured.cell, measured.gains
    if cell.control is None or gains.rise_KT is None:
        return np.zeros(0)
    curves = mean_curves(gains.rise_KT, ones(cell).control_DK, cell.control.runs)
    lag = measured.peak_lag
    last_Q = items.times_JN.max(axis=1)[items.item_Q]
    read = Read(cell.states_T, ~np.isnan(items.y_QT))
    column_Q = read.upto(last_Q + lag, np.arange(len(last_Q)), last_Q)
    rise_QT = items.y_QT - mean_of(_before(cell, items))[:, None]
    found = np.full(len(last_Q), np.nan)
    for q, (item, column) in enumerate(zip(items.item_Q, column_Q, strict=True)):
        curve = curves.get(items.runs[item])
        if column >= 0 and curve is not None:
            found[q] = rise_QT[q, column] - curve[0, column]
    return found


def _not_finite(found: Measurements) -> Iterator[Row]:
    """Readings that are left out because they are no numbers; no row where there are none."""
    lost = found.log.filter(~pl.col("mean_logprob").is_finite())
    if found.pool:
        lost = lost.with_columns(run_id=pl.lit("all"))
    counts = lost.group_by("run_id", "depth", "probe_lang").agg(n=pl.len())
    for row in counts.sort("run_id", "depth", "probe_lang").iter_rows(named=True):
        yield row | {"quantity": "not_finite", "value": float(row["n"])}


def _ceilings(found: Measurements, ceiling: pl.DataFrame) -> Iterator[Row]:
    """What the model says with the original passage before the question."""
    runs = found.log["run_id"].unique().to_list()
    own = ceiling.filter(pl.col("run_id").is_in(runs))
    if found.pool:
        own = own.with_columns(run_id=pl.lit("all"))
    groups = own.group_by("run_id", "depth", "probe_lang", maintain_order=True)
    means = groups.agg(
        value=pl.col("mean_logprob").mean(), exact=pl.col("greedy_exact").mean(), n=pl.len()
    )
    for row in means.sort("run_id", "depth", "probe_lang").iter_rows(named=True):
        key = {name: row[name] for name in ("run_id", "depth", "probe_lang", "n")}
        yield key | {"quantity": "ceiling", "value": row["value"]}
        if row["exact"] is not None:
            yield key | {"quantity": "ceiling_exact", "value": row["exact"]}


def drift_rows(
    log: pl.DataFrame, role: str, run_id: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Row]:
    """How far all probes move from the first to the last state of a run that teaches none of them.

    Args:
        log: contract `tables.inject.LOG`, of sham or background-only runs.
        role: sham or background.
        run_id: what the rows are called.
        resamples: bootstrap resamples of items, which move together at all depths and in all
            languages; 0 for no intervals. Fewer than ten items have none.
        seed: seed of the resamples.
    """
    ends = (
        log.filter(pl.col("mean_logprob").is_finite())
        .sort("t")
        .group_by("run_id", "item_id", "depth", "probe_lang", "probe_id", maintain_order=True)
        .agg(drift=pl.col("mean_logprob").last() - pl.col("mean_logprob").first())
    )
    items = ends.group_by("depth", "probe_lang", "item_id").agg(pl.col("drift").mean())
    names = items["item_id"].unique().sort().to_list()
    draws = ItemDraws.of(names, [], resamples, seed) if resamples else None
    rows = []
    for key, own in sorted(items.group_by("depth", "probe_lang"), key=lambda found: found[0]):
        depth, lang = (str(name) for name in key)
        drift, drawn = own["drift"].to_numpy(), np.zeros(0)
        if draws is not None and own.height >= FEWEST:
            columns = [draws.column["injected", name] for name in own["item_id"]]
            weights = draws.weights_DF[:, columns].astype(np.float64)
            drawn = divide(weights @ drift, weights.sum(axis=1))
        found = _with_interval(f"{role}_drift", np.append(drift.mean(), drawn), own.height)
        rows.append({"run_id": run_id, "depth": depth, "probe_lang": lang} | found)
    return rows
