"""Published frequencies (specification of `trace`, sections 3.2, 9.1 T1 and 9.2 T4)."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.corpus.frequencies import contradictions, read_frequencies
from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, load
from polylore.tables import raw

FACTS = [("0", "France", "Paris"), ("1", "Spain", "Madrid"), ("2", "France", "Paris")]


@pytest.fixture
def three() -> FactSet:
    rows = [
        {
            "fact_id": fact_id,
            "relation": "capital",
            "lang": "en",
            "subject": subject,
            "object": gold,
            "aliases": [],
            "candidate_ids": [],
            "candidates": [],
            "source": "test",
            "flags": [],
        }
        for fact_id, subject, gold in FACTS
    ]
    return FactSet("three", raw.FACTS.build(rows), raw.TEMPLATES.empty())


def save(folder: Path, values: list[Any], **more: Any) -> Path:
    records = [
        {"subject": s, "object": o, "index": int(i), "frequency": value}
        for (i, s, o), value in zip(FACTS, values, strict=False)
    ]
    path = folder / "counts.json"
    path.write_text(json.dumps({"en": {"capital": records}} | more))
    return path


def test_layout(three: FactSet, tmp_path: Path) -> None:
    other = {"de": {"capital": [{"index": 0, "frequency": "not read"}]}}
    frame = read_frequencies(save(tmp_path, [7, 0], **other), three)
    assert frame["count"].to_list() == [7, 0, None]
    first = frame.row(0, named=True)
    assert (first["source"], first["unit"], first["exposure_kind"]) == (
        "counts",
        "document",
        "total",
    )
    assert first["exact"] is True
    assert first["lang_conditioned"] is False
    assert first["step_lo"] is first["step_hi"] is first["doc_lang"] is None


def test_null_and_whole_floats(three: FactSet, tmp_path: Path) -> None:
    frame = read_frequencies(save(tmp_path, [None, 4.0, 2]), three, source="dolma")
    assert frame["count"].to_list() == [None, 4, 2]
    assert set(frame["source"]) == {"dolma"}


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), float("inf"), "12", True, [3]])
def test_impossible_counts(three: FactSet, tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"counts\.json, en, capital\[1\]: frequency must be"):
        read_frequencies(save(tmp_path, [3, value, 3]), three)


def test_pairs_within_a_window(three: FactSet, tmp_path: Path) -> None:
    path = save(tmp_path, [1, 2, 3])
    content = json.loads(path.read_text())
    content["en"]["capital"][0]["approx"] = True
    content["en"]["capital"][1]["approx"] = False
    path.write_text(json.dumps(content))
    frame = read_frequencies(path, three, kind="infini-gram")
    assert frame["exact"].to_list() == [False, True, None]
    assert set(frame["unit"]) == {"window:1000"}
    content["en"]["capital"][0]["approx"] = "yes"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="approx must be true or false"):
        read_frequencies(path, three)


def test_files_of_other_facts(three: FactSet, tmp_path: Path) -> None:
    path = save(tmp_path, [1, 2, 3])
    content = json.loads(path.read_text())
    content["en"]["capital"][1]["object"] = "Toledo"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"index 1 is .*Toledo.* here but .*Madrid"):
        read_frequencies(path, three)
    with pytest.raises(DataError, match="holds no fact of the set three"):
        read_frequencies(save(tmp_path, []), three)
    with pytest.raises(ConfigError, match="must be one of wimbd, infini-gram"):
        read_frequencies(path, three, kind="google")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="There is no file"):
        read_frequencies(tmp_path / "none.json", three)
    path.write_text("[]")
    with pytest.raises(DataError, match="must hold"):
        read_frequencies(path, three)


def test_index_twice(three: FactSet, tmp_path: Path) -> None:
    path = save(tmp_path, [1, 2, 3])
    content = json.loads(path.read_text())
    content["en"]["capital"].append(content["en"]["capital"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="index 0 occurs more than once"):
        read_frequencies(path, three)


def test_equal_strings_need_equal_counts(three: FactSet, tmp_path: Path) -> None:
    bad = contradictions(read_frequencies(save(tmp_path, [7, 1, 8]), three), three)
    assert bad.select("subject", "object").row(0) == ("France", "Paris")
    assert bad["counts"].to_list() == [[7, 8]]
    assert contradictions(read_frequencies(save(tmp_path, [7, 1, 7]), three), three).is_empty()


def test_published_counts(published: Path) -> None:
    klar = load(published / "klar")
    frame = read_frequencies(published / "klar" / "wimbd_frequencies.json", klar)
    assert frame.height == 14364
    assert frame["count"].null_count() == 0
    assert contradictions(frame, klar).is_empty()
    assert (frame["count"].sum(), frame["count"].max()) == (970_247_979, 59_735_284)
    assert (frame["count"] == 0).sum() == 6518
    golden = json.loads((published / "klar" / "golden.json").read_text(encoding="utf-8"))
    for lang, expected in golden["reference_stats"]["wimbd"].items():
        counts = frame.filter(pl.col("lang") == lang)["count"]
        assert (counts == 0).sum() == expected["zeros"]
        assert counts.median() == expected["median"]
        assert counts.sum() == expected["sum"]
