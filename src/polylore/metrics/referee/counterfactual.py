"""What the pivot's documents caused: the same training without them, fact group by fact group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.metrics.ranking import weighted_auc
from polylore.metrics.referee.clusters import Clusters, ends, share, total
from polylore.metrics.referee.rates import ALL
from polylore.metrics.referee.truth import LABELS, UNKNOWN
from polylore.tables.referee import COUNTERFACTUAL

BOTH_ARMS = "both"
DOSES = ((0, 0), (1, 3), (4, 15), (16, 63), (64, 255), (256, None))
"""Ranges of doses, each end included."""
_CELL = ["seed", "ckpt_id", "fact_id", "lang", "matcher"]


def comparison(
    truths: pl.DataFrame, removed: pl.DataFrame, design: pl.DataFrame, pivot: str
) -> pl.DataFrame:
    """Cells of facts that the pivot tells, with their answers with and without the documents.

    Args:
        truths: table TRUTH of the full runs, with the column seed.
        removed: seed, arm (A or B), ckpt_id, fact_id, lang, matcher, y: answers of the runs in
            which the pivot's documents about the arm's group were replaced.
        design: table DESIGN of the full corpus.
        pivot: the pivot; its own cells are left out, since their documents are gone.

    Returns:
        Columns of `removed` without y, and relation, y_full, y_removed, treated (the fact is in the
        arm's group), condition, surface, dose and pivot_dose. Cells without an answer in one of the
        runs are left out.
    """
    told = design.filter((pl.col("lang") == pivot) & (pl.col("dose") > 0))
    told = told.select("fact_id", pivot_dose="dose")
    columns = [*_CELL, "relation", "condition", "surface", "dose", "group"]
    full = truths.filter(pl.col("lang") != pivot).select(*columns, y_full="y")
    both = full.join(told, on="fact_id", how="inner", maintain_order="left").join(
        removed.select(*_CELL, "arm", y_removed="y"), on=_CELL, how="inner", maintain_order="left"
    )
    return both.drop_nulls(["y_full", "y_removed"]).with_columns(
        treated=pl.col("group") == pl.col("arm")
    )


def counterfactual(
    compared: pl.DataFrame, cells: pl.DataFrame, checkpoints: pl.DataFrame, clusters: Clusters
) -> pl.DataFrame:
    """Losses by label, effects by dose and surface (specification of `trace`, section 4.8).

    A cell is lost if it is right in the full run and wrong in the other. Causal precision of a
    label: clip((L1 - L0)/(1 - L0), 0, 1), with L1 and L0 the shares lost among treated and
    untouched cells that carry it. Causal recall: (lost with the label - L0 of the label times its
    treated cells)/(lost in all - L0 of all times all treated cells), among treated cells; null if
    the denominator is not positive. Effect: mean(y_full - y_removed) of treated minus that of
    untouched cells. AUC: evidence for transfer against lost, among right cells.

    Args:
        compared: frame of `comparison`.
        cells: frame of `scores.judged`: labels and evidence in the full runs.
        checkpoints: table CHECKPOINTS.
        clusters: weights of facts and runs.

    Returns:
        Table COUNTERFACTUAL.
    """
    methods = ["method", "info_level"]
    rows: list[dict[str, Any]] = []
    for named, own, weights in _slices(compared, clusters):
        for stratum, there in _strata(own):
            empty = {"method": None, "info_level": None, "label": ALL, "stratum": stratum}
            rows.append(named | empty | _Losses(there, weights).row())
        here = cells.filter(pl.col("ckpt_id") == named["ckpt_id"])
        labelled = own.join(
            here.select(*_CELL, *methods, "label", "e_transfer"), on=_CELL, how="inner"
        )
        for key, group in labelled.group_by(methods, maintain_order=True):
            losses = _Losses(group, weights.at_level(str(key[1])))
            what = named | dict(zip(methods, key, strict=True)) | {"stratum": ALL}
            rows.append(what | {"label": ALL} | losses.row())
            for label in LABELS:
                if label != UNKNOWN:
                    rows.append(what | {"label": label} | losses.row(label))
    schema = {k: v for k, v in COUNTERFACTUAL.schema.items() if k not in ("step", "tokens")}
    frame = pl.DataFrame(rows, schema=schema, strict=False)
    axis = checkpoints.select("ckpt_id", "step", "tokens")
    return COUNTERFACTUAL.validate(
        frame.join(axis, on="ckpt_id", how="left", maintain_order="left")
    )


def _slices(
    compared: pl.DataFrame, clusters: Clusters
) -> Iterator[tuple[dict[str, Any], pl.DataFrame, Clusters]]:
    """Every arm and both, every run and all, every language and all."""
    runs: list[int | None] = list(clusters.seeds)
    runs += [None] if len(runs) > 1 else []
    for (ckpt, matcher), whole in compared.group_by("ckpt_id", "matcher", maintain_order=True):
        for seed in runs:
            weights = clusters if seed is None else clusters.alone(seed)
            run = whole if seed is None else whole.filter(seed=seed)
            for arm in (*sorted(run["arm"].unique()), BOTH_ARMS):
                own = run if arm == BOTH_ARMS else run.filter(arm=arm)
                for lang in (*own["lang"].unique(maintain_order=True), ALL):
                    named = {"arm": arm, "seed": seed, "ckpt_id": ckpt, "lang": lang}
                    there = own if lang == ALL else own.filter(lang=lang)
                    yield named | {"matcher": matcher}, there, weights


def _strata(own: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    yield ALL, own
    for column in ("dose", "pivot_dose"):
        for low, high in DOSES:
            inside = pl.col(column) >= low
            if high is not None:
                inside &= pl.col(column) <= high
            there = own.filter(inside)
            if there.height:
                yield f"{column}:{dose_words(low, high)}", there
    for column in ("surface", "condition"):
        for (value,), there in own.group_by(column, maintain_order=True):
            if value is not None:
                yield f"{column}:{value}", there


def dose_words(low: int, high: int | None) -> str:
    """A range of doses in words: 0, 1-3, 256 or more."""
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low}-{high}"


class _Losses:
    """The statistics of one group of cells."""

    def __init__(self, cells: pl.DataFrame, clusters: Clusters) -> None:
        self.weights = clusters.weights(cells)
        self.full = cells["y_full"].to_numpy().astype(bool)
        self.lost = self.full & ~cells["y_removed"].to_numpy().astype(bool)
        self.fall = self.full.astype(np.int64) - cells["y_removed"].to_numpy().astype(np.int64)
        self.treated = cells["treated"].to_numpy().astype(bool)
        labelled = "label" in cells.columns
        self.label = cells["label"].to_numpy() if labelled else None
        self.evidence = cells["e_transfer"].fill_null(0.0).to_numpy() if labelled else None

    def row(self, label: str | None = None) -> dict[str, Any]:
        """Columns of COUNTERFACTUAL for one label, or for all cells."""
        everyone = np.ones(len(self.full), dtype=bool)
        member = everyone if label is None or self.label is None else self.label == label
        right = self.full & member
        l1 = share(self.weights, self.lost, right & self.treated)
        l0 = share(self.weights, self.lost, right & ~self.treated)
        found: dict[str, Any] = {
            "n_cells": int((self.treated & member).sum()),
            "n": int((right & self.treated).sum()),
            "lost": int((self.lost & member & self.treated).sum()),
            "n_untouched": int((right & ~self.treated).sum()),
            "lost_untouched": int((self.lost & member & ~self.treated).sum()),
        }
        found |= ends("l1", l1) | ends("l0", l0)
        nothing = np.array([np.nan])
        causal = np.clip(divide(l1 - l0, 1 - l0), 0, 1) if label else nothing
        found |= ends("causal_precision", causal)
        found |= ends("causal_recall", self._recall(right, l0) if label else nothing)
        found |= ends("auc", nothing if label else self._auc(self.treated))
        found |= ends("auc_untouched", nothing if label else self._auc(~self.treated))
        falls = (
            [nothing, nothing] if label else [self._fall(self.treated), self._fall(~self.treated)]
        )
        found |= ends("effect", falls[0] - falls[1]) | ends("fall_untouched", falls[1])
        return found | {"reason": self._reason(found)}

    def _recall(self, right: Array, l0: Array) -> Array:
        """Share of the losses beyond those of untouched cells that carry the label."""
        treated = self.full & self.treated
        l0_all = share(self.weights, self.lost, self.full & ~self.treated)
        above = total(self.weights, self.lost & right & self.treated)
        above = above - l0 * total(self.weights, right & self.treated)
        whole = total(self.weights, self.lost & treated) - l0_all * total(self.weights, treated)
        return divide(above, np.where(whole > 0, whole, np.nan))

    def _auc(self, where: Array) -> Array:
        own = self.full & where
        if self.evidence is None:
            return np.array([np.nan])
        return weighted_auc(self.evidence[own], self.lost[own], self.weights[own])

    def _fall(self, own: Array) -> Array:
        """Fall of recall in some cells."""
        return divide(total(self.weights, self.fall * own), total(self.weights, own))

    @staticmethod
    def _reason(found: dict[str, Any]) -> str | None:
        if found["l1"] is None:
            return "no treated cell is right"
        return "no untouched cell is right" if found["l0"] is None else None
