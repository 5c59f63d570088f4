"""Share of facts answered right, with its interval and its knowledge-free floor."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.metrics.baselines import applicable
from polylore.metrics.bootstrap import Draws, divide, index_of, interval, weighted_sums
from polylore.metrics.index import Array, FactIndex, ordered_cells, with_axis
from polylore.tables.derived import RECALL


def recall(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    strata: pl.DataFrame | None = None,
    credits: pl.DataFrame | None = None,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Accuracy per checkpoint, language, relation, stratum and matcher.

    A fact asked in several wordings counts with the share of them answered right; null answers are
    left out. Guess-corrected accuracy is (a - a0)/(1 - a0) with a0 the accuracy, on the same facts,
    of the best applicable knowledge-free baseline (specification of `trace`, section 2.1). In every
    draw the accuracy of that baseline is computed again; which answer it gives is not chosen again,
    since the commonest object of a resample looks commoner than it is (20 distinct objects: .05
    becomes .17) and would push the interval below its own estimate.

    Args:
        grades: table GRADES, any number of matchers.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        strata: strata frame; ``all`` and ``wording:<variant>`` are always made.
        credits: frame of `baseline_credits`; without it the corrected columns are null.
        draws: bootstrap draws; without them the interval columns are null.

    Returns:
        Table RECALL; rows without a single answered fact are left out, and a row with a single
        fact has no interval.
    """
    index = index_of(facts, draws)
    cells = ordered_cells(grades, checkpoints, facts)
    keys = ["ckpt_id", "lang", "matcher"]
    means = grades.group_by("fact_id", *keys).agg(pl.col("y").cast(pl.Float64()).mean())
    y_FC = index.dense(means, "y", cells)
    floors = _floors(index, cells, credits)
    frames = []
    for name, values_FC, mask_FC in _groups(index, grades, cells, y_FC, strata):
        present_FC = mask_FC & ~np.isnan(values_FC)
        if present_FC.any():
            frames += _stratum(index, cells, name, values_FC, present_FC, floors, draws)
    if not frames:
        return RECALL.empty()
    return RECALL.validate(with_axis(pl.concat(frames), checkpoints))


def _groups(
    index: FactIndex,
    grades: pl.DataFrame,
    cells: pl.DataFrame,
    y_FC: Array,
    strata: pl.DataFrame | None,
) -> Iterator[tuple[str, Array, Array]]:
    """Name, values and mask of every stratum."""
    everything = np.ones(y_FC.shape, dtype=bool)
    yield "all", y_FC, everything
    variants = grades["variant"].unique().sort().to_list()
    for variant in variants if len(variants) > 1 else []:
        one = grades.filter(pl.col("variant") == variant)
        yield f"wording:{variant}", index.dense(one, "y", cells), everything
    if strata is None:
        return
    fixed = pl.col("ckpt_id").is_null()
    known = strata.filter(pl.col("fact_id").is_in(list(index.fact_ids)))
    for name in known["stratum"].unique(maintain_order=True).to_list():
        own = known.filter(pl.col("stratum") == name).with_columns(_in=pl.lit(1.0)).unique()
        mask_FC = _spread(index, own.filter(fixed), cells, ["lang"], "_in")
        moving = own.filter(~fixed)
        if moving.height:
            moving_FC = _spread(index, moving, cells, ["ckpt_id", "lang"], "_in")
            mask_FC = np.fmax(mask_FC, moving_FC)
        yield name, y_FC, mask_FC == 1


def _spread(
    index: FactIndex, frame: pl.DataFrame, cells: pl.DataFrame, keys: list[str], value: str
) -> Array:
    """Matrix over all cells of a value that depends on some of their keys only."""
    distinct = cells.select(keys).unique(maintain_order=True)
    places = cells.join(distinct.with_row_index("_at"), on=keys, how="left", maintain_order="left")
    return np.asarray(index.dense(frame, value, distinct)[:, places["_at"].to_numpy()])


@dataclass(frozen=True)
class _Floors:
    names: tuple[str, ...]
    credit_BFC: Array
    """Credit of each baseline; NaN where it does not apply to the cell's matcher or fact."""


def _floors(index: FactIndex, cells: pl.DataFrame, credits: pl.DataFrame | None) -> _Floors:
    if credits is None or not credits.height:
        return _Floors((), np.zeros((0, index.n, cells.height)))
    available = set(credits["baseline"].unique())
    by_matcher = {m: applicable(m, available) for m in cells["matcher"].unique()}
    names = tuple(dict.fromkeys(b for m in sorted(by_matcher) for b in by_matcher[m]))
    matchers = cells["matcher"].to_list()
    layers = []
    for name in names:
        own = credits.filter(pl.col("baseline") == name)
        fixed = own.filter(pl.col("ckpt_id").is_null())
        layer = _spread(index, fixed, cells, ["lang"], "credit")
        moving = own.filter(pl.col("ckpt_id").is_not_null())
        if moving.height:
            keys = ["ckpt_id", "lang", "matcher"]
            layer = np.fmax(layer, _spread(index, moving, cells, keys, "credit"))
        applies = np.array([name in by_matcher[m] for m in matchers])
        layers.append(np.where(applies, layer, np.nan))
    return _Floors(names, np.array(layers))


