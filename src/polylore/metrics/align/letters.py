"""Which letters a system answers with, beside those of the right answers (`align`, 2.5 and 6)."""

import polars as pl

from polylore.metrics.align.parsers import LETTERS as NAMES
from polylore.tables.align import SYSTEM_KEY
from polylore.tables.align_lint import LETTERS

_CELL = [*SYSTEM_KEY, "dataset", "lang"]


def letter_counts(parsed: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Letters of written answers by their first character, and of scored letters by their place.

    Where options were shown in several orders, every order counts; the answer averaged over orders
    has no letter.

    Args:
        parsed: table ALIGN_PARSED.
        items: table ALIGN_ITEMS.

    Returns:
        Table ALIGN_LETTERS.
    """
    sizes = items.select("dataset", "item", "gold_index", k="n_options")
    rows = parsed.join(sizes, on=["dataset", "item"], how="left", maintain_order="left")
    turned = pl.col("rotation").is_not_null()
    written = rows.filter(pl.col("head").is_not_null() & ~turned)
    scored = rows.filter((pl.col("status") == "scored") & turned)
    shown = {name: (pl.col(name) - pl.col("rotation")) % pl.col("k") for name in _PLACES}
    lettered = pl.concat(
        [
            written.select(*_CELL, letter="head", right=_letter(pl.col("gold_index"))),
            scored.select(
                *_CELL, letter=_letter(shown["robust"]), right=_letter(shown["gold_index"])
            ),
        ]
    )
    keys = [*_CELL, "letter"]
    said = lettered.group_by(keys, maintain_order=True).agg(n=pl.len().cast(pl.Int64()))
    wanted = lettered.group_by([*_CELL, pl.col("right").alias("letter")], maintain_order=True).agg(
        gold=pl.len().cast(pl.Int64())
    )
    both = said.join(wanted, on=keys, how="full", coalesce=True, nulls_equal=True)
    both = both.with_columns(pl.col("n", "gold").fill_null(0)).sort([*_CELL, "letter"])
    return LETTERS.validate(both.with_columns(total=pl.col("n").sum().over(_CELL)))


_PLACES = ("robust", "gold_index")


def _letter(place: pl.Expr) -> pl.Expr:
    return place.replace_strict(dict(enumerate(NAMES)), default=None, return_dtype=pl.String())
