"""Which predictors tell right from wrong for facts never seen in fitting (`trace`, section 4.5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from polylore.metrics.bootstrap import Draws, divide, index_of
from polylore.metrics.index import FOLDS, Array, FactIndex, with_axis
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.ranking import auc
from polylore.metrics.resamples import Resamples, ends
from polylore.tables.pathways import LADDER

MODELS = (
    ("M0", "nothing: the commoner class"),
    ("M1", "log10(1 + exposure)"),
    ("M2", "language"),
    ("M3", "relation"),
    ("M4", "same object, answer in subject, guess strength"),
    ("M5", "donor's exposure, donor right"),
)
RIDGE = 1e-3
EVENTS = 10
"""Right and wrong cells that are needed at least."""
LEVELS = 2**13
"""Levels that scores are rounded to where draws are judged."""
MOST_DRAWS = 200
"""Draws used at most: every one fits five models on five folds."""


def classifier_ladder(
    cells: pl.DataFrame,
    facts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    *,
    pivot: str,
    by_language: bool = False,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Cross-validated logistic models, each with the predictors of the previous and some more.

    M0 the commoner class; M1 log10(1 + E_l); M2 and language; M3 and relation; M4 and same_object,
    answer_in_subject, guess strength; M5 and the donor's log10(1 + E), donor right. Five folds of
    facts, so all languages of a fact are left out together; penalty half of 1e-3 times the sum of
    squares, intercept free. Only a gain of M5 speaks for donors. In a draw each model is updated
    from its fit to the data by one step of Newton's method, which is as good as a new fit to first
    order, and judged on the draw.

    Args:
        cells: table CELLS; cells of the pivot, and those without answer or exposure, are left out.
        facts: table FACTS.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language.
        by_language: a ladder per language instead of one for all together.
        draws: bootstrap draws, of which at most 200 are used; without them no intervals.

    Returns:
        Table LADDER; a row that cannot be computed says why.
    """
    index = index_of(facts, draws)
    used = None if draws is None else Draws(draws.index, draws.weights_DF[:MOST_DRAWS])
    resamples = Resamples.of(index, used)
    counted = (pl.col("exposure_kind") == "none") | pl.col("E_l").is_not_null()
    usable = cells.filter((pl.col("lang") != pivot) & pl.col("y").is_not_null() & counted)
    keys = ["ckpt_id", "matcher", *(["lang"] if by_language else [])]
    rows: list[dict[str, Any]] = []
    for key, group in usable.group_by(keys, maintain_order=True):
        names = dict(zip(keys, key, strict=True))
        scope = {"lang": "all"} | names
        rows += [scope | row for row in _Ladder(group, index, resamples).rows()]
    if not rows:
        return LADDER.empty()
    frame = LADDER.build(rows).drop("step", "tokens")
    return LADDER.validate(with_axis(frame, checkpoints))


@dataclass(frozen=True)
class _Judged:
    """Left-out predictions of one model."""

    p_N: Array
    auc_D: Array
    """Estimate first, then draws."""


