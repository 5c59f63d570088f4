"""Table UNIFICATION from SIMS and GRID: scores, baselines beside them, intervals (2.6, 2.10)."""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.unification.resampling import DRAWS, cluster_weights, score_draws
from polylore.metrics.unification.scores import normalised, reason_for
from polylore.tables.unify_results import UNIFICATION

SAMPLE = ["run_hash", "item_kind", "items"]
PLACE = ["lang_a", "lang_b", "layer", "position", "center", "standardize", "distractors"]
CELL = ["init", "step", *PLACE]
_ITEM = ["par_i", "within_i_a", "within_i_b", "cross_i", "auc_i", "ret_i"]
_MEANS = ["par", "within", "cross", "u_diff", "u_norm", "u_pair", "c", "auc", "ret1", "cka",
          "cka_debiased", "u_proc", "u_null"]  # fmt: skip


def unification(
    sims: pl.DataFrame, grid: pl.DataFrame, *, draws: int = DRAWS, seed: int = 0
) -> pl.DataFrame:
    """Scores of every pair and their mean over pairs, with bootstrap intervals over entities.

    Trivial items take no part; a cell in which all are trivial is given and flagged.

    Args:
        sims: table SIMS, of any number of runs; rows of init > 0 are fresh initialisations.
        grid: table GRID of the same.
        draws: bootstrap draws; 0 for no intervals.
        seed: seed of the draws.

    Returns:
        Table UNIFICATION.
    """
    parts = []
    for key, own in sims.group_by(SAMPLE, maintain_order=True):
        sample = dict(zip(SAMPLE, key, strict=True))
        beside = grid.filter(**sample)
        parts.append(_sample(own, beside, draws, seed).with_columns(
            **{name: pl.lit(value) for name, value in sample.items()}
        ))  # fmt: skip
    if not parts:
        return UNIFICATION.empty()
    return UNIFICATION.validate(pl.concat(parts, how="diagonal_relaxed"))


def _sample(sims: pl.DataFrame, grid: pl.DataFrame, draws: int, seed: int) -> pl.DataFrame:
    """Rows of one sample of items of one run."""
    cells, values, entities = _dense(sims)
    frame = _scores(cells, values, grid)
    if draws and len(entities):
        weights_DN = cluster_weights(entities, draws=draws, seed=seed)
        frame, drawn = _with_intervals(frame, values, weights_DN)
    else:
        drawn = None
    whole = pl.concat([frame, _over_pairs(frame, drawn)], how="diagonal_relaxed")
    return _with_baselines(whole)


