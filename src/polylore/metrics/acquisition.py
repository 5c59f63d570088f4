"""When a fact comes, stays and goes in each language (specification of `trace`, section 2.4)."""

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.tables.course import course
from polylore.tables.derived import ACQUISITION

RUN = 3
EVENTS = ("first", "sustained", "final_run", "forget")
HISTORY = ["fact_id", "relation", "lang", "variant", "matcher"]


def timeline(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """The checkpoints that trajectories use, in order: the course of training with a step."""
    return course(checkpoints).drop_nulls("step").unique("step", keep="first", maintain_order=True)


def acquisition(grades: pl.DataFrame, checkpoints: pl.DataFrame, *, k: int = RUN) -> pl.DataFrame:
    """Interval-censored events of every history of one (fact, language, wording, matcher).

    ``first``: first right answer. ``sustained``: start of the first run of `k` consecutive right
    answers. ``final_run``: start of the unbroken run of right answers that reaches the last
    observation. ``forget``: first wrong answer after `first`; it has no row where `first` never
    happened. Null answers neither extend nor break a run. An event at step s lies in (last observed
    step before s, s]; it is left-censored if it holds at the first observation, and right-censored
    if it never happens. Of a right-censored event, `step_lo` is the last step by which it had
    surely not happened: for `sustained`, an unfinished run at the end may still become one.

    Args:
        grades: table GRADES.
        checkpoints: table CHECKPOINTS; suspect ones and a final model without a step are left out.
        k: length of a run.

    Returns:
        Table ACQUISITION; empty with fewer than two usable checkpoints.
    """
    times = timeline(checkpoints)
    if times.height < 2 or not grades.height:
        return ACQUISITION.empty()
    histories, y_UT = _histories(grades, times)
    packed_UT, place_UT, length_U = _pack(y_UT)
    right_UT = packed_UT == 1
    wrong_UT = packed_UT == 0
    column_T = np.arange(y_UT.shape[1])
    changes_UT = (right_UT[:, 1:] & wrong_UT[:, :-1]) | (wrong_UT[:, 1:] & right_UT[:, :-1])
    flips_U = changes_UT.sum(axis=1)
    first_U = first_true(right_UT)
    tail_U = _tail(right_UT, length_U)
    starts = {
        "first": first_U,
        "sustained": first_true(run_starts(right_UT, k)),
        "final_run": np.where(tail_U > 0, length_U - tail_U, -1),
        "forget": first_true(wrong_UT & (column_T > first_U[:, None]) & (first_U >= 0)[:, None]),
    }
    last_U = length_U - 1
    known_absent = {
        "first": last_U,
        "sustained": last_U - tail_U,
        "final_run": last_U,
        "forget": last_U,
    }
    observed_U = length_U > 0
    parts = []
    for event in EVENTS:
        kept = observed_U & (first_U >= 0) if event == "forget" else observed_U
        at, absent = starts[event][kept], known_absent[event][kept]
        lo = np.where(at >= 0, at - 1, absent)
        frame = histories.filter(pl.Series(kept)).with_columns(
            pl.lit(event).alias("event"),
            pl.Series("flips", flips_U[kept], dtype=pl.Int32()),
            pl.Series("censoring", np.select([at == 0, at > 0], ["left", "interval"], "right")),
            *_times(times, place_UT[kept], lo, "lo"),
            *_times(times, place_UT[kept], at, "hi"),
        )
        parts.append(frame)
    return ACQUISITION.validate(pl.concat(parts))


def _histories(grades: pl.DataFrame, times: pl.DataFrame) -> tuple[pl.DataFrame, Array]:
    """Keys of the histories and their answers, (U, T) with NaN where there is none."""
    known = grades.filter(pl.col("ckpt_id").is_in(times["ckpt_id"].to_list()))
    histories = known.select(HISTORY).unique(maintain_order=True)
    rows = (
        known.select(*HISTORY, "ckpt_id", "y")
        .drop_nulls("y")
        .join(histories.with_row_index("_u"), on=HISTORY)
        .join(times.select("ckpt_id").with_row_index("_t"), on="ckpt_id")
    )
    y_UT = np.full((histories.height, times.height), np.nan)
    y_UT[rows["_u"].to_numpy(), rows["_t"].to_numpy()] = rows["y"].cast(pl.Float64()).to_numpy()
    return histories, y_UT


def _pack(y_UT: Array) -> tuple[Array, Array, Array]:
    """Move the observations of each row to the left; NaN behind them.

    Returns:
        Packed answers (U, T), their columns in the timeline (U, T), observations per row (U,).
    """
    place_UT = np.argsort(np.isnan(y_UT), axis=1, kind="stable")
    return np.take_along_axis(y_UT, place_UT, axis=1), place_UT, (~np.isnan(y_UT)).sum(axis=1)


def first_true(flags_UT: Array) -> Array:
    """First true column of each row, -1 without one."""
    return np.where(flags_UT.any(axis=1), flags_UT.argmax(axis=1), -1)


def run_starts(right_UT: Array, k: int) -> Array:
    """Columns at which k consecutive true ones begin: bool (U, T)."""
    width = right_UT.shape[1]
    starts = np.zeros_like(right_UT)
    if k <= width:
        windows = np.stack([right_UT[:, j : width - k + 1 + j] for j in range(k)])
        starts[:, : width - k + 1] = windows.all(axis=0)
    return starts


def _tail(right_UT: Array, length_U: Array) -> Array:
    """Length of the run of right answers at the end of each row's observations."""
    column_T = np.arange(right_UT.shape[1])
    broken = ~right_UT & (column_T < length_U[:, None])
    last_wrong = np.where(broken, column_T, -1).max(axis=1)
    return np.asarray(length_U - 1 - last_wrong)


def _times(times: pl.DataFrame, place_UT: Array, at_U: Array, end: str) -> list[pl.Series]:
    """Step and tokens of the at-th observation of each row; null where at < 0."""
    rows = np.arange(len(at_U))
    column = np.where(at_U >= 0, place_UT[rows, np.maximum(at_U, 0)], 0)
    absent = pl.Series(at_U < 0)
    found = times.select(
        pl.col("step").gather(column).alias(f"step_{end}"),
        pl.col("tokens").gather(column).alias(f"tokens_{end}"),
    ).with_columns(
        pl.when(~absent).then(pl.col(name)).alias(name) for name in (f"step_{end}", f"tokens_{end}")
    )
    return found.get_columns()
