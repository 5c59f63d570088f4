"""Predict right iff a fact was read at least t times (specification of `trace`, section 2.1)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from polylore.errors import ConfigError
from polylore.metrics.bootstrap import Draws, divide, interval
from polylore.metrics.index import FOLDS, Array, with_axis
from polylore.metrics.observations import observe
from polylore.metrics.ranking import Groups, auc
from polylore.tables.derived import THRESHOLD

RULES = ("paper", "cv", "youden")


@dataclass(frozen=True)
class _Counts:
    """Right and wrong weight at each distinct exposure: (G, D)."""

    right: Array
    wrong: Array

    @cached_property
    def correct(self) -> Array:
        """Weight classified correctly by each threshold, infinity last: (G + 1, D)."""
        out = np.empty((len(self.right) + 1, self.right.shape[1]), dtype=self.right.dtype)
        out[0] = self.right.sum(axis=0)
        np.cumsum(self.wrong - self.right, axis=0, out=out[1:])
        out[1:] += out[0]
        return out

    def best(self, *, infinite: bool) -> Array:
        """Place of the most accurate threshold, the lowest on ties: (D,).

        Only exposures that occur are thresholds; infinity (place G) is taken only if it is
        strictly better.
        """
        correct = self.correct.copy()
        correct[:-1][self.right + self.wrong == 0] = -1
        if not infinite:
            correct[-1] = -2
        return np.asarray(correct.argmax(axis=0))


def freq_threshold(
    grades: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    exposure: pl.DataFrame,
    *,
    rules: tuple[str, ...] = RULES,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Frequency-threshold classifier per checkpoint, language and rule.

    ``paper``: t among the exposures that occur, best accuracy in the sample, lowest on ties.
    ``cv``: the same with t = infinity (always wrong) as a candidate, fitted without each fold of
    facts in turn; its confusion counts, balanced accuracy and log loss are those of the left-out
    predictions, and `majority` answers with the commoner class of the other folds. ``youden``:
    largest TPR - FPR, lowest on ties. ``fixed:<n>``: t = n. Everything is O(n log n).

    Args:
        grades: table GRADES.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        exposure: frame of `exposure_at`.
        rules: rules in the order wanted.
        draws: bootstrap draws for the interval of `cv_acc` (rule cv) or `acc` (others), the
            threshold fitted again in every draw.

    Returns:
        Table THRESHOLD; a row that cannot be computed says why.

    Raises:
        ConfigError: unknown rule.
    """
    for rule in rules:
        _fixed(rule)
    data = observe(grades, facts, checkpoints, exposure, draws)
    known_FC = data.known_FC
    rows: list[dict[str, Any]] = []
    for c, key in enumerate(data.cells.iter_rows(named=True)):
        own = np.flatnonzero(known_FC[:, c])
        fit = None
        if own.size:
            weights = None if draws is None else draws.by_fact[own]
            e, y = data.e_FC[own, c], data.y_FC[own, c] == 1
            fit = Classifier(e, y, data.index.folds_F[own], weights)
        for rule in rules:
            row = {"rule": rule} | (fit.row(rule) if fit else _absent("no exposure known", 0))
            rows.append(key | row)
    if not rows:
        return THRESHOLD.empty()
    schema = {
        name: dtype for name, dtype in THRESHOLD.schema.items() if name not in ("step", "tokens")
    }
    return THRESHOLD.validate(with_axis(pl.DataFrame(rows, schema=schema), checkpoints))


def _absent(reason: str, n: int) -> dict[str, Any]:
    return {"n": n, "reason": reason}


def _fixed(rule: str) -> float | None:
    """The number of a fixed rule, or null.

    Raises:
        ConfigError: not a rule.
    """
    if rule in RULES:
        return None
    kind, _, number = rule.partition(":")
    if kind == "fixed":
        try:
            return float(number)
        except ValueError:
            pass
    raise ConfigError(f"'{rule}' is not a threshold rule; use {', '.join(RULES)} or fixed:<n>.")