class _Ladder:
    """The models of one scope."""

    def __init__(self, cells: pl.DataFrame, index: FactIndex, resamples: Resamples) -> None:
        rows = dict(zip(index.fact_ids, range(index.n), strict=True))
        facts_N = np.array([rows[f] for f in cells["fact_id"].to_list()], dtype=np.int64)
        order = np.argsort(facts_N, kind="stable")
        # In the order of the cells, so that the level left out does not depend on the facts.
        self.langs = cells["lang"].unique(maintain_order=True).to_list()
        self.relations = cells["relation"].unique(maintain_order=True).to_list()
        self.cells = cells[order]
        self.fact_N = facts_N[order]
        self.resamples = resamples
        self.fold_N = index.folds_F[self.fact_N]
        self.y_N = self.cells["y"].to_numpy().astype(np.float64)

    def rows(self) -> list[dict[str, Any]]:
        """Statistics of every model."""
        n, right = len(self.y_N), int(self.y_N.sum())
        base = {"n": n, "right": right}
        reason = None
        if min(right, n - right) < EVENTS:
            reason = f"fewer than {EVENTS} {'right' if right <= n - right else 'wrong'} answers"
        elif len(np.unique(self.fold_N)) < FOLDS:
            reason = "too few facts for five folds"
        found: list[dict[str, Any]] = []
        before: _Judged | None = None
        designs = {} if reason else self._designs()
        for name, adds in MODELS:
            row: dict[str, Any] = base | {"model": name, "adds": adds, "reason": reason}
            judged = None
            if reason is None:
                judged = self._majority() if name == "M0" else self._judge(designs[name])
                row["reason"] = "the fit did not settle" if judged is None else None
            if judged is not None:
                row |= self._statistics(judged, before)
            before = judged
            found.append(row)
        return found

    def _designs(self) -> dict[str, Array]:
        """Predictors of each model, intercept first."""
        cells = self.cells
        blocks = {
            "M1": [_log(cells["E_l"])],
            "M2": _dummies(cells["lang"], self.langs),
            "M3": _dummies(cells["relation"], self.relations),
            "M4": [
                _filled(cells["same_object"]),
                _filled(cells["answer_in_subject"]),
                _filled(cells["g"]),
            ],
            "M5": [_log(cells["E_donor_max"]), _filled(cells["donor_known"])],
        }
        x = np.ones((len(self.y_N), 1))
        designs = {}
        for name, columns in blocks.items():
            x = np.column_stack([x, *columns])
            designs[name] = x
        return designs

    def _statistics(self, judged: _Judged, before: _Judged | None) -> dict[str, Any]:
        p_N, y_N = judged.p_N, self.y_N
        said = p_N >= 0.5
        recalls = [(said == y)[y_N == y].mean() for y in (True, False)]
        value, lo, hi = (_number(v[0]) for v in ends(judged.auc_D[None]))
        row: dict[str, Any] = {"auc": value, "auc_lo": lo, "auc_hi": hi}
        if before is not None:
            gain = (_number(v[0]) for v in ends((judged.auc_D - before.auc_D)[None]))
            row |= dict(zip(("delta_auc", "delta_auc_lo", "delta_auc_hi"), gain, strict=True))
        clipped = np.clip(p_N, 1e-15, 1 - 1e-15)
        loss = -(y_N * np.log(clipped) + (1 - y_N) * np.log(1 - clipped))
        return row | {
            "logloss": float(loss.mean()),
            "brier": float(((p_N - y_N) ** 2).mean()),
            "accuracy": float((said == (y_N == 1)).mean()),
            "majority": float(((self._majority().p_N >= 0.5) == (y_N == 1)).mean()),
            "balanced_accuracy": float(np.mean(recalls)),
        }

    def _majority(self) -> _Judged:
        """Share right of the other folds, for everyone; it ranks nobody, so its AUC is 1/2."""
        p_N = np.empty(len(self.y_N))
        for fold in range(FOLDS):
            test = self.fold_N == fold
            p_N[test] = self.y_N[~test].mean()
        return _Judged(p_N, np.full(self.resamples.width, 0.5))

    def _judge(self, x_NK: Array) -> _Judged | None:
        if not np.ptp(x_NK, axis=0).any():
            return self._majority()
        penalty_K = np.full(x_NK.shape[1], RIDGE)
        penalty_K[0] = 0
        whole = logistic_fit(x_NK, self.y_N, penalty_K)
        folds = [
            logistic_fit(x_NK[kept], self.y_N[kept], penalty_K, start=whole)
            for kept in (self.fold_N != fold for fold in range(FOLDS))
        ]
        if np.isnan(np.array([whole, *folds])).any():
            return None
        p_N = np.empty(len(self.y_N))
        for fold, beta in enumerate(folds):
            test = self.fold_N == fold
            p_N[test] = expit(x_NK[test] @ beta)
        auc_D = np.array([auc(p_N, self.y_N == 1)])
        if self.resamples.width > 1:
            auc_D = np.append(auc_D, self._sampled(x_NK, whole, folds, penalty_K))
        return _Judged(p_N, auc_D)

    def _sampled(self, x_NK: Array, whole: Array, folds: list[Array], penalty_K: Array) -> Array:
        """AUC of the left-out predictions in every draw: (D,)."""
        p_N = expit(x_NK @ whole)
        gradient_FK = self._by_fact(x_NK * (p_N - self.y_N)[:, None])
        i, j = np.triu_indices(x_NK.shape[1])
        hessian_FP = self._by_fact(x_NK[:, i] * x_NK[:, j] * (p_N * (1 - p_N))[:, None])
        folds_F = self.resamples.index.folds_F
        weights_DF = self.resamples.weights_FD.T  # the data first, to measure one step's error
        logits_DN = np.empty((len(weights_DF) - 1, len(self.y_N)))
        for fold, beta in enumerate(folds):
            train_DF = weights_DF * (folds_F != fold)
            steps_DK = _newton_steps(
                train_DF @ gradient_FK + penalty_K * whole, train_DF @ hessian_FP, penalty_K, (i, j)
            )
            # What one step misses in the data is known, and is added to every draw.
            beta_DK = beta - (steps_DK[1:] - steps_DK[0])
            test = self.fold_N == fold
            logits_DN[:, test] = beta_DK @ x_NK[test].T
        weights_DN = self.resamples.weights_FD[self.fact_N, 1:].T
        return _weighted_aucs(logits_DN, self.y_N == 1, weights_DN)

    def _by_fact(self, values_NK: Array) -> Array:
        """Sums over the cells of each fact: (F, K)."""
        out = np.zeros((self.resamples.index.n, values_NK.shape[1]))
        facts, starts = np.unique(self.fact_N, return_index=True)
        out[facts] = np.add.reduceat(values_NK, starts, axis=0)
        return out


