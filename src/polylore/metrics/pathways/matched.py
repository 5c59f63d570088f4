"""Cells that may have come by transfer, beside wrong ones of equal exposure (`trace`, 4.5)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.index import Array, sorted_ids, with_axis
from polylore.tables.pathways import BALANCE, CONTROLS

MOST = 5
"""Controls per case at most."""
CALIPER = 0.25
"""Largest difference of log10(1 + E) between a case and its control."""
PERMUTATIONS = 1000
FEWEST = 5
"""Matched cases that a comparison needs at least."""

_RIGHT = pl.col("y").fill_null(False)
_KNOWS = pl.col("k").fill_null(False)
_WRONG = pl.col("why") == "wrong"
SETS: tuple[tuple[str, str, pl.Expr, pl.Expr], ...] = (
    ("transfer", "donor_knows", pl.col("label") == "transfer-candidate", _WRONG & _KNOWS),
    (
        "transfer",
        "donor_ignorant",
        pl.col("label") == "transfer-candidate",
        _WRONG & ~pl.col("k").fill_null(True),
    ),
    ("paper_fn", "paper_tn", pl.col("paper_class") == "FN", pl.col("paper_class") == "TN"),
)
"""Name of the cases, name of the controls, and what they are."""

VARIABLES = ("log_E_l", "log_E_p", "donor_rank", "sim")
_DONOR = ("log_E_p", "donor_rank")


def matched_controls(
    cells: pl.DataFrame, checkpoints: pl.DataFrame, *, pivot: str, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Match every case to at most five controls, and compare them.

    A case and its controls have the same checkpoint, matcher, language, relation and surface
    stratum (shared string or not) and differ in log10(1 + E) by at most 0.25; nearest first, ties
    by fact_id; a control may serve several cases. Cases: cells labelled transfer-candidate, against
    wrong cells that a donor knows (donor_knows) or does not (donor_ignorant; there the donor
    columns differ by definition and are no outcome); and the published groups FN against TN. The
    p-value permutes who is the case within each set. Script is equal within a set by design.

    Args:
        cells: table CELLS; cells of the pivot and those without exposure are left out.
        checkpoints: table CHECKPOINTS.
        pivot: pivot language.
        seed: seed of the permutations.

    Returns:
        Tables CONTROLS (cases without a control have one row with a null) and BALANCE.
    """
    ranks = cells.filter(lang=pivot).select("ckpt_id", "matcher", "fact_id", donor_rank="gold_rank")
    usable = (
        cells.filter((pl.col("lang") != pivot) & pl.col("E_l").is_not_null())
        .join(ranks, on=["ckpt_id", "matcher", "fact_id"], how="left", maintain_order="left")
        .with_columns(log_E_l=(1 + pl.col("E_l")).log10(), log_E_p=(1 + pl.col("E_p")).log10())
    )
    order = {f: i for i, f in enumerate(sorted_ids(cells["fact_id"].unique().to_list()))}
    usable = usable.with_columns(
        _place=pl.col("fact_id").replace_strict(order, return_dtype=pl.Int64())
    )
    matches: list[pl.DataFrame] = []
    balances: list[dict[str, Any]] = []
    generator = np.random.default_rng(seed)
    for (ckpt, matcher), here in usable.group_by("ckpt_id", "matcher", maintain_order=True):
        key = {"ckpt_id": ckpt, "matcher": matcher}
        for case_set, control_set, cases, controls in SETS:
            names = {"case_set": case_set, "control_set": control_set}
            own = here.with_columns(
                _case=cases.fill_null(False), _control=controls.fill_null(False)
            )
            found = _Sets.of(own.filter(pl.col("_case") | pl.col("_control")))
            matches.append(
                found.rows().with_columns(**{k: pl.lit(v) for k, v in (key | names).items()})
            )
            balances += [key | names | row for row in found.balance(control_set, generator)]
    pairs = pl.concat(matches) if matches else CONTROLS.empty().drop("step", "tokens")
    balance = BALANCE.build(balances).drop("step", "tokens")
    return (
        CONTROLS.validate(with_axis(pairs, checkpoints)),
        BALANCE.validate(with_axis(balance, checkpoints)),
    )


