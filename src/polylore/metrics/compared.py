"""Several models on the same questions: paired differences, and how their tokenizers cut names."""

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import (
    Draws,
    difference_interval,
    divide,
    index_of,
    mean_interval,
)
from polylore.metrics.index import Array, FactIndex
from polylore.tables.compared import MODEL_DIFFERENCE, MODEL_RECALL, MODEL_TOKENS

ALL = "all"


def model_recall(
    recalls: dict[str, pl.DataFrame],
    grades: dict[str, pl.DataFrame],
    facts: pl.DataFrame,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """Recall of every model, language by language and over all languages together.

    Over all languages: the mean over languages of a fact's share of right answers, averaged over
    facts; its baseline is the mean of the languages' best baselines, weighted by their facts.

    Args:
        recalls: by model, table RECALL of the compared checkpoint; stratum `all` is used.
        grades: by model, table GRADES of the same answers.
        facts: frame with fact_id and relation of all facts.
        draws: bootstrap draws; without them there are no intervals.

    Returns:
        Table MODEL_RECALL.
    """
    index = index_of(facts, draws)
    frames = []
    for name, recall in recalls.items():
        rows = recall.filter(pl.col("stratum") == "all").select(
            pl.lit(name).alias("model"),
            *("ckpt_id", "lang", "relation", "matcher", "n", "acc", "lo", "hi"),
            *("baseline", "baseline_name"),
            pl.col("acc_guess_corrected").alias("gc"),
            *("gc_lo", "gc_hi"),
        )
        frames.append(rows)
        for matcher in rows["matcher"].unique(maintain_order=True):
            frames.append(_pooled(index, rows, grades[name], matcher, draws))
    return MODEL_RECALL.validate(pl.concat(frames)) if frames else MODEL_RECALL.empty()


def _pooled(
    index: FactIndex, rows: pl.DataFrame, grades: pl.DataFrame, matcher: str, draws: Draws | None
) -> pl.DataFrame:
    own = rows.filter(pl.col("matcher") == matcher)
    floor = (pl.col("baseline") * pl.col("n")).sum() / pl.col("n").sum()
    whole = pl.col("baseline").null_count() == 0
    pooled = own.group_by("model", "ckpt_id", "relation", "matcher", maintain_order=True).agg(
        pl.when(whole).then(floor).alias("baseline")
    )
    cells = grades.filter(pl.col("matcher") == matcher)
    values_FL = _shares(index, cells, cells["lang"].unique(maintain_order=True).to_list())
    value_F = _mean(values_FL)
    numbers: list[dict[str, object]] = []
    for relation, column_F1 in _by_relation(index, value_F[:, None]):
        n = int((~np.isnan(column_F1)).sum())
        if not n:
            continue
        row: dict[str, object] = {"relation": relation, "n": n, "acc": np.nanmean(column_F1)}
        if draws is not None and n > 1:
            lo, hi = mean_interval(draws, column_F1)
            row |= {"lo": lo[0], "hi": hi[0]}
        numbers.append(row)
    schema: dict[str, pl.DataType] = {"relation": pl.String(), "n": pl.Int64()}
    found = pl.DataFrame(
        numbers, schema=schema | dict.fromkeys(("acc", "lo", "hi"), pl.Float64()), strict=False
    )
    empty = pl.lit(None, pl.Float64)
    return (
        pooled.join(found, on="relation", how="inner", maintain_order="left")
        .with_columns(
            lang=pl.lit(ALL),
            baseline_name=pl.lit(None, pl.String),
            gc=(pl.col("acc") - pl.col("baseline")) / (1 - pl.col("baseline")),
            gc_lo=empty,
            gc_hi=empty,
        )
        .select(rows.columns)
    )


def model_differences(
    reference: str,
    grades: dict[str, pl.DataFrame],
    facts: pl.DataFrame,
    draws: Draws | None = None,
) -> pl.DataFrame:
    """How much more the reference recalls than each other model.

    A fact counts where both models have an answer, with the share of its wordings answered right.
    Both means are taken in the same bootstrap draw of facts, so what makes a fact easy or hard for
    both cancels (paired cluster bootstrap). Over all languages a fact counts with its mean over
    languages.

    Args:
        reference: model that the others are held against.
        grades: by model, table GRADES of the questions that all of them were asked.
        facts: frame with fact_id and relation of all facts.
        draws: bootstrap draws; without them there are no intervals.

    Returns:
        Table MODEL_DIFFERENCE.
    """
    index = index_of(facts, draws)
    rows = []
    first = grades[reference]
    for name, other in grades.items():
        if name == reference:
            continue
        for matcher in first["matcher"].unique(maintain_order=True).to_list():
            a, b = (g.filter(pl.col("matcher") == matcher) for g in (first, other))
            langs = [x for x in a["lang"].unique(maintain_order=True) if x in set(b["lang"])]
            if not langs:
                continue
            a_FL, b_FL = _shares(index, a, langs), _shares(index, b, langs)
            both = np.isnan(a_FL) | np.isnan(b_FL)
            a_FL[both] = b_FL[both] = np.nan
            alone = (np.clip(a_FL - b_FL, 0, None), np.clip(b_FL - a_FL, 0, None))
            columns = (a_FL, b_FL, *alone)
            parts = {lang: [c[:, k] for c in columns] for k, lang in enumerate(langs)}
            parts[ALL] = [_mean(c) for c in columns]
            for lang, values in parts.items():
                keys = {"reference": reference, "model": name, "lang": lang, "matcher": matcher}
                rows += [keys | row for row in _differences(index, values, draws)]
    return MODEL_DIFFERENCE.build(rows)


def _differences(
    index: FactIndex, values: list[Array], draws: Draws | None
) -> list[dict[str, object]]:
    """One row per relation of: right of both sides, and what each alone has right."""
    rows: list[dict[str, object]] = []
    for relation, own in _by_relation(index, np.stack(values, axis=1)):
        present = ~np.isnan(own[:, 0])
        if not present.any():
            continue
        a, b, only_a, only_b = (float(v) for v in own[present].mean(axis=0))
        row: dict[str, object] = {"relation": relation, "n": int(present.sum())}
        row |= {"acc_reference": a, "acc": b, "difference": a - b}
        row |= {"only_reference": only_a, "only_model": only_b}
        if draws is not None and present.sum() > 1:
            _, lo, hi = difference_interval(draws, own[:, :1], own[:, 1:2])
            row |= {"lo": float(lo[0]), "hi": float(hi[0])}
        rows.append(row)
    return rows


def model_tokens(scores: dict[str, pl.DataFrame], facts: pl.DataFrame) -> pl.DataFrame:
    """How many tokens the candidates take, each different one counted once.

    Args:
        scores: by model, table CANDIDATE_SCORES.
        facts: table FACTS.

    Returns:
        Table MODEL_TOKENS.
    """
    relations = facts.select("fact_id", "lang", "relation")
    frames = []
    for name, own in scores.items():
        cut = (
            own.join(relations, on=["fact_id", "lang"], how="inner", maintain_order="left")
            .unique(["lang", "relation", "candidate_id"], keep="first", maintain_order=True)
            .with_columns(model=pl.lit(name))
        )
        for group in (cut, cut.with_columns(relation=pl.lit(ALL))):
            frames.append(
                group.group_by("model", "lang", "relation", maintain_order=True).agg(
                    n=pl.len(),
                    tokens=pl.col("n_tokens").mean(),
                    whole=(pl.col("n_tokens") == 1).mean(),
                    bytes_per_token=pl.col("n_bytes").sum() / pl.col("n_tokens").sum(),
                )
            )
    return MODEL_TOKENS.validate(pl.concat(frames)) if frames else MODEL_TOKENS.empty()


def _shares(index: FactIndex, grades: pl.DataFrame, langs: list[str]) -> Array:
    """Share of wordings right per fact and language: float64 (F, L), NaN without an answer."""
    cells = pl.DataFrame({"lang": langs}, schema={"lang": pl.String()})
    means = grades.group_by("fact_id", "lang").agg(pl.col("y").cast(pl.Float64()).mean())
    return index.dense(means, "y", cells)


def _mean(values_FL: Array) -> Array:
    """Mean over the languages that have a value; NaN where none has."""
    present = ~np.isnan(values_FL)
    count = present.sum(axis=1)
    total = np.where(present, values_FL, 0).sum(axis=1)
    return divide(total, count)


def _by_relation(index: FactIndex, values_FC: Array) -> list[tuple[str, Array]]:
    """The values of each relation, (F, C) with NaN for all other facts, and of all together."""
    parts = []
    for relation, rows in index.slices():
        part = np.full(values_FC.shape, np.nan)
        part[rows] = values_FC[rows]
        parts.append((relation, part))
    return parts
