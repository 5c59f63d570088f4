"""Real models: does the score predict accuracy across languages? (section 10.2)

A direction a->b asks in language b for facts that are right in language a. s_i = par_i - cross_i.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.stats import rankdata

from polylore.metrics.bootstrap import interval
from polylore.metrics.index import Array
from polylore.metrics.ranking import auc, weighted_auc
from polylore.metrics.unification.adjusted import adjusted
from polylore.metrics.unification.linear import half_of
from polylore.metrics.unification.link_levels import pair_level, time_level
from polylore.metrics.unification.resampling import DRAWS, cluster_weights
from polylore.metrics.unification.scores import normalised
from polylore.metrics.unification.shuffled import permutations
from polylore.tables.unify_results import LINK

KNOWN = 30
"""Fewest facts known in the first language."""
EACH = 10
"""Fewest of them right, and fewest wrong, in the second."""
PERMUTATIONS = 200
FRESH = "fresh:"
_PLACE = ["layer", "position"]
_SERIES = ["model", "ckpt_id", "step", "tokens", "lang_a", "lang_b", "center", "stratum", "score"]
Score = Literal["s_i", "neighbours", "units"]
_CONTROLS = {"none": "s", "shuffled_pairs": "s_null", "fresh_init": "s_fresh"}


def observations(items: pl.DataFrame, answers: pl.DataFrame, score: Score = "s_i") -> pl.DataFrame:
    """One row per fact, direction, layer and position, with both answers.

    Args:
        items: table LINK_ITEMS; checkpoints fresh:<k> become the columns of the control.
        answers: model, ckpt_id, fact_id, lang, right; null `right` is no answer.
        score: what is held against the answers: s_i, or an overlap minus chance (Jaccard).

    Returns:
        Columns of LINK_ITEMS with lang_a the language known in and lang_b the one asked, and
        known, right, s, s_null, s_fresh and u_fresh (U_norm of the fresh copies).
    """
    par, within = pl.col("par_i"), (pl.col("within_i_a") + pl.col("within_i_b")) / 2
    cross = pl.col("cross_i")
    frame = items.with_columns(
        s=par - cross if score == "s_i" else pl.col(f"{score}_i"),
        s_null=pl.col("null_i") - cross,
        within=within,
        score=pl.lit(score),
    )
    is_fresh = pl.col("ckpt_id").str.starts_with(FRESH)
    on = ["model", "fact_id", "lang_a", "lang_b", *_PLACE, "center"]
    fresh = frame.filter(is_fresh).group_by(on).agg(
        s_fresh=pl.col("s").mean(), par_fresh=par.mean(), within_fresh=pl.col("within").mean()
    )  # fmt: skip
    trained = frame.filter(~is_fresh).join(fresh, on=on, how="left", maintain_order="left")
    back = trained.with_columns(lang_a="lang_b", lang_b="lang_a")
    right = answers.select("model", "ckpt_id", "fact_id", "lang", "right")
    key = ["model", "ckpt_id", "fact_id"]
    both = pl.concat([trained, back])
    both = both.join(right.rename({"lang": "lang_a", "right": "known"}), on=[*key, "lang_a"])
    both = both.join(right.rename({"lang": "lang_b"}), on=[*key, "lang_b"])
    return both.drop_nulls(["known", "right", "s"]).sort(*_SERIES, *_PLACE, "fact_id")


def link(
    items: pl.DataFrame,
    answers: pl.DataFrame,
    covariates: pl.DataFrame | None = None,
    *,
    score: Score = "s_i",
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Table LINK: item level, controls, pair level and time level.

    On every layer and position without intervals; then at the one that has the largest mean AUC on
    half of the facts, on either half with intervals, the adjusted fit and the controls.

    Args:
        items: table LINK_ITEMS of one or more models, checkpoints in their order of training.
        answers: model, ckpt_id, fact_id, lang, right.
        covariates: fact_id, lang_a, lang_b (known, asked) and numeric columns of the adjusted fit,
            such as source_accuracy, log_exposure_a, same_script; none: no adjusted fit. Columns
            with nulls are left out.
        score: s_i, or an overlap that the paper may have meant.
        draws: bootstrap draws over facts; 0 for no intervals.
        seed: seed of draws, halves and permutations.
    """
    data = observations(items, answers, score)
    rows = []
    for keys, own in _cells(data):
        rows.append(keys | _item_row(own) | {"selected_on": "none"})
    overall = pl.DataFrame(rows, infer_schema_length=None)
    if rows:
        order = items["ckpt_id"].unique(maintain_order=True).to_list()
        rows += pair_level(overall, draws=draws, seed=seed) + time_level(overall, order)
    for _, own in data.group_by(["model", "center", "stratum"], maintain_order=True):
        rows += _selected(own, covariates, draws, seed)
    return LINK.build([{name: row[name] for name in row if name in LINK.schema} for row in rows])