def _newton_steps(
    gradient_DK: Array, hessian_DP: Array, penalty_K: Array, at: tuple[Array, Array]
) -> Array:
    """Solve the system of every draw."""
    k = len(penalty_K)
    hessian = np.empty((len(gradient_DK), k, k))
    hessian[:, at[0], at[1]] = hessian_DP
    hessian[:, at[1], at[0]] = hessian_DP
    hessian[:, range(k), range(k)] += np.maximum(penalty_K, 1e-9)
    return np.asarray(np.linalg.solve(hessian, gradient_DK[:, :, None])[:, :, 0])


def _weighted_aucs(scores_DN: Array, right_N: Array, weights_DN: Array) -> Array:
    """AUC of each row of scores under its own weights; equal scores count half.

    Scores are rounded to 8,192 levels between the smallest and the largest of their row, so that
    counting replaces sorting.
    """
    low = scores_DN.min(axis=1, keepdims=True)
    span = np.ptp(scores_DN, axis=1, keepdims=True)
    scale = np.divide(LEVELS - 1, span, out=np.zeros_like(span), where=span > 0)
    level_DN = np.rint((scores_DN - low) * scale).astype(np.int64)
    out = np.empty(len(scores_DN))
    for d, (level, weights) in enumerate(zip(level_DN, weights_DN, strict=True)):
        pos = np.bincount(level[right_N], weights=weights[right_N], minlength=LEVELS)
        neg = np.bincount(level[~right_N], weights=weights[~right_N], minlength=LEVELS)
        below = np.cumsum(neg) - neg / 2
        out[d] = divide(pos @ below, pos.sum() * neg.sum())
    return out


def _log(values: pl.Series) -> Array:
    return np.asarray(np.log10(1 + values.fill_null(0).to_numpy().astype(np.float64)))


def _filled(values: pl.Series) -> Array:
    return values.cast(pl.Float64()).fill_null(0).to_numpy()


def _dummies(values: pl.Series, names: list[str]) -> list[Array]:
    """One column per level but the first."""
    return [(values == name).to_numpy().astype(np.float64) for name in names[1:]]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
