"""Accuracies of populations of cells, and of directions from language to language (2.5).

A cell (fact, language) may be asked with several cue draws and wordings; it counts once, with the
mean over its prompts, and as known where at least half of them are right.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide, interval
from polylore.metrics.index import Array
from polylore.metrics.unification.resampling import DRAWS, cluster_weights
from polylore.tables.unify_results import TRANSFER

HELD_OUT = "mono_unseen"
SEEN = ("parallel", "mono_seen")
KNOWN = 0.5
_GROUP = ["run_hash", "step", "population", "direction"]


def cells_of(answers: pl.DataFrame) -> pl.DataFrame:
    """One row per run, step and cell: means over its prompts.

    Returns:
        run_hash, step, fact_id, lang, population, acc, known, restricted (the most frequent
        restricted answer), wrong_language, loss, pref_mass and tokens.
    """
    key = ["run_hash", "step", "fact_id", "lang", "population"]
    return (
        answers.group_by(key, maintain_order=True)
        .agg(
            acc=pl.col("correct").mean(),
            known=pl.col("correct").mean() >= KNOWN,
            restricted=pl.col("restricted_pred").drop_nulls().mode().min(),
            wrong_language=pl.col("right_value_other_language").mean(),
            loss=-pl.col("logp_gold").mean(),
            pref_mass=pl.col("pref_mass").mean(),
                    tokens=pl.col("tokens").first(),
        )
    )  # fmt: skip


def with_sources(cells: pl.DataFrame) -> pl.DataFrame:
    """Held-out cells, once per language that their fact was seen in.

    Returns:
        The columns of the held-out cell, and source, acc_source, known_source and
        restricted_source of the seen cell.
    """
    on = ["run_hash", "step", "fact_id"]
    seen = cells.filter(pl.col("population").is_in(SEEN)).select(
        *on, source="lang", acc_source="acc", known_source="known", restricted_source="restricted"
    )
    return cells.filter(population=HELD_OUT).join(seen, on=on, maintain_order="left")


def known_anywhere(cells: pl.DataFrame) -> pl.DataFrame:
    """Held-out cells with the flag known_any: their fact is right in a seen language."""
    on = ["run_hash", "step", "fact_id", "lang"]
    flags = with_sources(cells).group_by(on).agg(known_any=pl.col("known_source").any())
    return cells.filter(population=HELD_OUT).join(flags, on=on, how="left", maintain_order="left")


def transfer(
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    cluster: str = "entity",
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Table TRANSFER of one world's runs.

    Args:
        answers: table ANSWERS.
        facts: frame with fact_id, value_index and the cluster column; extra columns are ignored.
        cluster: column that bootstrap draws resample: entity, or fact_id in a fact split.
        draws: bootstrap draws; 0 for no intervals.
        seed: seed of the draws.
    """
    named = facts.select("fact_id", "value_index", cluster_=pl.col(cluster)).unique("fact_id")
    cells = cells_of(answers).join(named, on="fact_id", how="left", maintain_order="left")
    cells = cells.with_columns(restricted_right=pl.col("restricted") == pl.col("value_index"))
    clusters = named["cluster_"].unique().sort()
    code = {name: k for k, name in enumerate(clusters)}
    weights_DE = cluster_weights(clusters.to_list(), draws=draws, seed=seed) if draws else None
    rows = []
    sums: list[tuple[Array, Array]] = []
    for keys, own in _parts(cells):
        rows.append(keys | _row(own))
        entity = own["cluster_"].replace_strict(code, return_dtype=pl.Int64).to_numpy()
        sums.append(
            (
                np.bincount(entity, own["acc"].to_numpy(), len(code)),
                np.bincount(entity, minlength=len(code)).astype(np.float64),
            )
        )
    if weights_DE is not None and rows:
        right_EC, n_EC = (np.stack([s[k] for s in sums], axis=1) for k in (0, 1))
        lo, hi = interval(divide(weights_DE @ right_EC, weights_DE @ n_EC))
        for row, low, high in zip(rows, lo, hi, strict=True):
            row |= {"lo": _number(low), "hi": _number(high)}
    return TRANSFER.build(rows)


def _parts(cells: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """Cells of each population by direction: all, the language asked, seen->asked."""
    held_out = known_anywhere(cells)
    others = cells.filter(pl.col("population") != HELD_OUT)
    directed = with_sources(cells).with_columns(
        known_any="known_source", direction=pl.concat_str("source", "lang", separator="->")
    )
    frames = [others, held_out]
    parts = [frame.with_columns(direction=pl.lit("all")) for frame in frames]
    parts += [frame.with_columns(direction="lang") for frame in frames]
    for frame in [*parts, directed]:
        for values, own in frame.group_by(_GROUP, maintain_order=True):
            yield dict(zip(_GROUP, values, strict=True)), own


def _row(own: pl.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": own.height,
        "acc": own["acc"].mean(),
        "acc_restricted": own["restricted_right"].mean(),
        "wrong_language": own["wrong_language"].mean(),
        "loss": own["loss"].mean(),
    }
    if "known_any" in own.columns:
        known = own.filter(pl.col("known_any"))
        row |= {"n_known": known.height, "acc_known": known["acc"].mean()}
        if not known.height:
            row["reason"] = "acc_known: no fact is right in a seen language"
    return row


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
