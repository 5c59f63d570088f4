"""Precision, recall, AUC and calibration of labels against the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.ranking import Groups, weighted_auc
from polylore.metrics.referee.clusters import Clusters, ends, share, total
from polylore.metrics.referee.rates import ALL
from polylore.metrics.referee.truth import COPIED, FREQUENCY, GUESS, LABELS, TRANSFER
from polylore.tables.referee import RELIABILITY, TRUTH_CONFUSION, TRUTH_SCORES

EVIDENCE_OF = {
    FREQUENCY: "e_freq",
    TRANSFER: "e_transfer",
    COPIED: "e_copy",
    GUESS: "e_guess",
}
"""Column of the evidence for each label; wrong answers need none."""
MACRO = "macro"
BINS = 10
_GROUP = ["ckpt_id", "matcher", "method", "info_level"]
_STATISTICS = ("precision", "recall", "f1", "auc", "average_precision", "brier")


@dataclass(frozen=True)
class Scores:
    """What judging makes."""

    scores: pl.DataFrame
    """Table TRUTH_SCORES."""
    confusion: pl.DataFrame
    """Table TRUTH_CONFUSION."""
    reliability: pl.DataFrame
    """Table RELIABILITY."""


def judged(truths: pl.DataFrame, cells: pl.DataFrame, pivot: str) -> pl.DataFrame:
    """Cells of languages other than the pivot that have both a truth and a label.

    Args:
        truths: table TRUTH with the column seed.
        cells: seed, ckpt_id, fact_id, lang, matcher, method, info_level, label and the evidence
            columns e_freq, e_transfer, e_copy, e_guess.
        pivot: the pivot, in which nothing can be transferred.
    """
    keys = ["seed", "ckpt_id", "fact_id", "lang", "matcher"]
    known = truths.select(*keys, "relation", "y", "truth").drop_nulls("truth")
    return (
        cells.filter(pl.col("label").is_in(LABELS))
        .drop("relation", "y", "truth", strict=False)
        .join(known, on=keys, how="inner", maintain_order="left")
        .filter(pl.col("lang") != pivot)
    )


def score(cells: pl.DataFrame, checkpoints: pl.DataFrame, clusters: Clusters) -> Scores:
    """Judge labels (specification of `trace`, section 4.8, `truth_scores`).

    AUC, average precision and Brier score compare the evidence for a label with "this is the truth"
    among right cells. A label that no cell carries or that is nowhere the truth gets null. Each
    language is judged alone, all cells together (`all`), and as the mean over languages (`macro`);
    each training run alone and, if there are several, all together. The published classifier's
    evidence is no probability, so it has no Brier score.

    Args:
        cells: frame of `judged`.
        checkpoints: table CHECKPOINTS.
        clusters: weights of facts and runs.
    """
    rows: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    runs: list[int | None] = list(clusters.seeds)
    runs += [None] if len(runs) > 1 else []
    for seed in runs:
        own = cells if seed is None else cells.filter(seed=seed)
        weights = clusters if seed is None else clusters.alone(seed)
        for key, group in own.group_by(_GROUP, maintain_order=True):
            named = {"seed": seed} | dict(zip(_GROUP, key, strict=True))
            made, vectors = [], []
            langs = group["lang"].unique(maintain_order=True).to_list()
            for lang in [*langs, ALL]:
                there = group if lang == ALL else group.filter(lang=lang)
                own_weights = weights.at_level(str(named["info_level"]))
                judge = _Judge(there, own_weights, calibrated=named["method"] == "pathways")
                counts += [named | {"lang": lang} | row for row in _confusion(there)]
                if named["method"] == "pathways":
                    bins += [named | {"lang": lang} | row for row in judge.bins()]
                for label in LABELS:
                    statistics = judge.statistics(label)
                    row = named | {"lang": lang, "label": label} | judge.counts(label)
                    made.append(row | _ends(statistics) | {"reason": judge.reason(label)})
                    if lang != ALL:
                        vectors.append((label, statistics))
            rows += made + [named | {"lang": MACRO} | row for row in _macro(vectors, made)]
    left_out = ("step", "tokens")
    schema = {k: v for k, v in TRUTH_SCORES.schema.items() if k not in left_out}
    frame = pl.DataFrame(rows, schema=schema, strict=False)
    axis = checkpoints.select("ckpt_id", "step", "tokens")
    frame = frame.join(axis, on="ckpt_id", how="left", maintain_order="left")
    confusion = pl.DataFrame(counts, schema=dict(TRUTH_CONFUSION.schema), strict=False)
    kept = [{k: v for k, v in row.items() if k != "method"} for row in bins]
    return Scores(
        TRUTH_SCORES.validate(frame),
        TRUTH_CONFUSION.validate(confusion),
        RELIABILITY.validate(pl.DataFrame(kept, schema=dict(RELIABILITY.schema), strict=False)),
    )


class _Judge:
    """The statistics of one group of cells."""

    def __init__(self, cells: pl.DataFrame, clusters: Clusters, *, calibrated: bool) -> None:
        self.weights = clusters.weights(cells)
        self.calibrated = calibrated
        self.truth, self.label = cells["truth"].to_numpy(), cells["label"].to_numpy()
        self.right = cells["y"].to_numpy().astype(bool)
        self.evidence = {
            label: cells[column].fill_null(0.0).fill_nan(0.0).to_numpy()
            for label, column in EVIDENCE_OF.items()
        }

    def counts(self, label: str) -> dict[str, int]:
        is_, named = self.truth == label, self.label == label
        return {
            "n": len(is_),
            "n_right": int(self.right.sum()),
            "n_truth": int(is_.sum()),
            "n_label": int(named.sum()),
            "tp": int((is_ & named).sum()),
        }

    def reason(self, label: str) -> str | None:
        if not (self.truth == label).any():
            return "nowhere the truth"
        return None if (self.label == label).any() else "no cell has this label"

    def statistics(self, label: str) -> dict[str, Array]:
        """Each statistic in the data and in every draw: (1 + draws,)."""
        is_, named = self.truth == label, self.label == label
        found = {name: np.full(self.weights.shape[1], np.nan) for name in _STATISTICS}
        found["auc_all_cells"] = found["auc"][:1]
        if is_.any() and named.any():
            found["precision"] = share(self.weights, is_, named)
            found["recall"] = share(self.weights, named, is_)
            found["f1"] = divide(
                2 * total(self.weights, is_ & named),
                total(self.weights, is_) + total(self.weights, named),
            )
        if label in self.evidence and is_.any():
            e, right = self.evidence[label], self.right
            inside = self.weights[right]
            found["auc"] = weighted_auc(e[right], is_[right], inside)
            everywhere = np.where(right, e, 0.0)
            found["auc_all_cells"] = weighted_auc(everywhere, is_, self.weights[:, :1])
            found["average_precision"] = average_precision(e[right], is_[right], inside)
            if self.calibrated:
                gap = (np.clip(e[right], 0, 1) - is_[right]) ** 2
                found["brier"] = divide(total(inside, gap), inside.sum(axis=0, dtype=np.float64))
        return found

    def bins(self) -> list[dict[str, Any]]:
        """Reliability of the evidence for transfer."""
        e = np.clip(self.evidence[TRANSFER], 0, 1)
        number = np.minimum((e * BINS).astype(np.int64), BINS - 1)
        rows = []
        for n in range(BINS):
            here = self.right & (number == n)
            if here.any():
                values = ends("truth", share(self.weights, self.truth == TRANSFER, here))
                rows.append(
                    {
                        "bin": n,
                        "n": int(here.sum()),
                        "evidence": float(e[here].mean()),
                        "truth": values["truth"],
                        "lo": values["truth_lo"],
                        "hi": values["truth_hi"],
                    }
                )
        return rows


def average_precision(evidence: Array, positive: Array, weights_ND: Array) -> Array:
    """Precision at each distinct evidence from the top, weighted by the gain in recall there.

    Equal evidence is taken in at once.

    Returns:
        float64 (D,); NaN without positives.
    """
    if not len(evidence):
        return np.full(weights_ND.shape[1], np.nan)
    groups = Groups.of(-evidence)
    hits = groups.sums(weights_ND, positive.astype(bool)).astype(np.float64)
    misses = groups.sums(weights_ND, ~positive.astype(bool)).astype(np.float64)
    taken = np.cumsum(hits, axis=0)
    precision = np.nan_to_num(divide(taken, taken + np.cumsum(misses, axis=0)))
    return divide((hits * precision).sum(axis=0), hits.sum(axis=0))


def _ends(statistics: Mapping[str, Array]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in _STATISTICS:
        row |= ends(name, statistics[name])
    flattering = float(statistics["auc_all_cells"][0])
    return row | {"auc_all_cells": None if np.isnan(flattering) else flattering}


def _confusion(cells: pl.DataFrame) -> list[dict[str, Any]]:
    pairs = cells.group_by("truth", "label").agg(pl.len())
    counts = {(truth, label): n for truth, label, n in pairs.iter_rows()}
    return [
        {"truth": truth, "label": label, "n": counts.get((truth, label), 0)}
        for truth in LABELS
        for label in LABELS
    ]


def _macro(
    vectors: list[tuple[str, dict[str, Array]]], made: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Means over the languages that define a statistic, in every draw."""
    whole = {row["label"]: row for row in made if row["lang"] == ALL}
    rows = []
    for label in LABELS:
        own = [statistics for name, statistics in vectors if name == label]
        means = {
            name: _mean([one[name] for one in own]) for name in (*_STATISTICS, "auc_all_cells")
        }
        counts = ("n", "n_right", "n_truth", "n_label", "tp", "reason")
        rows.append({"label": label} | {name: whole[label][name] for name in counts} | _ends(means))
    return rows


def _mean(values: list[Array]) -> Array:
    """Mean over the languages in which the data define it."""
    defined = [value for value in values if not np.isnan(value[0])]
    if not defined:
        return values[0] * np.nan
    stack = np.stack(defined)
    present = ~np.isnan(stack)
    return divide(np.nansum(stack, axis=0), present.sum(axis=0))
