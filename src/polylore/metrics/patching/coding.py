"""Coding by people: a blind sheet for two, and what comes back from it.

Specification of `patch`, section 2, category 12. A sheet shows neither setting nor onset nor the
other annotator's codes; equal answers to equal questions stand in it once. It is text, so that any
spreadsheet can open it, and built so that a spreadsheet can do no harm: no cell can be read as a
formula, columns may come back in another order, and a row whose cells were torn apart is noticed.
"""

import csv
import hashlib
import io
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.patching.classify import CATEGORIES
from polylore.metrics.patching.errors import intended
from polylore.metrics.patching.forms import Forms
from polylore.metrics.patching.keys import strict_key
from polylore.tables.patch_derived import AGREEMENT

COLUMNS = ("row_id", "lang_a", "lang_b", "query", "accepted", "answer", "code", "comment")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_KEYS = ["lang_a", "lang_b", "fact_id", "answer_key"]


def to_code(errors: pl.DataFrame, forms: Forms, categories: tuple[str, ...] = ("other",)) -> (
    pl.DataFrame
):  # fmt: skip
    """Answers that people should code, each once.

    Args:
        errors: table ERRORS.
        forms: the lexicon of the plan.
        categories: automatic classes to be coded.

    Returns:
        row_id, lang_a, lang_b, fact_id (the concept asked for), answer_key, query (its word in
        lang_a) and accepted (its words in lang_b), sorted by row_id.
    """
    chosen = errors.filter(pl.col("category").is_in(list(categories)))
    rows = chosen.select("lang_a", "lang_b", intended().alias("fact_id"), "answer_key").unique()
    texts = [
        (
            _row_id(a, b, concept, key),
            forms.first(concept, a),
            " / ".join(forms.words(concept, b)),
        )
        for a, b, concept, key in rows.iter_rows()
    ]
    schema = {"row_id": pl.String, "query": pl.String, "accepted": pl.String}
    return pl.concat(
        [rows, pl.DataFrame(texts, schema=schema, orient="row")], how="horizontal"
    ).sort("row_id")


def _row_id(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def sheet(rows: pl.DataFrame, *, annotator: int, seed: int = 0) -> str:
    """The sheet of one annotator: CSV text, in an order of its own.

    Args:
        rows: what `to_code` returned.
        annotator: 1 or 2.
        seed: seed of the order.
    """
    order = np.random.default_rng([seed, annotator]).permutation(rows.height)
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    shown = rows.select("row_id", "lang_a", "lang_b", "query", "accepted", "answer_key")
    for row in shown[order].iter_rows():
        writer.writerow([*map(_guarded, row), "", ""])
    return out.getvalue()


def _guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def read_sheet(text: str, rows: pl.DataFrame, *, name: str = "the sheet") -> pl.DataFrame:
    """Codes of a returned sheet.

    Args:
        text: CSV text; columns in any order, separated by commas, semicolons or tabs.
        rows: what `to_code` returned when the sheet was written.
        name: how to call the sheet in messages.

    Returns:
        row_id and code, for the rows that were coded.

    Raises:
        DataError: a column is missing, a row is unknown or twice, a code is none of `CATEGORIES`,
            or an answer stands beside the identity of another one.
    """
    text = text.removeprefix("\ufeff")
    head = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    missing = [c for c in ("row_id", "answer", "code") if c not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            f"The first line of {name} has no column {', '.join(missing)}; return the sheet with "
            "the headings it was made with."
        )
    known = dict(rows.select("row_id", "answer_key").iter_rows())
    codes: dict[str, str] = {}
    for number, cells in enumerate(reader, 2):
        row_id, answer = (cells[c] or "" for c in ("row_id", "answer"))
        code = (cells["code"] or "").strip().lower()
        if not row_id.strip() and not code:
            continue
        row_id = row_id.strip().removeprefix("'")
        where = f"Row {number} of {name}"
        if row_id not in known:
            raise DataError(
                f"{where} has the unknown row_id '{row_id}'; use the sheet of this run."
            )
        if strict_key(answer.removeprefix("'")) != strict_key(known[row_id]):
            raise DataError(
                f"{where} shows the answer '{answer}' but its row_id belongs to "
                f"'{known[row_id]}'; sort whole rows, never one column alone."
            )
        if row_id in codes:
            raise DataError(f"{where} repeats the row_id '{row_id}'; keep one of them.")
        if code and code not in CATEGORIES:
            raise DataError(f"{where} has the code '{code}'; use one of {', '.join(CATEGORIES)}.")
        codes[row_id] = code
    coded = [(row_id, code) for row_id, code in codes.items() if code]
    return pl.DataFrame(coded, schema={"row_id": pl.String, "code": pl.String}, orient="row")


@dataclass(frozen=True)
class Merged:
    """What two annotators say together."""

    codes: pl.DataFrame
    """lang_a, lang_b, fact_id, answer_key, code: the rows that both agree on or that were settled;
    what `errors.error_classes` takes as `manual`."""
    open: pl.DataFrame
    """Rows that they disagree on and nobody settled: row_id, first, second."""
    agreement: pl.DataFrame
    """Table AGREEMENT."""


def merge_codes(
    rows: pl.DataFrame,
    first: pl.DataFrame,
    second: pl.DataFrame | None = None,
    settled: pl.DataFrame | None = None,
) -> Merged:
    """Join what the annotators returned.

    Args:
        rows: what `to_code` returned.
        first: codes of the first annotator (`read_sheet`).
        second: those of the second; without them the first one's stand alone.
        settled: codes for rows that the two disagreed on; they override both.
    """
    other = first if second is None else second
    both = first.rename({"code": "first"}).join(
        other.rename({"code": "second"}), on="row_id", how="full", coalesce=True
    )
    if settled is None:
        both = both.with_columns(settled=pl.lit(None, pl.String))
    else:
        both = both.join(settled.rename({"code": "settled"}), on="row_id", how="full",
                         coalesce=True)  # fmt: skip
    differ = pl.col("first") != pl.col("second")
    agreed = pl.when(differ).then(None).otherwise(pl.coalesce("first", "second"))
    both = both.sort("row_id").with_columns(code=pl.coalesce("settled", agreed))
    codes = rows.join(both, on="row_id", how="inner").drop_nulls("code").select(*_KEYS, "code")
    left = both.filter(pl.col("code").is_null()).select("row_id", "first", "second")
    pairs = both.drop_nulls(["first", "second"]) if second is not None else both.clear()
    return Merged(codes, left, kappa(pairs["first"].to_list(), pairs["second"].to_list()))


def kappa(first: list[str], second: list[str]) -> pl.DataFrame:
    """Cohen's kappa: (agreement - chance)/(1 - chance), chance from the two margins.

    Cohen, J. (1960), A coefficient of agreement for nominal scales. Null where nothing was coded
    twice, or where both used one and the same code throughout, so that chance alone is perfect.

    Args:
        first: codes of one annotator.
        second: codes of the other for the same rows.

    Returns:
        Table AGREEMENT, one row.
    """
    n = len(first)
    if not n:
        return AGREEMENT.build([{"n": 0}])
    same = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(first.count(c) * second.count(c) for c in sorted({*first, *second})) / n**2
    value = (same - chance) / (1 - chance) if chance < 1 else None
    return AGREEMENT.build([{"n": n, "agreement": same, "chance": chance, "kappa": value}])
