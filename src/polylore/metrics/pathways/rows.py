"""Rates, curves and compositions as rows of their tables."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.pathways.composition import Part
from polylore.metrics.pathways.curve import Curve, half_exposure
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.labels import COPIED, FREQUENCY, GUESS, MISSING, TRANSFER
from polylore.metrics.pathways.rate import Rate, Rates
from polylore.metrics.resamples import ends
from polylore.tables.contract import Table
from polylore.tables.pathways import COMPOSITION, NO_DONOR_CURVE, TRANSFER_RATE

Rows = list[dict[str, object]]


def rate_rows(evidence: Evidence, main: Rates, guarded: Rates) -> pl.DataFrame:
    other = {(r.lang, r.relation): r for r in guarded.rates}
    rows: Rows = []
    for rate in main.rates:
        second = other.get((rate.lang, rate.relation))
        t, lo, hi = _ends(rate)
        row: dict[str, object] = {
            "lang": rate.lang,
            "relation": rate.relation,
            "n": rate.n,
            "right": rate.right,
            "expected": _number(rate.expected),
            "t": t,
            "t_lo": lo,
            "t_hi": hi,
            "reason": rate.reason,
        }
        t2, lo2, hi2 = (None, None, None) if second is None else _ends(second)
        supported = None if lo is None else lo > 0
        row |= {"t_second": t2, "t_second_lo": lo2, "t_second_hi": hi2, "supported": supported}
        row["claimed"] = None if supported is None or lo2 is None else supported and lo2 > 0
        row["reason_second"] = "too few facts" if second is None else second.reason
        # Without counts nothing separates frequency from transfer.
        if evidence.kind == "none":
            row |= {"supported": None, "claimed": None}
        rows.append(row)
    return _frame(TRANSFER_RATE, rows)


def _ends(rate: Rate) -> tuple[float | None, float | None, float | None]:
    value, lo, hi = ends(rate.t_D[None])
    return _number(value[0]), _number(lo[0]), _number(hi[0])


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _frame(table: Table, rows: Rows) -> pl.DataFrame:
    """Rows of a table that lack its place in training and its matcher."""
    names = [n for n in table.schema if rows and n in rows[0]]
    return pl.DataFrame(rows, schema={n: table.schema[n] for n in names})


def curve_rows(evidence: Evidence, curve: Curve) -> pl.DataFrame:
    dense, effect = curve.coefficients.dense_PD, curve.coefficients.effect_RD
    names = evidence.index.relations if len(effect) else ("all",)
    shift = effect if len(effect) else np.zeros((1, dense.shape[1]))
    own: list[Array] = [np.asarray(dense[0] + s) for s in shift]
    slope, slope_lo, slope_hi = (_number(v[0]) for v in ends(dense[1:2]))
    rows: Rows = []
    for name, intercept_D in zip(names, own, strict=True):
        a, lo, hi = (_number(v[0]) for v in ends(intercept_D[None]))
        rows.append(
            {
                "form": "with_donor" if curve.with_donor else "main",
                "relation": name,
                "n": curve.n,
                "right": curve.right,
                "intercept": a,
                "intercept_lo": lo,
                "intercept_hi": hi,
                "slope": slope,
                "slope_lo": slope_lo,
                "slope_hi": slope_hi,
                "donor_slope": _number(dense[2, 0]) if curve.with_donor else None,
                "half_exposure": None
                if curve.with_donor
                else _number(half_exposure(intercept_D[:1], dense[1, :1])[0]),
                "slope_flag": bool(curve.flat_D[0]),
                "reason": curve.reason,
            }
        )
    return _frame(NO_DONOR_CURVE, rows)


LABEL_COUNTS = {
    "n_frequency": pl.col("label") == FREQUENCY,
    "n_copied": pl.col("label") == COPIED,
    "n_transfer": pl.col("label") == TRANSFER,
    "n_guess": pl.col("label") == GUESS,
    "n_unexplained": pl.col("why") == "unexplained",
    "n_wrong": pl.col("why") == "wrong",
    "n_missing": pl.col("label") == MISSING,
    "n_paper_fn": pl.col("paper_class") == "FN",
}


def composition_rows(parts: Sequence[Part], cells: pl.DataFrame, pivot: str) -> pl.DataFrame:
    """Rows of COMPOSITION: sums of shares, and how often each label was given.

    Args:
        parts: sums of the shares.
        cells: the cells of the same checkpoint, with label, why, paper_class and shared.
        pivot: left out of the rows over all languages.
    """
    rows: Rows = []
    for part in parts:
        # The ends are those of a count.
        total, lo, hi = (_number(max(v[0], 0.0)) for v in ends(part.transfer_D[None]))
        whole = part.attributed > 0 or part.right == 0
        rows.append(
            {
                "lang": part.lang,
                "relation": part.relation,
                "stratum": part.stratum,
                "n": part.n,
                "right": part.right,
                "attributed": part.attributed,
                "e_freq": part.frequency if whole else None,
                "e_transfer": total if whole else None,
                "e_transfer_lo": lo if whole else None,
                "e_transfer_hi": hi if whole else None,
                "e_floor": part.floor if whole else None,
            }
        )
    on = ["lang", "relation", "stratum"]
    frame = _frame(COMPOSITION, rows).join(_counts(cells, pivot), on=on, how="left")
    return frame.with_columns(pl.col(list(LABEL_COUNTS)).fill_null(0))


def _counts(cells: pl.DataFrame, pivot: str) -> pl.DataFrame:
    on = ["lang", "relation", "stratum"]
    flags = cells.select(
        "lang", "relation", "shared", *(c.alias(name) for name, c in LABEL_COUNTS.items())
    )
    strata = pl.concat(
        [
            flags.with_columns(stratum=pl.lit("all")),
            flags.filter(~pl.col("shared")).with_columns(stratum=pl.lit("apart")),
        ]
    )
    pooled = strata.filter(pl.col("lang") != pivot).with_columns(lang=pl.lit("all"))
    own = pl.concat([strata, pooled])
    every = pl.concat([own, own.with_columns(relation=pl.lit("all"))])
    return every.group_by(on).agg(pl.col(name).sum().cast(pl.Int64()) for name in LABEL_COUNTS)
