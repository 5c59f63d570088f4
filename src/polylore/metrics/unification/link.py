"""Real models: does the score predict accuracy across languages? (section 10.2)

A direction a->b asks in language b for facts that are right in language a. s_i = par_i - cross_i.
Checkpoints are taken one after the other, twice: to choose a place, and to report it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from polylore.metrics.unification.linear import half_of
from polylore.metrics.unification.link_levels import pair_level, time_level
from polylore.metrics.unification.link_observations import (
    PLACE,
    Score,
    fresh_means,
    is_fresh,
    item_rows,
    name_of,
    observations,
    scored,
)
from polylore.metrics.unification.link_reported import directions, reported
from polylore.metrics.unification.resampling import DRAWS
from polylore.tables.unify_results import LINK

Parts = Callable[[], Iterable[pl.DataFrame]]
"""Gives the table LINK_ITEMS in parts, as often as it is asked: fresh initialisations first."""
_GROUP = ["model", "center", "stratum"]


def link(
    items: pl.DataFrame | Parts,
    answers: pl.DataFrame,
    covariates: Sequence[pl.DataFrame] = (),
    *,
    score: Score = "s_i",
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Table LINK: item level, controls, pair level and time level.

    On every layer and position without intervals; then at the one that has the largest mean AUC on
    half of the facts, on either half with intervals, the adjusted fit and the controls.

    Args:
        items: table LINK_ITEMS of one or more models, checkpoints in their order of training,
            whole or in parts of whole checkpoints.
        answers: model, ckpt_id, fact_id, lang, right; null `right` is no answer.
        covariates: what else is known. Each frame is joined on those of model, ckpt_id, fact_id,
            relation, lang_a and lang_b (known in, asked in) that it has; its other columns, such
            as source_accuracy or same_script, are numeric. Columns with nulls are left out of a
            fit; without frames there is none.
        score: s_i, or an overlap minus chance that the paper may have meant (Jaccard).
        draws: bootstrap draws over facts; 0 for no intervals.
        seed: seed of draws, halves and permutations.
    """
    parts = items if callable(items) else lambda: _split(items)
    facts = answers["fact_id"].unique().sort()
    half = facts.filter(pl.Series(half_of(facts.to_numpy(), seed)))
    chooses = pl.col("fact_id").is_in(half.implode())
    rows, choosing, order = [], [], []
    for data in _observed(parts, answers, score):
        order += data["ckpt_id"].unique(maintain_order=True).to_list()
        for _, layer in data.group_by("layer", maintain_order=True):
            rows.append(item_rows(layer))
            choosing.append(item_rows(layer.filter(chooses)).select(*_GROUP, *PLACE, "auc"))
    if not rows:
        return LINK.empty()
    overall = pl.concat(rows)
    made = pair_level(overall, draws=draws, seed=seed)
    made += time_level(overall, list(dict.fromkeys(order)))
    best = _best(pl.concat(choosing))
    if best.height:
        for data in _observed(parts, answers, score):
            chosen = data.join(best, on=[*_GROUP, *PLACE], how="semi", maintain_order="left")
            for name, members in (("chosen_half", chooses), ("other_half", ~chooses)):
                for _, part in chosen.filter(members).group_by(_GROUP, maintain_order=True):
                    for row, own in directions(part):
                        for one in reported(row, own, covariates, draws=draws, seed=seed):
                            made.append(_item(one) | {"selected_on": name})
    beside = [{name: row[name] for name in row if name in LINK.schema} for row in made]
    return pl.concat([_everywhere(overall), LINK.build(beside)])


def _split(items: pl.DataFrame) -> Iterator[pl.DataFrame]:
    copies = items.filter(is_fresh())
    if copies.height:
        yield copies
    for _, part in items.filter(~is_fresh()).group_by("model", "ckpt_id", maintain_order=True):
        yield part


def _observed(parts: Parts, answers: pl.DataFrame, score: Score) -> Iterator[pl.DataFrame]:
    """Observations of every checkpoint, in turn."""
    copies: list[pl.DataFrame] = []
    fresh: pl.DataFrame | None = None
    for part in parts():
        frame = scored(part, score)
        trained = frame.filter(~is_fresh())
        if not trained.height:
            copies.append(frame)
            continue
        if copies:
            fresh, copies = fresh_means(pl.concat(copies)), []
        yield observations(trained, fresh, answers)


def _best(choosing: pl.DataFrame) -> pl.DataFrame:
    """The place of each group whose mean AUC over checkpoints and directions is largest."""
    means = choosing.group_by(*_GROUP, *PLACE).agg(pl.col("auc").mean()).drop_nulls("auc")
    ranked = means.sort("auc", *PLACE, descending=[True, False, False])
    return ranked.unique(_GROUP, keep="first", maintain_order=True).drop("auc")


def _everywhere(overall: pl.DataFrame) -> pl.DataFrame:
    """Rows of the item level at all places: too many to be handled one by one."""
    centred = pl.concat_str("score", "center", separator="_")
    rows = overall.with_columns(
        level=pl.lit("item"),
        control=pl.lit("none"),
        given=pl.lit(""),
        selected_on=pl.lit("none"),
        score=pl.when(pl.col("center") == "none").then("score").otherwise(centred),
    )
    return LINK.validate(rows.drop("center"))


def _item(row: dict[str, Any]) -> dict[str, Any]:
    """Columns that all rows of the item level share."""
    name = name_of(row["score"], row["center"])
    return {"control": "none", "given": ""} | row | {"level": "item", "score": name}
