"""Coding by people: sheets out, codes in."""

import csv
import io
from types import SimpleNamespace

import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics import patching
from polylore.metrics.patching import Forms
from polylore.metrics.patching.errors import category_of


@pytest.fixture(scope="module")
def coded(make: SimpleNamespace) -> SimpleNamespace:
    """Twelve words whose answers fit nothing, in two settings."""
    words = {f"c{i:02d}": {"en": [f"=word{i}"], "fr": [f"mot{i}"]} for i in range(12)}
    lexicon = make.lexicon(words)
    pairs = make.pairs([(f"c{i:02d}", f"c{(i + 1) % 12:02d}") for i in range(12)])
    rows = [
        make.keys(pair, "en", "fr", setting, onset) | {"raw_text": f"Zut-{i}!"}
        for i, pair in enumerate(pairs.iter_rows(named=True))
        for setting, onset in (("src_unpatched", None), ("seen", 0))
    ]
    answers, forms = make.answers(rows), Forms(lexicon.frame)
    flags = make.flags(lexicon, [("en", "fr")])

    def classes(manual: pl.DataFrame | None = None) -> pl.DataFrame:
        return patching.error_classes(answers, pairs, forms, flags, manual=manual)

    return SimpleNamespace(rows=patching.to_code(classes(), forms), classes=classes)


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def filled(
    text: str, codes: dict[str, str], columns: list[str] | None = None, sep: str = ","
) -> str:
    """A sheet as it comes back: codes by answer."""
    out = io.StringIO()
    rows = cells(text)
    writer = csv.DictWriter(out, columns or list(rows[0]), delimiter=sep)
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"code": codes.get(row["answer"], "")})
    return out.getvalue()


def test_a_sheet_is_blind_shuffled_and_harmless(coded: SimpleNamespace) -> None:
    first, second = (patching.sheet(coded.rows, annotator=n) for n in (1, 2))
    rows = cells(first)
    # Both settings gave the same answers; each stands there once.
    assert len(rows) == 12
    assert list(rows[0]) == [
        "row_id", "lang_a", "lang_b", "query", "accepted", "answer", "code", "comment"
    ]  # fmt: skip
    assert "seen" not in first
    assert "unpatched" not in first
    order = [[r["row_id"] for r in cells(text)] for text in (first, second)]
    assert sorted(order[0]) == sorted(order[1])
    assert order[0] != order[1] != sorted(order[1])
    assert all(r["query"].startswith("'=word") for r in rows)
    assert all(not v.startswith(("=", "+", "-", "@")) for r in rows for v in r.values())
    assert patching.sheet(coded.rows, annotator=1) == first


def test_codes_return_in_any_column_order_and_with_any_separator(coded: SimpleNamespace) -> None:
    text = patching.sheet(coded.rows, annotator=1)
    turned = ["comment", "code", "answer", "row_id", "query", "accepted", "lang_b", "lang_a"]
    for sep in ",;\t":
        back = "\ufeff" + filled(text, {"zut-3": " Related "}, turned, sep)
        codes = patching.read_sheet(back, coded.rows)
        assert codes["code"].to_list() == ["related"]
        row = coded.rows.filter(pl.col("row_id") == codes["row_id"][0]).row(0, named=True)
        assert (row["fact_id"], row["answer_key"]) == ("c03", "zut-3")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("row_id", "id", "no column row_id"),
        ("zut-4", "zut-5", "sort whole rows"),
        (",,", ",nonsense,", "has the code 'nonsense'"),
    ],
)
def test_broken_sheets_are_refused(
    coded: SimpleNamespace, old: str, new: str, message: str
) -> None:
    text = filled(patching.sheet(coded.rows, annotator=1), {})
    with pytest.raises(DataError, match=message):
        patching.read_sheet(text.replace(old, new, 1), coded.rows)


def test_foreign_and_double_rows_are_refused(coded: SimpleNamespace) -> None:
    text = filled(patching.sheet(coded.rows, annotator=1), {})
    line = text.splitlines()[1]
    with pytest.raises(DataError, match="repeats the row_id"):
        patching.read_sheet(text + line + "\n", coded.rows)
    with pytest.raises(DataError, match="unknown row_id 'feedbeef'"):
        patching.read_sheet(text + "feedbeef" + line[12:] + "\n", coded.rows)
    with pytest.raises(DataError, match="no column"):
        patching.read_sheet("", coded.rows)


def test_kappa_of_a_known_table() -> None:
    # Cohen's margins: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 observed, 0.5 by chance.
    first = ["related"] * 25 + ["other"] * 25
    second = ["related"] * 20 + ["other"] * 5 + ["related"] * 10 + ["other"] * 15
    row = patching.kappa(first, second).row(0, named=True)
    assert (row["n"], row["agreement"], row["chance"]) == (50, 0.7, 0.5)
    assert row["kappa"] == pytest.approx(0.4)
    assert patching.kappa(["other"], ["other"])["kappa"][0] is None
    assert patching.kappa([], []).row(0) == (0, None, None, None)


def test_manual_codes_stand_beside_the_automatic_ones_and_override_them(
    coded: SimpleNamespace,
) -> None:
    def back(annotator: int, codes: dict[str, str]) -> pl.DataFrame:
        text = patching.sheet(coded.rows, annotator=annotator)
        return patching.read_sheet(filled(text, codes), coded.rows)

    first = back(1, {"zut-0": "correct_alt", "zut-1": "related", "zut-2": "fragment"})
    second = back(2, {"zut-0": "correct_alt", "zut-1": "near_synonym"})
    merged = patching.merge_codes(coded.rows, first, second)
    assert merged.open.select("first", "second").rows() == [("related", "near_synonym")]
    assert merged.agreement.row(0, named=True)["n"] == 2
    table = coded.classes(merged.codes)
    manual = dict(table.filter(pl.col("onset") == 0).select("fact_id", "manual").rows())
    assert (manual["c00"], manual["c01"], manual["c02"]) == ("correct_alt", None, "fragment")
    assert set(table["category"]) == {"other"}
    assert table.filter(pl.col("manual") == "correct_alt").height == 2
    final = category_of(table)
    assert final["right"].sum() == 2
    third = back(1, {"zut-1": "near_synonym"})
    settled = patching.merge_codes(coded.rows, first, second, third)
    assert settled.open.height == 0
    assert "near_synonym" in settled.codes["code"].to_list()
    alone = patching.merge_codes(coded.rows, first)
    assert (alone.codes.height, alone.agreement["n"][0]) == (3, 0)