class Classifier:
    """The threshold classifier on one set of exposures and answers.

    Args:
        exposure: (N,).
        right: bool (N,).
        folds: fold of each item, 0..4 (N,).
        weights_ND: bootstrap weights, or null.
    """

    def __init__(
        self, exposure: Array, right: Array, folds: Array, weights_ND: Array | None = None
    ) -> None:
        self.exposure = exposure
        self.right = right
        self.folds = folds
        self.weights_ND = weights_ND
        self.groups = Groups.of(exposure)
        self.ones = np.ones((len(exposure), 1))

    def _counts(self, weights_ND: Array) -> _Counts:
        everyone = self.groups.sums(weights_ND, np.ones(len(self.right), dtype=bool))
        right = self.groups.sums(weights_ND, self.right)
        # Weights are whole numbers, so the difference is exact.
        return _Counts(right, everyone - right)

    @cached_property
    def sampled(self) -> _Counts:
        """Counts in every draw; in the data if there are no draws."""
        return self._counts(self.ones if self.weights_ND is None else self.weights_ND)

    def _value(self, place: int) -> float:
        values = self.groups.values
        return float(values[place]) if place < len(values) else float("inf")

    def paper(self, *, infinite: bool = False) -> float:
        """In-sample best threshold, lowest on ties."""
        return self._value(int(self._counts(self.ones).best(infinite=infinite)[0]))

    def youden(self) -> float:
        """Threshold with the largest TPR - FPR, lowest on ties; NaN with one class."""
        counts = self._counts(self.ones)
        place = self._youden(counts)[0]
        return self._value(int(place)) if 0 < self.right.sum() < len(self.right) else float("nan")

    @staticmethod
    def _youden(counts: _Counts) -> Array:
        """Place of the largest right/all right - wrong/all wrong at or above it: (D,)."""
        right, wrong = counts.right.sum(axis=0), counts.wrong.sum(axis=0)
        # Times both totals, to stay with whole numbers: equal gains must compare equal.
        step = counts.right.astype(np.float64) * wrong - counts.wrong.astype(np.float64) * right
        gain = -np.cumsum(step, axis=0) + step
        gain[counts.right + counts.wrong == 0] = -np.inf
        return np.asarray(gain.argmax(axis=0))

    def cross_validated(self) -> tuple[list[float], Array]:
        """Threshold of each fold, and the left-out prediction of every item."""
        thresholds, predicted = [], np.zeros(len(self.right), dtype=bool)
        for fold in range(FOLDS):
            test = self.folds == fold
            if not test.any():
                continue
            t = self._value(int(self._counts(self.ones * ~test[:, None]).best(infinite=True)[0]))
            thresholds.append(t)
            predicted[test] = self.exposure[test] >= t
        return thresholds, predicted

    def majority_cross_validated(self) -> float:
        """Accuracy of the commoner class of the other folds (wrong on ties)."""
        hits = 0
        for fold in range(FOLDS):
            test = self.folds == fold
            others = self.right[~test]
            hits += int((self.right[test] == (2 * others.sum() > len(others))).sum())
        return hits / len(self.right)

    def row(self, rule: str) -> dict[str, Any]:
        """Statistics of one rule, by column of THRESHOLD."""
        n, positive = len(self.right), int(self.right.sum())
        if positive in (0, n):
            return _absent("only one class of answers", n)
        if rule == "cv" and len(np.unique(self.folds)) < 2:
            return _absent("too few facts for folds", n)
        out: dict[str, Any] = {"n": n, "auc": auc(self.exposure, self.right), "reason": None}
        fixed = _fixed(rule)
        if fixed is not None:
            t = fixed
        elif rule == "youden":
            t = self.youden()
        else:
            t = self.paper(infinite=rule == "cv")
        predicted = self.exposure >= t
        out |= {"t": t, "acc": float((predicted == self.right).mean())}
        out["majority"] = max(positive, n - positive) / n
        if rule == "cv":
            out["fold_thresholds"], predicted = self.cross_validated()
            out["cv_acc"] = float((predicted == self.right).mean())
            out["majority"] = self.majority_cross_validated()
            out["log_loss"] = self._log_loss()
        out |= _confusion(predicted, self.right)
        if self.weights_ND is not None:
            lo, hi = interval(self._sampled_accuracy(rule, t)[:, None])
            out |= {"lo": float(lo[0]), "hi": float(hi[0])}
        return out

    def _log_loss(self) -> float:
        """Mean -log of the probability given to what happened, from the other folds.

        The probability of right on each side of t is (right + 1/2)/(n + 1) there.
        """
        loss = 0.0
        for fold in range(FOLDS):
            test = self.folds == fold
            if not test.any():
                continue
            t = self._value(int(self._counts(self.ones * ~test[:, None]).best(infinite=True)[0]))
            for side in (self.exposure >= t, self.exposure < t):
                others = self.right[side & ~test]
                p = (others.sum() + 0.5) / (len(others) + 1)
                tested = self.right[side & test]
                loss -= float(tested.sum() * np.log(p) + (~tested).sum() * np.log(1 - p))
        return loss / len(self.right)

    def _sampled_accuracy(self, rule: str, t: float) -> Array:
        """Accuracy of a rule in every draw, its threshold fitted again there: (D,)."""
        weights = self.weights_ND if self.weights_ND is not None else self.ones
        total_D = weights.sum(axis=0)
        draw_D = np.arange(weights.shape[1])
        whole = self.sampled
        if rule != "cv":
            if rule == "paper":
                place = whole.best(infinite=False)
            elif rule == "youden":
                place = self._youden(whole)
            else:
                at = int(np.searchsorted(self.groups.values, t, side="left"))
                place = np.full(len(draw_D), at)
            return divide(whole.correct[place, draw_D], total_D)
        hits = np.zeros(len(draw_D))
        for fold in range(FOLDS):
            inside = self.folds == fold
            own = _Counts(
                self.groups.sums(weights, self.right & inside),
                self.groups.sums(weights, ~self.right & inside),
            )
            train = _Counts(whole.right - own.right, whole.wrong - own.wrong)
            hits += own.correct[train.best(infinite=True), draw_D]
        return divide(hits, total_D)


def _confusion(predicted: Array, right: Array) -> dict[str, Any]:
    tp, fp = int((predicted & right).sum()), int((predicted & ~right).sum())
    fn, tn = int((~predicted & right).sum()), int((~predicted & ~right).sum())
    recalls = [divide(np.array(a), np.array(a + b)) for a, b in ((tp, fn), (tn, fp))]
    return {
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
        "balanced_accuracy": float((recalls[0] + recalls[1]) / 2),
    }