@dataclass(frozen=True)
class _Sets:
    """Cases and the controls found for them."""

    cells: pl.DataFrame
    """Cases and possible controls, by language, relation, stratum and fact."""
    set_SM: Array
    """Rows of each set: the case, then its controls, -1 where there are fewer."""

    @classmethod
    def of(cls, cells: pl.DataFrame) -> "_Sets":
        """Find the controls of every case."""
        cells = cells.sort("lang", "relation", "shared", "_place")
        code_N = cells.select(pl.struct("lang", "relation", "shared").rle_id()).to_series()
        x_N, case_N = cells["log_E_l"].to_numpy(), cells["_case"].to_numpy()
        starts = np.flatnonzero(np.diff(code_N.to_numpy(), prepend=-1, append=-1))
        sets = []
        for start, end in pairwise(starts):
            rows = np.arange(start, end)
            cases, controls = rows[case_N[rows]], rows[~case_N[rows]]
            if not len(cases):
                continue
            found = np.full((len(cases), 1 + MOST), -1)
            found[:, 0] = cases
            # Rounded, so that equal distances are ties whatever the last digit.
            gap = np.round(np.abs(x_N[cases][:, None] - x_N[controls]), 12)
            nearest = np.argsort(gap, axis=1, kind="stable")[:, :MOST]
            near = np.take_along_axis(gap, nearest, axis=1) <= CALIPER
            found[:, 1 : 1 + nearest.shape[1]] = np.where(near, controls[nearest], -1)
            sets.append(found)
        empty = np.zeros((0, 1 + MOST), dtype=np.int64)
        return cls(cells, np.concatenate([empty, *sets]))

    def rows(self) -> pl.DataFrame:
        """Pairs of case and control; a case without a control has one row."""
        case_S, control_SM = self.set_SM[:, 0], self.set_SM[:, 1:]
        pairs = control_SM >= 0
        pairs[:, 0] |= ~pairs.any(axis=1)
        at_S, place = np.nonzero(pairs)
        control = control_SM[at_S, place]
        case = self.cells[case_S[at_S]].select("relation", "lang", "fact_id", "log_E_l")
        other = self.cells.select(
            control_fact_id="fact_id", _x="log_E_l"
        )[np.maximum(control, 0)]  # fmt: skip
        matched = pl.lit(pl.Series(control >= 0))
        return pl.concat([case, other], how="horizontal").select(
            "relation",
            "lang",
            "fact_id",
            pl.when(matched).then("control_fact_id").alias("control_fact_id"),
            pl.when(matched).then(pl.Series(place + 1, dtype=pl.Int32())).alias("place"),
            pl.when(matched).then((pl.col("log_E_l") - pl.col("_x")).abs()).alias("distance"),
        )

    def balance(self, control_set: str, generator: np.random.Generator) -> list[dict[str, Any]]:
        """How cases and controls compare in every variable, per language and over all."""
        if not len(self.set_SM):
            return []
        matched_SM = self.set_SM[self.set_SM[:, 1] >= 0]
        members = (matched_SM >= 0).sum(axis=1)
        picks_SP = (generator.random((len(matched_SM), PERMUTATIONS)) * members[:, None]).astype(
            np.int8
        )
        langs = self.cells["lang"].to_numpy()
        rows = []
        for lang in ["all", *dict.fromkeys(langs[self.set_SM[:, 0]].tolist())]:
            inside_N = np.ones(len(langs), dtype=bool) if lang == "all" else langs == lang
            kept = inside_N[matched_SM[:, 0]]
            scope = _Scope(self.cells, inside_N, matched_SM[kept], picks_SP[kept])
            cases = int(inside_N[self.set_SM[:, 0]].sum())
            for variable in VARIABLES:
                row = {"lang": lang, "variable": variable, "n_cases": cases}
                rows.append(row | scope.compare(variable, outcome=_outcome(variable, control_set)))
        return rows


def _outcome(variable: str, control_set: str) -> bool:
    """Whether a difference means anything: not for what the sets were made equal or unequal in."""
    return variable != "log_E_l" and not (control_set == "donor_ignorant" and variable in _DONOR)


@dataclass(frozen=True)
class _Scope:
    """The sets of one language, or of all."""

    cells: pl.DataFrame
    inside_N: Array
    set_SM: Array
    picks_SP: Array

    def compare(self, variable: str, *, outcome: bool) -> dict[str, Any]:
        """Standardised differences before and after matching, mean difference and p-value."""
        controls = self.set_SM[:, 1:][self.set_SM[:, 1:] >= 0]
        distinct = len(np.unique(controls))
        row: dict[str, Any] = {
            "n_matched": len(self.set_SM),
            "n_controls": distinct,
            "n_reused": len(controls) - distinct,
        }
        values_N = self.cells[variable].cast(pl.Float64()).to_numpy()
        case_N = self.cells["_case"].to_numpy()
        before = [values_N[self.inside_N & flag] for flag in (case_N, ~case_N)]
        before = [v[~np.isnan(v)] for v in before]
        value_SM = np.where(self.set_SM >= 0, values_N[self.set_SM], np.nan)
        known = ~np.isnan(value_SM[:, 0]) & ~np.isnan(value_SM[:, 1:]).all(axis=1)
        value_SM = value_SM[known]
        if len(value_SM) < FEWEST or min(len(v) for v in before) < 2:
            return row | {"reason": f"fewer than {FEWEST} matched cases with a value"}
        spread = float(np.sqrt((before[0].var(ddof=1) + before[1].var(ddof=1)) / 2))
        if spread == 0:
            return row | {"reason": "the variable is constant"}
        difference_SM = _against_others(value_SM)
        difference = float(difference_SM[:, 0].mean())
        row |= {
            "smd_before": float(before[0].mean() - before[1].mean()) / spread,
            "smd_after": difference / spread,
            "difference": difference,
            "reason": None if outcome else "matched on, or different by definition",
        }
        if outcome:
            row["p_value"] = self._p_value(difference_SM, self.picks_SP[known], difference)
        return row

    @staticmethod
    def _p_value(difference_SM: Array, picks_SP: Array, observed: float) -> float:
        # A member without a value cannot stand in for the case: the case itself does.
        filled = np.where(np.isnan(difference_SM), difference_SM[:, [0]], difference_SM)
        permuted_P = np.take_along_axis(filled, picks_SP.astype(np.int64), axis=1).mean(axis=0)
        extreme = np.abs(permuted_P) >= abs(observed) - 1e-12
        return float((1 + extreme.sum()) / (1 + len(permuted_P)))


def _against_others(value_SM: Array) -> Array:
    """Each member's value minus the mean of the other members of its set; NaN where unknown."""
    present = ~np.isnan(value_SM)
    total = np.where(present, value_SM, 0).sum(axis=1, keepdims=True)
    others = present.sum(axis=1, keepdims=True) - 1
    return np.asarray(value_SM - (total - value_SM) / np.maximum(others, 1))
