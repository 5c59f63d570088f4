"""Reading parallel sets, and the linter (specification of `align`, section 9.4)."""

import json

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.choices.baselines import baselines, gold_ranks, longest_common
from polylore.facts.choices.lint import MESSAGES, lint, summary
from polylore.facts.choices.sets import items_of, read_questions

ORDER = ["en", "de", "fr", "it", "pl", "ru", "ar", "he", "ja", "zh"]


@pytest.fixture(scope="module")
def questions(clika):
    return read_questions(clika / "tests")


@pytest.fixture(scope="module")
def counts(questions):
    return summary(lint(questions), MESSAGES)


def per_language(counts: pl.DataFrame, dataset: str, check: str) -> list[int]:
    found = dict(counts.filter(dataset=dataset, check=check).select("lang", "n").iter_rows())
    return [found.get(lang, 0) for lang in ORDER]


def test_published_items(questions):
    items = items_of(questions)
    sizes = items.group_by("dataset", maintain_order=True).agg(
        pl.len(), pl.col("n_options").first(), pl.col("gold_index").value_counts(sort=False)
    )
    assert [(d, n, k) for d, n, k, _ in sizes.iter_rows()] == [
        ("xcsqa", 1000, 5), ("xcopa", 500, 2), ("xpeo", 180, 4), ("xgeo", 200, 4)]  # fmt: skip
    golds = [
        [n for _, n in sorted((c["gold_index"], c["count"]) for c in counted)]
        for *_, counted in sizes.iter_rows()
    ]
    assert golds == [[199, 201, 195, 207, 198], [250, 250], [39, 39, 52, 50], [57, 50, 50, 43]]
    relations = items.filter(pl.col("relation").is_not_null())
    assert relations["relation"].value_counts().sort("relation").rows() == [
        ("admin_division", 200), ("birth_year", 90), ("death_year", 90)]  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "check", "expected"),
    [
        ("xcsqa", "duplicate_options", [18, 39, 51, 47, 53, 53, 40, 42, 46, 45]),
        ("xcsqa", "duplicate_options_folded", [18, 43, 51, 47, 53, 53, 40, 42, 46, 45]),
        ("xcsqa", "gold_duplicated", [7, 14, 19, 22, 17, 23, 14, 17, 18, 16]),
        ("xcsqa", "gold_duplicated_folded", [7, 15, 19, 22, 17, 23, 14, 17, 18, 16]),
        ("xcsqa", "empty_option", [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("xcsqa", "language_field", [0, *[1] * 9]),
        ("xgeo", "gold_in_question", [4, 4, 8, 5, 8, 11, 25, 8, 0, 2]),
        ("xcopa", "kind_differs", [0, 0, 0, 4, 0, 0, 0, 0, 0, 0]),
        ("xpeo", "options_as_pivot", [0, *[180] * 9]),
        ("xpeo", "bc_year", [45] * 10),
        ("xcsqa", "gold_differs", [0] * 10),
        ("xcsqa", "id_differs", [0] * 10),
    ],
)
def test_published_defects(counts, dataset, check, expected):
    assert per_language(counts, dataset, check) == expected


def test_published_places(questions):
    found = lint(questions).filter(check="kind_differs")
    assert found["item"].to_list() == [84, 111, 436, 454]
    assert set(found["evidence"]) == {"cause in the pivot, effect here"}
    assert gold_ranks(questions.filter(dataset="xpeo", lang="he")) == [42, 33, 40, 65]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("xcsqa", [19.9, 21.7, 22.2, 20.3, 20.3, 22.7, 21.2, 20.6, 21.5, 22.5]),
        ("xgeo", [31.9, 28.7, 30.4, 31.3, 30.5, 31.1, 40.2, 31.0, 32.4, 33.4]),
    ],
)
def test_published_overlap(questions, dataset, expected):
    table = baselines(questions.filter(dataset=dataset)).filter(baseline="overlap")
    # The specification prints halves now up, now down.
    assert table["acc"].to_list() == pytest.approx(expected, abs=0.0501)


def test_longest_common():
    assert longest_common("cairo", "is alexandria in cair or caio?") == 4
    assert longest_common("", "anything") == 0


def write(folder, name: str, rows: list[dict]) -> None:
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / name).write_text(text, encoding="utf-8")


def row(**changes) -> dict:
    return {"id": 0, "questions": "Where?", "answers": ["here", "there"], "label": 0} | changes


def test_languages_that_disagree(tmp_path):
    write(tmp_path, "s.en.jsonl", [row(), row(id=1)])
    write(tmp_path, "s.de.jsonl", [row(label=1, questions="Wo?")])
    questions = read_questions(tmp_path)
    with pytest.raises(DataError, match="different golds in s item 0"):
        items_of(questions)
    found = lint(questions)
    assert found.filter(lang="de").select("item", "check").rows() == [
        (0, "gold_differs"), (0, "options_as_pivot"), (1, "item_missing")]  # fmt: skip
    assert found.filter(lang="en", check="duplicate_question")["item"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("name", "rows", "error", "message"),
    [
        ("s.txt", [row()], DataError, "no file named like"),
        ("s.xqx.jsonl", [row()], ConfigError, "xqx"),
        ("s.en.jsonl", [row(label=2)], DataError, "line 1.*malformed"),
        ("s.en.jsonl", [{"id": 1}], DataError, "fits no known layout"),
    ],
)
def test_bad_files(tmp_path, name, rows, error, message):
    write(tmp_path, name, rows)
    with pytest.raises(error, match=message):
        read_questions(tmp_path)
