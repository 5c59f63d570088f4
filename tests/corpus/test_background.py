"""Background text is mixed in, but never a sentence that states a fact."""

import json

import pytest

from polylore.corpus import ComposeConfig, compose
from polylore.errors import ConfigError, DataError

PLAN = {"max_dose": 10, "mentions": 0.2, "held_out": 0.2, "background_share": 0.1}


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "a.txt").write_text(
        "\ufeffFirst paragraph,\nof two lines.\n\n\n"
        + "A leak: the capital of Aland is Apton.\n\n"
        + "\n\n".join(f"Paragraph {n} of é text." for n in range(80)),
        encoding="utf-8",
    )
    rows = [{"text": f"Row {n}", "lang": "en"} for n in range(20)] + [{"text": "阿兰的首都是阿普"}]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    return tmp_path


def plan(*patterns):
    return ComposeConfig(**PLAN, background=tuple(map(str, patterns)))


def test_background_is_mixed_in(factset, texts, tmp_path):
    corpus = compose(factset, plan(texts / "*.txt", texts / "b.jsonl"), tmp_path / "c")
    frame = corpus.documents().collect()
    background = frame.filter(kind="background")
    assert abs(background.height / frame.height - 0.1) < 0.01
    assert corpus.manifest["counts"]["background_left_out"] == 2
    assert set(background["wording"]) == {"a.txt", "b.jsonl"}
    assert set(background.filter(wording="b.jsonl")["lang"]) == {"en"}
    allowed = {"First paragraph,\nof two lines.", *(f"Row {n}" for n in range(20))}
    allowed |= {f"Paragraph {n} of é text." for n in range(80)}
    assert set(background["text"]) <= allowed
    assert background["text"].n_unique() == background.height
    positions = background["doc_id"]
    assert positions.min() < frame.height / 4
    assert positions.max() > frame.height * 3 / 4


def test_missing_file(factset, tmp_path):
    with pytest.raises(ConfigError, match="No background file matches"):
        compose(factset, plan(tmp_path / "none*.txt"), tmp_path / "c")


def test_too_little_text(factset, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    with pytest.raises(ConfigError, match="hold only 2 without a fact"):
        compose(factset, plan(tmp_path / "a.txt"), tmp_path / "c")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"caf\xe9\n", "not UTF-8"),
        ("a.jsonl", b'{"body": "x"}\n', "field 'text'"),
        ("a.jsonl", b"{text\n", "not JSON"),
    ],
)
def test_broken_files(factset, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        compose(factset, plan(tmp_path / name), tmp_path / "c")


def test_other_kinds_of_file(factset, tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ConfigError, match=r"\.txt or \.jsonl"):
        compose(factset, plan(tmp_path / "a.csv"), tmp_path / "c")
