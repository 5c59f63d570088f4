"""Every answer, read by every parser."""

import polars as pl

from polylore.errors import DataError
from polylore.metrics.align.parsers import first_char, head, lenient, robust
from polylore.tables.align import PARSED, SYSTEM_KEY

KEY = [*SYSTEM_KEY, "dataset", "item", "lang", "rotation"]
_TEXTS = ["raw_output", "k"]


def parse_answers(
    answers: pl.DataFrame, items: pl.DataFrame, questions: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Read multiple-choice answers.

    Letters name places; under rotation r the option at place j is option (j + r) mod k, and that is
    what the table holds. Answers whose options were scored keep their `answer_index`.

    Args:
        answers: table ALIGN_ANSWERS.
        items: table ALIGN_ITEMS.
        questions: table ALIGN_QUESTIONS, for the option texts of the lenient parser; without them
            it reads letters alone.

    Returns:
        Table ALIGN_PARSED, in the order of the answers of sets with options.

    Raises:
        DataError: answers to items that are not there.
    """
    sizes = items.select("dataset", "item", k="n_options")
    rows = answers.join(sizes, on=["dataset", "item"], how="left", maintain_order="left")
    unknown = rows.filter(pl.col("k").is_null())
    if unknown.height:
        first = unknown.row(0, named=True)
        raise DataError(
            f"{unknown.height} answers are about items that are not among the items, the first "
            f"about item {first['item']} of {first['dataset']}."
        )
    rows = rows.filter(pl.col("k") > 0)
    rows = rows.join(_letters(rows), on=_TEXTS, how="left", nulls_equal=True, maintain_order="left")
    rows = _with_lenient(rows, questions)
    turn = pl.col("rotation").fill_null(0)
    scored = pl.col("raw_output").is_null()
    return PARSED.validate(
        rows.select(
            *KEY,
            "head",
            *(
                pl.when(scored)
                .then("answer_index")
                .otherwise((pl.col(name) + turn) % pl.col("k"))
                .alias(name)
                for name in ("first_char", "robust", "lenient")
            ),
            *(
                pl.when(scored).then(pl.lit("scored")).otherwise(pl.col(name)).alias(name)
                for name in ("status", "lenient_status")
            ),
        )
    )


def _letters(rows: pl.DataFrame) -> pl.DataFrame:
    """The two parsers that need no option texts, once per distinct text."""
    distinct = rows.filter(pl.col("raw_output").is_not_null()).select(_TEXTS).unique()
    texts, sizes = distinct["raw_output"].to_list(), distinct["k"].to_list()
    pairs = list(zip(texts, sizes, strict=True))
    read = [robust(text, k) for text, k in pairs]
    return distinct.with_columns(
        pl.Series("head", [head(text) for text in texts], dtype=pl.String()),
        pl.Series("first_char", [first_char(*pair) for pair in pairs], dtype=pl.Int32()),
        pl.Series("robust", [found.option for found in read], dtype=pl.Int32()),
        pl.Series("status", [found.status for found in read], dtype=pl.String()),
    )


def _with_lenient(rows: pl.DataFrame, questions: pl.DataFrame | None) -> pl.DataFrame:
    """The lenient parser: it can only differ where robust found no letter at the start."""
    rows = rows.with_row_index("_row")
    odd = rows.filter(~pl.col("status").is_in(["ok", "lookalike"]))
    where = ["dataset", "item", "lang"]
    if questions is None:
        odd = odd.with_columns(options=pl.lit([], dtype=pl.List(pl.String())))
    else:
        odd = odd.join(
            questions.select(*where, "options"), on=where, how="left", maintain_order="left"
        ).with_columns(pl.col("options").fill_null([]))
    # Rotated letters are places, but option texts are contents; place = (content - r) mod k.
    read = []
    for text, k, options, turn in odd.select(
        "raw_output", "k", "options", pl.col("rotation").fill_null(0)
    ).iter_rows():
        shown = [options[(place + turn) % k] for place in range(k)] if options else []
        read.append(lenient(text, k, shown))
    better = odd.select("_row").with_columns(
        pl.Series("_index", [found.option for found in read], dtype=pl.Int32()),
        pl.Series("_status", [found.status for found in read], dtype=pl.String()),
    )
    rows = rows.join(better, on="_row", how="left", maintain_order="left")
    plain = pl.col("_status").is_null()
    return rows.with_columns(
        lenient=pl.when(plain).then("robust").otherwise("_index"),
        lenient_status=pl.when(plain).then("status").otherwise("_status"),
    )
