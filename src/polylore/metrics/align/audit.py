"""Can this be trusted? How answers were read, and which cells say something.

Specification of `align`, sections 2.2 (statuses), 2.5 (letter flags) and 5 (both parsers).
"""

import polars as pl

from polylore.metrics.align.parsers import PARSERS
from polylore.tables.align import PARSE_AUDIT, SYSTEM_KEY, TRUST

STATUSES = (
    "ok", "lookalike", "late", "text", "out_of_range", "word_start", "empty", "unparsed", "scored",
)  # fmt: skip
APART = 1.0
"""Points of accuracy between parsers from which on a cell carries a warning."""
COPIED = 0.5
"""Chance-corrected share of the demonstration's letter from which on it is taken for a copy."""
_CELL = [*SYSTEM_KEY, "dataset", "lang"]


def parse_audit(parsed: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """How the answers of every cell were read, and what each parser makes of them.

    `text` counts answers that only the lenient parser reads; all others are robust's statuses.

    Args:
        parsed: table ALIGN_PARSED.
        items: table ALIGN_ITEMS.

    Returns:
        Table ALIGN_PARSE_AUDIT.
    """
    golds = items.select("dataset", "item", "gold_index")
    rows = parsed.filter(pl.col("rotation").is_null()).join(
        golds, on=["dataset", "item"], how="left", maintain_order="left"
    )
    status = pl.when(pl.col("lenient_status") == "text").then(pl.lit("text")).otherwise("status")
    table = (
        rows.with_columns(_status=status)
        .group_by(_CELL, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64()).alias("n"),
            *((pl.col("_status") == name).sum().cast(pl.Int64()).alias(name) for name in STATUSES),
            *(
                (100 * (pl.col(name) == pl.col("gold_index")).fill_null(False).mean()).alias(
                    f"acc_{name}"
                )
                for name in PARSERS
            ),
        )
    )
    gap = (pl.col("acc_robust") - pl.col("acc_first_char")).abs()
    return PARSE_AUDIT.validate(
        table.with_columns(
            warning=pl.when(gap >= APART).then(
                pl.format(
                    "the published parser reads {} % right, the default one {} %",
                    pl.col("acc_first_char").round(2),
                    pl.col("acc_robust").round(2),
                )
            )
        )
    )


def trust(cells: pl.DataFrame) -> pl.DataFrame:
    """Which cells can be used, and in which sets no consistency headline may be printed.

    A set is degenerate for a system if at least half of its languages are.

    Args:
        cells: table ALIGN_CELLS of one parser.

    Returns:
        Table ALIGN_TRUST.
    """
    chance = pl.col("chance") / 100
    copied = (pl.col("demo_letter_share") - chance) / (1 - chance) >= COPIED
    reasons = (
        pl.when(chance >= 1)
        .then(pl.lit("no question has a second option"))
        .when("degenerate")
        .then(pl.format("{} answers in 100 begin with {}", _percent("top_share"), "top_letter"))
        .when(copied)
        .then(
            pl.format(
                "{} answers in 100 copy the demonstration's letter", _percent("demo_letter_share")
            )
        )
        .when("near_chance")
        .then(pl.lit("not above chance"))
        .when(pl.col("unparsed") * 10 >= pl.col("n"))
        .then(pl.lit("a tenth of the answers or more names no option"))
    )
    share = pl.col("degenerate").mean().over([*SYSTEM_KEY, "dataset"])
    return TRUST.validate(
        cells.select(
            *_CELL,
            reasons.is_null().alias("usable"),
            reasons.alias("reason"),
            (share >= 0.5).alias("set_degenerate"),
        )
    )


def _percent(column: str) -> pl.Expr:
    return (100 * pl.col(column)).round(0).cast(pl.Int64())