def _cells(data: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    names = [*_SERIES, *_PLACE]
    for values, own in data.group_by(names, maintain_order=True):
        keys = dict(zip(names, values, strict=True))
        yield keys | {"level": "item", "control": "none", "score": _name(keys), "given": ""}, own


def _name(keys: dict[str, Any]) -> str:
    return str(keys["score"] if keys["center"] == "none" else f"{keys['score']}_{keys['center']}")


def _item_row(own: pl.DataFrame) -> dict[str, Any]:
    """Scores and accuracies of one direction at one place, and the AUC of s among known facts."""
    return {"n": own.height, "acc": own["right"].mean(), **_unification(own), **_auc(own, "s")}


def _auc(own: pl.DataFrame, column: str) -> dict[str, Any]:
    known = own.filter(pl.col("known")).drop_nulls(column)
    right = known["right"].to_numpy()
    row = {
        "n_known": known.height,
        "acc_known": known["right"].mean(),
        "auc": None,
        "reason": _too_few(right),
    }
    if row["reason"] is None:
        row["auc"] = auc(known[column].to_numpy(), right)
    return row


def _too_few(right: Array) -> str | None:
    if len(right) < KNOWN:
        return f"fewer than {KNOWN} facts known in lang_a"
    if min(right.sum(), (~right).sum()) < EACH:
        return f"fewer than {EACH} of each outcome"
    return None


def _unification(own: pl.DataFrame) -> dict[str, float | None]:
    """U_norm, and the same minus that of fresh copies and of shuffled pairs."""

    def score(par: str, within: str) -> float | None:
        x, w = (own[name].cast(pl.Float64).to_numpy() for name in (par, within))
        whole = ~np.isnan(x + w)
        if not whole.any():
            return None
        value = float(normalised(x[whole].mean(), w[whole].mean()))
        return None if np.isnan(value) else value

    raw, null = score("par_i", "within"), score("null_i", "within")
    fresh = score("par_fresh", "within_fresh")
    known = raw is not None and null is not None and fresh is not None
    return {"u_raw": raw, "u_corrected": raw - fresh - null if known else None}  # type: ignore[operator]


def _selected(
    own: pl.DataFrame, covariates: pl.DataFrame | None, draws: int, seed: int
) -> list[dict[str, Any]]:
    """The place chosen on half of the facts, reported on either half."""
    facts = own["fact_id"].unique().sort()
    half = facts.filter(pl.Series(half_of(facts.to_numpy(), seed)))
    chooses = pl.col("fact_id").is_in(half.to_list())
    best, found = None, -np.inf
    for place, part in own.filter(chooses).group_by(_PLACE, maintain_order=True):
        values = [_auc(cell, "s")["auc"] for _, cell in _cells(part)]
        numbers = [v for v in values if v is not None]
        if numbers and float(np.mean(numbers)) > found:
            best, found = dict(zip(_PLACE, place, strict=True)), float(np.mean(numbers))
    if best is None:
        return []
    rows = []
    for name, members in (("chosen_half", chooses), ("other_half", ~chooses)):
        part = own.filter(members).filter(**best)
        for keys, cell in [*_cells(part), *_all_directions(part)]:
            for row in _reported(cell, covariates, draws, seed):
                rows.append(keys | row | {"selected_on": name})
    return rows


def _all_directions(part: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """All directions of a checkpoint together; a fact's rows are one cluster."""
    if part.select("lang_a", "lang_b").unique().height < 2:
        return
    names = [name for name in (*_SERIES, *_PLACE) if name not in ("lang_a", "lang_b")]
    for values, own in part.group_by(names, maintain_order=True):
        keys = dict(zip(names, values, strict=True)) | {"lang_a": "all", "lang_b": "all"}
        yield keys | {"level": "item", "control": "none", "score": _name(keys), "given": ""}, own


def _reported(
    own: pl.DataFrame, covariates: pl.DataFrame | None, draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """AUC with interval and adjusted fit, then the same AUC of the controls."""
    jaccard = own["score"][0] != "s_i"
    whole = _item_row(own)
    for control, column in _CONTROLS.items():
        if jaccard and control == "shuffled_pairs":
            continue
        row = whole | _auc(own, column) | {"control": control}
        if control == "fresh_init" and row["n_known"] == 0:
            row["reason"] = "no fresh initialisation"
        known = own.filter(pl.col("known")).drop_nulls(column)
        if row["reason"] is None and draws:
            weights = cluster_weights(known["fact_id"].to_list(), draws=draws, seed=seed)
            values = weighted_auc(known[column].to_numpy(), known["right"].to_numpy(), weights.T)
            row |= _ends(values)
        if row["reason"] is None and control == "none" and covariates is not None:
            row |= _adjusted(known, covariates, draws, seed)
        yield row
    yield whole | _permuted(own, seed)


def _permuted(own: pl.DataFrame, seed: int) -> dict[str, Any]:
    """AUC when outcomes are exchanged among the known facts of a relation and direction."""
    row = _item_row(own) | {"control": "permuted_accuracy"}
    if row["reason"] is not None:
        return row
    known = own.filter(pl.col("known"))
    score, right = known["s"].to_numpy(), known["right"].to_numpy()
    group = known.select(pl.struct("relation", "lang_a", "lang_b").rank("dense")).to_series()
    swaps = permutations(group.to_numpy(), draws=PERMUTATIONS, seed=seed)
    # Mann-Whitney: mid-ranks of the right ones, whose number no exchange changes.
    n_right = int(right.sum())
    ranks_K = right[swaps] @ rankdata(score) - n_right * (n_right + 1) / 2
    values = ranks_K / (n_right * (len(right) - n_right))
    return row | {"auc": float(values.mean())} | _ends(values)


def _adjusted(
    known: pl.DataFrame, covariates: pl.DataFrame, draws: int, seed: int
) -> dict[str, Any]:
    on = ["fact_id", "lang_a", "lang_b"]
    joined = known.join(covariates, on=on, how="left", maintain_order="left")
    given = _usable(joined, [c for c in covariates.columns if c not in on])
    found = adjusted(
        joined["s"].to_numpy(),
        joined["right"].to_numpy(),
        joined.select(given).cast(pl.Float64).to_numpy(),
        joined["fact_id"].to_list(),
        draws=min(draws, PERMUTATIONS),
        seed=seed,
    )
    numbers = {"coef": found.coef, "coef_lo": found.lo, "coef_hi": found.hi,
               "delta_auc": found.delta_auc}  # fmt: skip
    return {name: None if np.isnan(v) else v for name, v in numbers.items()} | {
        "given": ",".join(given)
    }


def _usable(joined: pl.DataFrame, names: Sequence[str]) -> list[str]:
    return [n for n in names if not joined[n].null_count() and joined[n].n_unique() > 1]


def _ends(values_D: Array) -> dict[str, float | None]:
    lo, hi = (float(end[0]) for end in interval(values_D[:, None]))
    return {"lo": None if np.isnan(lo) else lo, "hi": None if np.isnan(hi) else hi}