def _stratum(
    index: FactIndex,
    cells: pl.DataFrame,
    name: str,
    values_FC: Array,
    present_FC: Array,
    floors: _Floors,
    draws: Draws | None,
) -> list[pl.DataFrame]:
    right_FC = np.where(present_FC, values_FC, 0)
    totals: tuple[Array, Array] | None = None
    frames = []
    for relation, rows in index.slices():
        here = _Sums(right_FC[rows].sum(axis=0), present_FC[rows].sum(axis=0))
        sampled: tuple[Array, Array] | None = None
        if draws is not None and relation != "all":
            sampled = (
                weighted_sums(draws, right_FC[rows], rows),
                weighted_sums(draws, present_FC[rows], rows),
            )
            # The sums of all relations together are those of the whole: one product less.
            totals = sampled if totals is None else _plus(totals, sampled)
        elif draws is not None:
            sampled = totals
        kept = np.flatnonzero(here.n > 0)
        if not kept.size:
            continue
        floor = _floor(floors, present_FC[rows][:, kept], rows, kept)
        acc = divide(here.right, here.n)[kept]
        columns: dict[str, Array | list[str | None]] = {
            "n": here.n[kept],
            "acc": acc,
            "baseline": floor.accuracy,
            "baseline_name": floor.name,
            "acc_guess_corrected": _corrected(acc, floor.accuracy),
        }
        if draws is not None and sampled is not None:
            columns |= _intervals(
                draws, (sampled[0][:, kept], sampled[1][:, kept]), here.n[kept], floor, rows
            )
        frames.append(
            cells[kept]
            .with_columns(relation=pl.lit(relation), stratum=pl.lit(name))
            .with_columns(_column(key, value) for key, value in columns.items())
        )
    return frames


@dataclass(frozen=True)
class _Sums:
    right: Array
    n: Array


@dataclass(frozen=True)
class _Floor:
    accuracy: Array
    """Accuracy of the best baseline per kept cell; NaN without one."""
    name: list[str | None]
    credit_FK: Array
    """Its credits on the facts that count, zero elsewhere."""


def _floor(floors: _Floors, present_FK: Array, rows: slice, kept: Array) -> _Floor:
    width = present_FK.shape[1]
    if not floors.names:
        return _Floor(np.full(width, np.nan), [None] * width, np.zeros(present_FK.shape))
    credit_BFK = floors.credit_BFC[:, rows][:, :, kept]
    # A baseline that knows only some of the facts would be compared on other facts than the model.
    whole_BK = (~np.isnan(credit_BFK) | ~present_FK).all(axis=1)
    filled_BFK = np.where(present_FK, np.nan_to_num(credit_BFK), 0)
    accuracy_BK = np.where(whole_BK, filled_BFK.sum(axis=1) / present_FK.sum(axis=0), -1)
    best_K = accuracy_BK.argmax(axis=0)
    columns = np.arange(width)
    accuracy_K = accuracy_BK[best_K, columns]
    defined = accuracy_K >= 0
    return _Floor(
        np.where(defined, accuracy_K, np.nan),
        [floors.names[b] if d else None for b, d in zip(best_K, defined, strict=True)],
        filled_BFK[best_K, :, columns].T,
    )


def _intervals(
    draws: Draws, sampled: tuple[Array, Array], n: Array, floor: _Floor, rows: slice
) -> dict[str, Array | list[str | None]]:
    right_DK, n_DK = sampled
    acc_DK = divide(right_DK, n_DK)
    lo, hi = interval(acc_DK)
    floor_DK = divide(weighted_sums(draws, floor.credit_FK, rows), n_DK)
    floor_DK[:, np.isnan(floor.accuracy)] = np.nan
    gc_lo, gc_hi = interval(_corrected(acc_DK, floor_DK))
    ends = {"lo": lo, "hi": hi, "gc_lo": gc_lo, "gc_hi": gc_hi}
    return {key: np.where(n > 1, value, np.nan) for key, value in ends.items()}


def _corrected(acc: Array, floor: Array) -> Array:
    return divide(acc - floor, 1 - floor)


def _plus(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] + second[0], first[1] + second[1]


def _column(name: str, values: Array | list[str | None]) -> pl.Series:
    if isinstance(values, list):
        return pl.Series(name, values, dtype=pl.String())
    if name == "n":
        return pl.Series(name, values.astype(np.int64))
    return pl.Series(name, values.astype(np.float64)).fill_nan(None)