def _dense(sims: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Array], list[str]]:
    """Cells in order of appearance, matrices (items, cells), and the entity of each item."""
    cells = sims.select(CELL).unique(maintain_order=True).with_row_index("cell")
    items = sims.select("item", "entity").unique(maintain_order=True).with_row_index("row")
    joined = sims.join(cells, on=CELL).join(items.drop("entity"), on="item")
    row, cell = joined["row"].to_numpy(), joined["cell"].to_numpy()
    shape = (items.height, cells.height)
    values = {}
    for name in _ITEM:
        matrix = np.full(shape, np.nan)
        matrix[row, cell] = joined[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        values[name] = matrix
    trivial = np.zeros(shape, dtype=bool)
    trivial[row, cell] = joined["trivial"].to_numpy()
    here = np.zeros(shape, dtype=bool)
    here[row, cell] = True
    # A cell of nothing but trivial items is kept to be shown; elsewhere such items are left out.
    all_trivial = (trivial | ~here).all(axis=0)
    absent = ~here | (trivial & ~all_trivial)
    absent |= np.isnan(np.stack(list(values.values()))).any(axis=0)
    for matrix in values.values():
        matrix[absent] = np.nan
    return (
        cells.with_columns(trivial=pl.Series(all_trivial)),
        values,
        items["entity"].to_list(),
    )


def _scores(cells: pl.DataFrame, values: dict[str, Array], grid: pl.DataFrame) -> pl.DataFrame:
    present = ~np.isnan(values["par_i"])
    n = present.sum(axis=0)
    means = {
        name: np.where(
            n > 0, np.where(present, matrix, 0).sum(axis=0) / np.maximum(n, 1), np.nan
        )
        for name, matrix in values.items()
    }  # fmt: skip
    par, cross = means["par_i"], means["cross_i"]
    within = (means["within_i_a"] + means["within_i_b"]) / 2
    reasons = [
        reason_for(float(p), float(w), int(k)) for p, w, k in zip(par, within, n, strict=True)
    ]
    enough = n >= 8
    columns: dict[str, Array] = {
        "par": par, "within": within, "cross": cross, "u_diff": par - within,
        "u_norm": normalised(par, within), "u_pair": par - cross, "c": within - cross,
        "auc": means["auc_i"], "ret1": means["ret_i"],
    }  # fmt: skip
    frame = cells.with_columns(
        n=pl.Series(n, dtype=pl.Int64),
        reason=pl.Series(reasons, dtype=pl.String),
        pair=pl.concat_str("lang_a", "lang_b", separator="-"),
        **{
            name: pl.Series(np.where(enough, numbers, np.nan), nan_to_null=True)
            for name, numbers in columns.items()
        },
    )
    beside = grid.select(
        *CELL, "cka", "cka_debiased", "u_proc", pl.col("null_u_norm").alias("u_null")
    )
    return frame.join(beside, on=CELL, how="left", maintain_order="left")


def _with_intervals(
    frame: pl.DataFrame, values: dict[str, Array], weights_DN: Array
) -> tuple[pl.DataFrame, tuple[Array, Array]]:
    within_NC = (values["within_i_a"] + values["within_i_b"]) / 2
    drawn = score_draws(values["par_i"], within_NC, weights_DN)
    known = frame["u_norm"].is_not_null().to_numpy(), frame["u_diff"].is_not_null().to_numpy()
    return frame.with_columns(**_ends(drawn, known)), drawn


def _ends(drawn: tuple[Array, Array], known: tuple[Array, Array]) -> dict[str, pl.Series]:
    out = {}
    for draws_DC, there, names in zip(
        drawn, known, (("lo", "hi"), ("diff_lo", "diff_hi")), strict=True
    ):
        for name, end in zip(names, interval(draws_DC), strict=True):
            out[name] = pl.Series(np.where(there, end, np.nan), nan_to_null=True)
    return out


def _over_pairs(frame: pl.DataFrame, drawn: tuple[Array, Array] | None) -> pl.DataFrame:
    """Mean over pairs that are not trivial; the draws of entities are the same for all pairs."""
    key = [name for name in CELL if name not in ("lang_a", "lang_b")]
    rows: list[dict[str, Any]] = []
    for values, own in frame.group_by(key, maintain_order=True):
        used = own.filter(~pl.col("trivial"))
        used = own if used.is_empty() else used
        known = used.filter(pl.col("u_norm").is_not_null())
        row: dict[str, Any] = dict(zip(key, values, strict=True))
        row |= {"pair": "all", "n": used["n"].max(), "trivial": bool(own["trivial"].all())}
        row |= {name: used[name].mean() for name in _MEANS}
        row["reason"] = used["reason"][0] if known.is_empty() else None
        if drawn is not None and known.height:
            cells = known["cell"].to_numpy()
            means = tuple(part[:, cells].mean(axis=1)[:, None] for part in drawn)
            one = np.ones(1, dtype=bool)
            ends = _ends((means[0], means[1]), (one, one))
            row |= {name: series[0] for name, series in ends.items()}
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _with_baselines(frame: pl.DataFrame) -> pl.DataFrame:
    """The step-0 value and the mean of fresh initialisations beside each score."""
    place = ["pair", *(name for name in PLACE if name not in ("lang_a", "lang_b"))]
    own = frame.filter(init=0)
    start = own.filter(step=0).select(*place, u_step0="u_norm")
    fresh = frame.filter(pl.col("init") > 0).group_by(place).agg(u_fresh=pl.col("u_norm").mean())
    joined = own.join(start, on=place, how="left", maintain_order="left").join(
        fresh, on=place, how="left", maintain_order="left"
    )
    joined = joined.with_columns(u_excess=pl.col("u_norm") - pl.col("u_step0"))
    wanted = [name for name in UNIFICATION.schema if name in joined.columns]
    return joined.select(wanted)
