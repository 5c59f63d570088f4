"""Greedy answers: right at which lag, and the same thing in two languages? (`inject`, 2.7)

Two answers name the same thing if some fact has the one as its target in the first language and
the other as its target in the second one. So a model that is wrong in the same way in both
languages counts as consistent, and one that answers a word of the other language does not.
"""

from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import interval
from polylore.metrics.injection.resample import FEWEST, ItemDraws
from polylore.metrics.injection.trajectories import CONTROL
from polylore.tables.injection_evidence import ANSWER_TRANSFER

LAGS = (1, 10, 100, 1000)
BEFORE = -1
"""Lag of the last reading before the first exposure."""
_CELL = ("arm", "depth", "inject_lang", "probe_lang")
Row = dict[str, Any]


def answer_transfer(
    log: pl.DataFrame,
    exposures: pl.DataFrame,
    probes: pl.DataFrame,
    *,
    run_id: str = "all",
    lags: tuple[int, ...] = LAGS,
    draws: ItemDraws | None = None,
) -> pl.DataFrame:
    """Shares of right answers, and of facts whose answers in two languages name one thing.

    Args:
        log: contract `tables.inject.LOG`; rows without greedy_exact are left out.
        exposures: run_id, item_id, exposure and step of every exposure.
        probes: contract `tables.inject.PROBES`.
        run_id: what the rows are called: all runs of the log count together.
        lags: after an item's last exposure; the first reading from there on is used, if it comes
            before the lag is a quarter longer.
        draws: item bootstrap, for intervals.

    Returns:
        Table ANSWER_TRANSFER. Beside each share stands that of never-injected items at the same
        states.
    """
    answers = log.filter(pl.col("greedy_exact").is_not_null())
    if not answers.height:
        return ANSWER_TRANSFER.empty()
    spans = exposures.group_by("run_id", "item_id").agg(
        first=pl.col("step").min(), last=pl.col("step").max()
    )
    states = _states(answers.select("run_id", "t").unique(), spans, lags)
    # Most states are at no lag: what they hold is let go of before it is looked at.
    at_lags = answers.filter(pl.col("arm") != CONTROL).join(states, on=["run_id", "item_id", "t"])
    told = _named(at_lags, probes)
    beside = answers.filter(pl.col("arm") == CONTROL).join(
        at_lags.select("run_id", "t").unique(), on=["run_id", "t"], how="semi"
    )
    never = _named(beside, probes)
    whole = told.group_by("run_id", "t", "lag", "arm", "inject_lang").agg(weight=pl.len())
    rows: list[Row] = []
    for quantity in ("right", "same"):
        values = _values(told, quantity, ["lag"])
        if quantity == "same":
            values = values.filter(pl.col("probe_lang") != pl.col("inject_lang"))
        control = _control(never, whole, quantity)
        for key, own in sorted(
            values.group_by("lag", *_CELL), key=lambda found: (found[0][1:], found[0][0])
        ):
            cell = dict(zip(("lag", *_CELL), key, strict=True))
            rows.append(
                cell
                | {"run_id": run_id, "quantity": quantity, "control": control.get(key)}
                | _share(own, draws)
            )
    return ANSWER_TRANSFER.build(rows)


def _states(states: pl.DataFrame, spans: pl.DataFrame, lags: tuple[int, ...]) -> pl.DataFrame:
    """The state of each item at each lag: run_id, item_id, lag, t."""
    pairs = states.join(spans, on="run_id")
    before = (
        pairs.filter(pl.col("t") <= pl.col("first"))
        .group_by("run_id", "item_id")
        .agg(pl.col("t").max(), lag=pl.lit(BEFORE, pl.Int64))
    )
    found = [before.select("run_id", "item_id", "lag", "t")]
    for lag in lags:
        since = pl.col("t") - pl.col("last")
        close = pairs.filter((since >= lag) & (since <= max(lag * 1.25, lag + 8)))
        first = close.group_by("run_id", "item_id").agg(pl.col("t").min())
        found.append(first.select("run_id", "item_id", pl.lit(lag, pl.Int64).alias("lag"), "t"))
    return pl.concat(found)


