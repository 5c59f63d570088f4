"""Labels and rates against what was really read (specification of `trace`, section 4.8)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import Array, FactIndex, with_axis
from polylore.metrics.pathways.labels import COPIED, FREQUENCY, GUESS, TRANSFER, UNKNOWN
from polylore.metrics.ranking import weighted_auc
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.referee import CONFUSION, TRUTH, TRUTH_SCORES

SHARES = {FREQUENCY: "e_freq", COPIED: "e_copy", TRANSFER: "e_transfer", GUESS: "e_guess"}
"""Column of CELLS that says how likely each label is."""

_CELL = ["ckpt_id", "fact_id", "lang", "matcher"]


def truth_labels(cells: pl.DataFrame, exposure: pl.DataFrame) -> pl.DataFrame:
    """How each answer got there, judged by what was read and by nothing else.

    Wrong: unknown. Right and read in the language: known-by-frequency (at a small dose transfer may
    have helped all the same). Right, never read there but in another language: transfer-candidate,
    or copied-string where a string is shared or the question holds the answer. Right and read
    nowhere: guess.

    Args:
        cells: table CELLS, of which only y and the strings shared are used.
        exposure: frame of `exposure_at`: exact, in documents of the language, up to the checkpoint.

    Returns:
        Table TRUTH; cells without an answer or an exposure are left out.
    """
    here = exposure.select("ckpt_id", "fact_id", "lang", _own="exposure")
    most = exposure.group_by("ckpt_id", "fact_id").agg(_most=pl.col("exposure").max())
    joined = (
        cells.drop_nulls("y")
        .join(here, on=["ckpt_id", "fact_id", "lang"], how="inner", maintain_order="left")
        .join(most, on=["ckpt_id", "fact_id"], how="left", maintain_order="left")
        .drop_nulls("_own")
    )
    elsewhere = pl.when("shared").then(pl.lit(COPIED)).otherwise(pl.lit(TRANSFER))
    truth = (
        pl.when(~pl.col("y"))
        .then(pl.lit(UNKNOWN))
        .when(pl.col("_own") >= 1)
        .then(pl.lit(FREQUENCY))
        .when(pl.col("_most") >= 1)
        .then(elsewhere)
        .otherwise(pl.lit(GUESS))
    )
    columns = ["step", "tokens", *_CELL, "relation"]
    return TRUTH.validate(joined.select(*columns, truth=truth))


def score_against_truth(
    cells: pl.DataFrame,
    truth: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    pivot: str,
    run: str = "",
    info_level: str = "",
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Precision, recall and AUC of every label, beside the published classifier's.

    The published method calls a right answer transferred if it lies below the threshold on
    exposure (its FN); its score for the AUC is minus the exposure. A label without a cell in truth
    or without one that was given it has null, not 0.

    Args:
        cells: table CELLS as the ordinary pipeline made it; cells of the pivot are left out.
        truth: table TRUTH; cells that it lacks are left out.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language.
        run: name of the run.
        info_level: what the labels knew of the exposures.
        draws: bootstrap draws; without them no intervals.

    Returns:
        Table TRUTH_SCORES: per language, for all but the pivot pooled (``all``), and the mean over
        languages (``macro``).
    """
    index = index_of(truth, draws)
    resamples = Resamples.of(index, draws)
    judged = cells.filter(pl.col("lang") != pivot).join(
        truth.select(*_CELL, "truth"), on=_CELL, how="inner", maintain_order="left"
    )
    rows: list[dict[str, Any]] = []
    for (ckpt, matcher), group in judged.group_by("ckpt_id", "matcher", maintain_order=True):
        key = {"run": run, "info_level": info_level, "ckpt_id": ckpt, "matcher": matcher}
        langs = group["lang"].unique(maintain_order=True).to_list()
        single = [
            {"lang": lang} | row
            for lang in langs
            for row in _scored(group.filter(lang=lang), index, resamples)
        ]
        pooled = [{"lang": "all"} | row for row in _scored(group, index, resamples)]
        rows += [key | row for row in (*single, *pooled, *_macro(single))]
    if not rows:
        return TRUTH_SCORES.empty()
    frame = TRUTH_SCORES.build(rows).drop("step", "tokens")
    return TRUTH_SCORES.validate(with_axis(frame, checkpoints))


