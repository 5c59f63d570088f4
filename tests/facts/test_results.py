"""Import of answers graded elsewhere."""

import json
from pathlib import Path

import polars as pl
import pytest

from polylore.errors import DataError
from polylore.facts import FactSet
from polylore.facts.results import read_results


@pytest.fixture
def numbered(make) -> FactSet:
    return make(
        [
            (str(i), "r" if i < 3 else "q", lang, f"s{i}", f"o{i}")
            for lang in ("en", "fr")
            for i in range(5)
        ]
    )


def save(folder: Path, content: object) -> Path:
    path = folder / "results_details.json"
    path.write_text(json.dumps(content))
    return path


def record(correct: list[int], groups: dict[str, object]) -> dict[str, object]:
    total = sum(len(v) if isinstance(v, list) else int(str(v)) for v in groups.values())
    return {
        "correct": len(correct),
        "total": total,
        "correct_indices": correct,
        "total_indices_per_relation": groups,
        "correct_indices_per_relation": {},
    }


def test_labels_only(numbered: FactSet, tmp_path: Path) -> None:
    content = {
        "en": record([1, 3], {"r": [0, 1, 2], "q": [3]}),
        "fr": record([4], {"r": 3, "q": 2}),
    }
    run = read_results(save(tmp_path, content), numbered, "step1000")
    english = run.grades.filter(pl.col("lang") == "en")
    assert dict(english.select("fact_id", "y").iter_rows()) == {
        "0": False,
        "1": True,
        "2": False,
        "3": True,
    }
    french = run.grades.filter(pl.col("lang") == "fr")
    assert french.height == 5
    assert french.filter(pl.col("y"))["fact_id"].to_list() == ["4"]
    assert set(run.grades["matcher"]) == {"paper"}
    assert set(run.grades["ckpt_id"]) == {"step1000"}
    assert run.grades.filter(pl.col("fact_id") == "3")["relation"][0] == "q"
    assert run.answers.height == 9
    assert run.answers["raw_text"].null_count() == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": 7}, "en: correct is 7, but 2 indices"),
        ({"total": 9}, "total is 9, but 4"),
        ({"correct_indices": [1, 99]}, "1 indices are not in the fact set test, the first are 99"),
        ({"correct_indices": [1, 1]}, "listed more than once are 1"),
        ({"correct_indices": [1, 4]}, "right but not asked are the indices 4"),
        ({"correct_indices": None}, "must be an object with the list correct_indices"),
        ({"total_indices_per_relation": []}, "must be an object"),
    ],
)
def test_contradictions(numbered: FactSet, tmp_path: Path, change, message: str) -> None:
    content = {"en": record([1, 3], {"r": [0, 1, 2], "q": [3]}) | change}
    with pytest.raises(DataError, match=message):
        read_results(save(tmp_path, content), numbered, "x")


def test_unknown_language(numbered: FactSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no language 'de'; it has en, fr"):
        read_results(save(tmp_path, {"de": record([], {})}), numbered, "x")
    with pytest.raises(DataError, match="must hold"):
        read_results(save(tmp_path, []), numbered, "x")
