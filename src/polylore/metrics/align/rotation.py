"""Options shown in every order: answers by content, and what the order did.

Specification of `align`, sections 2.4 (rankc, co_crossrot) and 4.2 (averaging, ties).
"""

import hashlib
from collections.abc import Sequence
from itertools import product

import numpy as np
import polars as pl

from polylore.metrics.align.layout import Layout, layouts
from polylore.metrics.align.overlap import iou
from polylore.metrics.index import Array
from polylore.metrics.rankc import rankc, rankc_chance
from polylore.tables.align import ANSWERS, SYSTEM_KEY

_ASKED = [*SYSTEM_KEY, "dataset", "item", "lang"]


def averaged_scores(option_scores: pl.DataFrame) -> pl.DataFrame:
    """Mean log-probability of every option over its rotations, and its rank.

    Ties are broken by a hash of item and option, never by position.

    Returns:
        SYSTEM columns, dataset, item, lang, option_index, logp and place (1 is the best).
    """
    means = option_scores.group_by([*_ASKED, "option_index"], maintain_order=True).agg(
        pl.col("logp").mean()
    )
    pairs = means.select("dataset", "item", "option_index").unique(maintain_order=True)
    ties = [_tie(*row) for row in pairs.iter_rows()]
    means = means.join(
        pairs.with_columns(pl.Series("_tie", ties, dtype=pl.UInt64())),
        on=["dataset", "item", "option_index"],
        how="left",
        maintain_order="left",
    )
    ordered = means.sort(["logp", "_tie"], descending=[True, False], maintain_order=True)
    place = pl.int_range(1, pl.len() + 1).over(_ASKED)
    return ordered.with_columns(place=place).drop("_tie").sort([*_ASKED, "option_index"])


def _tie(dataset: str, item: int, option: int) -> int:
    digest = hashlib.sha256(f"{dataset}\x1f{item}\x1f{option}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def averaged_answers(option_scores: pl.DataFrame) -> pl.DataFrame:
    """The option of highest mean log-probability, as rows of table ALIGN_ANSWERS.

    The rotation is null: these are the answers that metrics count.
    """
    best = averaged_scores(option_scores).filter(pl.col("place") == 1)
    return ANSWERS.validate(best.select(*_ASKED, answer_index="option_index"))


def position_sensitivity(parsed: pl.DataFrame) -> pl.DataFrame:
    """Share of items whose chosen option changes with rotation.

    Args:
        parsed: table ALIGN_PARSED; rows with a rotation take part.

    Returns:
        SYSTEM columns, dataset, lang, position_sensitivity.
    """
    rows = parsed.filter(pl.col("rotation").is_not_null())
    items = rows.group_by(_ASKED, maintain_order=True).agg(
        # Null (nothing read) is a choice, too: reading a letter under one order only is sensitive.
        pl.col("robust").fill_null(-1).n_unique().alias("choices"),
    )
    keys = [*SYSTEM_KEY, "dataset", "lang"]
    return items.group_by(keys, maintain_order=True).agg(
        position_sensitivity=(pl.col("choices") > 1).mean()
    )


def rotated_overlap(
    parsed: pl.DataFrame,
    items: pl.DataFrame,
    pairs: pl.DataFrame,
    languages: Sequence[str] | None = None,
) -> pl.DataFrame:
    """co_crossrot and pos_inflation of pairs of languages.

    co_crossrot is the mean of co_iou over all pairs of different rotations (nobody right counts as
    0); pos_inflation is its mean over equal rotations minus that.

    Args:
        parsed: table ALIGN_PARSED with rotations.
        items: table ALIGN_ITEMS.
        pairs: SYSTEM columns, dataset, pivot, lang.
        languages: order of languages.

    Returns:
        `pairs` that have at least two rotations, with co_crossrot and pos_inflation.
    """
    rotated: dict[str, dict[int, Layout]] = {}
    turns = parsed["rotation"].drop_nulls().unique().sort().to_list()
    for turn in turns:
        rows = parsed.filter(pl.col("rotation") == turn).with_columns(
            rotation=pl.lit(None, dtype=pl.Int32()), status=pl.lit("ok")
        )
        for layout in layouts(rows, items, "robust", languages):
            rotated.setdefault(layout.dataset, {})[turn] = layout
    found = []
    for row in pairs.iter_rows(named=True):
        system = tuple(row[name] for name in SYSTEM_KEY)
        sides = [
            {
                turn: layout.right_IC[:, layout.column_of[*system, row[side]]]
                for turn, layout in rotated.get(row["dataset"], {}).items()
                if (*system, row[side]) in layout.column_of
            }
            for side in ("pivot", "lang")
        ]
        if len(sides[0].keys() & sides[1].keys()) > 1:
            found.append(row | _cross(*sides))
    return pl.DataFrame(found, schema=_schema(pairs, "co_crossrot", "pos_inflation"))


def _cross(p: dict[int, Array], l: dict[int, Array]) -> dict[str, float]:  # noqa: E741
    same: list[float] = []
    cross: list[float] = []
    for a, b in product(p, l):
        both = np.array([(p[a] & l[b]).sum()], float)
        value = np.nan_to_num(iou(both, np.array([p[a].sum()]), np.array([l[b].sum()])))[0]
        (same if a == b else cross).append(float(value))
    apart = float(np.mean(cross))
    return {"co_crossrot": apart, "pos_inflation": float(np.mean(same)) - apart}


def ranking_overlap(option_scores: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """rankc and its null of pairs of languages: overlap of the rankings of all options.

    Args:
        option_scores: table ALIGN_OPTION_SCORES.
        pairs: SYSTEM columns, dataset, pivot, lang.

    Returns:
        `pairs` with scores on both sides, with rankc and rankc_null (means over common items).
    """
    placed = averaged_scores(option_scores).sort([*_ASKED, "option_index"])
    lists = placed.group_by(_ASKED, maintain_order=True).agg("place")
    keys = [*SYSTEM_KEY, "dataset", "lang"]
    rankings = {
        key: group.select("item", "place")
        for key, group in lists.group_by(keys, maintain_order=True)
    }
    found = []
    for row in pairs.iter_rows(named=True):
        here = tuple(row[name] for name in (*SYSTEM_KEY, "dataset"))
        sides = [rankings.get((*here, row[side])) for side in ("pivot", "lang")]
        if sides[0] is None or sides[1] is None:
            continue
        both = sides[0].join(sides[1], on="item", suffix="_l")
        if both.height:
            places = [np.array(both[name].to_list()) for name in ("place", "place_l")]
            size = places[0].shape[1]
            found.append(
                row
                | {
                    "rankc": float(rankc(places[0], places[1]).mean()),
                    "rankc_null": rankc_chance(size),
                }
            )
    return pl.DataFrame(found, schema=_schema(pairs, "rankc", "rankc_null"))


def _schema(pairs: pl.DataFrame, *added: str) -> dict[str, pl.DataType]:
    return {**pairs.schema, **dict.fromkeys(added, pl.Float64())}