def confusion(cells: pl.DataFrame, truth: pl.DataFrame, *, pivot: str) -> pl.DataFrame:
    """Table CONFUSION: how often each label was given to each truth outside the pivot."""
    judged = cells.filter(pl.col("lang") != pivot).join(
        truth.select(*_CELL, "truth"), on=_CELL, how="inner"
    )
    keys = ["ckpt_id", "step", "tokens", "matcher", "truth", "label"]
    counted = judged.group_by(keys).agg(pl.len().cast(pl.Int64()).alias("n"))
    return CONFUSION.validate(counted.sort("step", "matcher", "truth", "label", nulls_last=True))


def _scored(
    cells: pl.DataFrame, index: FactIndex, resamples: Resamples
) -> Iterator[dict[str, Any]]:
    place = {fact: row for row, fact in enumerate(index.fact_ids)}
    fact_N = np.array([place[f] for f in cells["fact_id"].to_list()], dtype=np.int64)
    weights_ND = resamples.weights_FD[fact_N]
    right_N = cells["y"].to_numpy()
    for label in (*SHARES, UNKNOWN):
        truth_N = (cells["truth"] == label).to_numpy()
        given_N = (cells["label"] == label).to_numpy()
        if label == UNKNOWN:
            # Right answers that nothing explains are no claim to be wrong.
            given_N = given_N & ~right_N
        share = None
        if label in SHARES:
            share = cells[SHARES[label]].cast(pl.Float64()).to_numpy()
        row = {"method": "pathways", "label": label}
        yield row | _score(truth_N, given_N, share, right_N, weights_ND)
    fn = (cells["paper_class"] == "FN").fill_null(False).to_numpy()
    rarely = -cells["E_l"].cast(pl.Float64()).to_numpy()
    row = {"method": "paper", "label": TRANSFER}
    truth_N = (cells["truth"] == TRANSFER).to_numpy()
    scores = _score(truth_N, fn, rarely, right_N, weights_ND)
    yield row | scores | {"brier": None}


def _score(
    truth_N: Array, given_N: Array, share_N: Array | None, right_N: Array, weights_ND: Array
) -> dict[str, Any]:
    both_N = truth_N & given_N
    n_truth, n_label, tp = int(truth_N.sum()), int(given_N.sum()), int(both_N.sum())
    hits_D = both_N @ weights_ND
    row: dict[str, Any] = {"n_truth": n_truth, "n_label": n_label, "tp": tp}
    row |= _with_ends("precision", divide(hits_D, given_N @ weights_ND))
    row |= _with_ends("recall", divide(hits_D, truth_N @ weights_ND))
    if n_truth and n_label:
        row["f1"] = 2 * tp / (n_truth + n_label)
    if share_N is None or not n_truth:
        return row
    known = ~np.isnan(share_N)
    among = known & right_N
    if truth_N[among].any() and not truth_N[among].all():
        aucs_D = weighted_auc(share_N[among], truth_N[among], weights_ND[among])
        row |= _with_ends("auc", aucs_D)
        row["average_precision"] = _average_precision(share_N[among], truth_N[among])
        row["brier"] = float(((share_N[among] - truth_N[among]) ** 2).mean())
        # A wrong answer came by no way at all: its share is 0, below every other.
        everywhere = np.where(right_N, share_N, min(0.0, float(share_N[among].min()) - 1))
        counted = known | ~right_N
        every = weighted_auc(everywhere[counted], truth_N[counted], np.ones((counted.sum(), 1)))
        row["auc_all_cells"] = _number(every[0])
    return row


def _average_precision(score_N: Array, truth_N: Array) -> float:
    """Sum over distinct scores of precision times the recall gained there."""
    order = np.argsort(-score_N, kind="stable")
    ends_N = np.flatnonzero(np.append(np.diff(score_N[order]) != 0, True))
    hits = np.cumsum(truth_N[order])[ends_N]
    gained = np.diff(hits, prepend=0) / truth_N.sum()
    return float((gained * hits / (ends_N + 1)).sum())


def _with_ends(name: str, values_D: Array) -> dict[str, float | None]:
    value, lo, hi = (_number(v[0]) for v in ends(values_D[None]))
    return {name: value, f"{name}_lo": lo, f"{name}_hi": hi}


def _macro(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over languages of the scores that are defined; counts are sums."""
    made = []
    for method, label in dict.fromkeys((r["method"], r["label"]) for r in rows):
        own = [r for r in rows if (r["method"], r["label"]) == (method, label)]
        row: dict[str, Any] = {"lang": "macro", "method": method, "label": label}
        for name in ("n_truth", "n_label", "tp"):
            row[name] = sum(r[name] for r in own)
        for name in ("precision", "recall", "f1", "auc", "auc_all_cells", "average_precision"):
            known = [r[name] for r in own if r.get(name) is not None]
            row[name] = float(np.mean(known)) if known else None
        made.append(row)
    return made


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