def _named(answers: pl.DataFrame, probes: pl.DataFrame) -> pl.DataFrame:
    """Answers with the things they may name: smallest fact_ids of equal targets, by language."""
    folded = pl.col("target").str.strip_chars().str.to_lowercase()
    things = (
        probes.select("fact_id", lang="lang", word=folded)
        .unique()
        .group_by("lang", "word")
        .agg(things=pl.col("fact_id").unique().sort())
    )
    said = answers.with_columns(
        word=pl.when(pl.col("greedy_exact"))
        .then(pl.lit(None, pl.String))
        .otherwise(pl.col("greedy_text").str.strip_chars().str.to_lowercase())
    )
    return said.join(
        things, left_on=["probe_lang", "word"], right_on=["lang", "word"], how="left"
    ).select(
        "run_id", "t", "item_id", "fact_id", "probe_id", *_CELL, "greedy_exact", "things",
        *(["lag"] if "lag" in answers.columns else []),
    )  # fmt: skip


def _values(answers: pl.DataFrame, quantity: str, by: list[str]) -> pl.DataFrame:
    """One value per fact and probe language: right, or the same as in the injection language."""
    keys = ["run_id", "t", "item_id", "fact_id", *_CELL, *by]
    first = answers.sort("probe_id").unique(keys, keep="first", maintain_order=True)
    if quantity == "right":
        return first.select(*keys, value=pl.col("greedy_exact").cast(pl.Float64))
    source = first.filter(pl.col("probe_lang") == pl.col("inject_lang"))
    return _same(first, source, keys)


def _same(first: pl.DataFrame, source: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    join = [k for k in keys if k not in ("probe_lang", "inject_lang")]
    both = first.join(
        source.select(*join, right_a="greedy_exact", things_a="things"), on=join, how="inner"
    )
    shared = pl.col("things").list.set_intersection(pl.col("things_a")).list.len() > 0
    own = pl.col("fact_id")
    # A right answer names its own fact; so does a wrong one's word that is its target.
    same = (
        (pl.col("greedy_exact") & pl.col("right_a"))
        | (pl.col("greedy_exact") & pl.col("things_a").list.contains(own))
        | (pl.col("right_a") & pl.col("things").list.contains(own))
        | shared
    )
    return both.select(*keys, value=same.fill_null(False).cast(pl.Float64))


def _control(never: pl.DataFrame, whole: pl.DataFrame, quantity: str) -> dict[Any, float]:
    """Share of never-injected items, averaged over the states at which an arm was read."""
    if not never.height:
        return {}
    own = never.drop("arm", "inject_lang").join(
        whole.select("run_id", "t").unique(), on=["run_id", "t"], how="semi"
    )
    langs = whole["inject_lang"].unique().to_list()
    parts = []
    for lang in langs:
        placed = own.with_columns(arm=pl.lit(CONTROL), inject_lang=pl.lit(lang))
        parts.append(_values(placed, quantity, []))
    rates = (
        pl.concat(parts)
        .group_by("run_id", "t", "depth", "inject_lang", "probe_lang")
        .agg(pl.col("value").mean())
    )
    joined = whole.join(rates, on=["run_id", "t", "inject_lang"])
    means = joined.group_by("lag", *_CELL).agg(
        value=(pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum()
    )
    return {tuple(row[:-1]): row[-1] for row in means.iter_rows()}


def _share(own: pl.DataFrame, draws: ItemDraws | None) -> Row:
    """Mean over items of the share of their facts, with its interval over items."""
    by_item = own.group_by("item_id").agg(pl.col("value").sum(), n=pl.len()).sort("item_id")
    items = by_item.height
    row: Row = {
        "value": float(own["value"].to_numpy().mean()),
        "n_facts": own.height,
        "n_items": items,
        "reason": "few_items" if items < FEWEST else None,
    }
    if draws is None or items < FEWEST:
        return row
    columns = [draws.column["injected", name] for name in by_item["item_id"]]
    weights = draws.weights_DF[:, columns].astype(np.float64)
    total = weights @ by_item["n"].to_numpy()
    right = weights @ by_item["value"].to_numpy()
    rate = np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)
    lo, hi = interval(rate[:, None])
    return row | {"lo": float(lo[0]), "hi": float(hi[0])}
