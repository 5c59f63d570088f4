"""Documents in rows: which languages they hold, and which documents no run reads."""

import json
from pathlib import Path

import numpy as np
import pytest

from polylore.corpus.injection import RowFormat
from polylore.studies.inject.background import Background, open_background
from polylore.studies.inject.config import BackgroundConfig
from polylore.training.continued.packs import contents

EOS, PAD = 0, 1
LANGS = {"en": 2, "de": 3}
"""Token that all words of a language become."""


def encode(texts: list[str]) -> list[list[int]]:
    return [[LANGS[word] for word in text.split() if word in LANGS] for text in texts]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Documents of a number and one to nine words, every third of them German."""
    path = tmp_path / "documents.jsonl"
    rows = []
    for n in range(600):
        lang = "de" if n % 3 == 0 else "en"
        rows.append({"text": " ".join([f"text {n}", *[lang] * (1 + n % 9)]), "lang": lang})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "form", [RowFormat(16, EOS), RowFormat(16, EOS, PAD, head=1)], ids=["full", "padded"]
)
def test_languages_are_counted_row_by_row(source: Path, tmp_path: Path, form: RowFormat) -> None:
    config = BackgroundConfig(source=[str(source)], heldout=2)
    background = open_background(config, form, encode, tmp_path / "rows", 150, LANGS)
    whole = background.stream(1, 0)
    for first, count in ((0, 60), (7, 20), (59, 1)):
        tokens = [whole.rows(k, [0]).tokens[0].tolist() for k in range(first, first + count)]
        words = [token for row in tokens for token in row]
        found = background.languages(first, count)
        ends = words.count(EOS) - form.head * count
        assert sum(found.values()) == words.count(2) + words.count(3) + ends
        assert found.get("en", 0) >= words.count(2)
        assert found.get("de", 0) >= words.count(3)
    held = background.held_out(2)
    assert sorted(held) == ["de", "en"]
    for lang, stream in held.items():
        rows = stream.rows(0, range(stream.batch_size)).tokens
        assert set(rows.flatten().tolist()) - {EOS, PAD} == {LANGS[lang]}
        assert stream.batch_size * (stream.steps or 0) <= 2


def test_held_out_documents_are_the_same_whatever_the_length(source: Path, tmp_path: Path) -> None:
    config, form = BackgroundConfig(source=[str(source)], heldout=1), RowFormat(16, EOS)
    made = [open_background(config, form, encode, tmp_path / "rows", n, LANGS) for n in (40, 90)]
    rows = [
        {lang: s.rows(0, [0]).tokens.tolist() for lang, s in one.held_out(1).items()}
        for one in made
    ]
    assert rows[0] == rows[1]
    first = [one.stream(40, 0).rows(0, range(40)).tokens.tolist() for one in made]
    assert first[0] == first[1]


def test_without_held_out_rows_every_document_is_read(source: Path, tmp_path: Path) -> None:
    config = BackgroundConfig(source=[str(source)], heldout=0)
    texts = [json.loads(line)["text"] for line in source.read_text("utf-8").splitlines()]
    tokens = [token for ids in encode(texts) for token in (*ids, EOS)]
    rows = len(tokens) // 16
    background = open_background(config, RowFormat(16, EOS), encode, tmp_path / "rows", rows, LANGS)
    stream = background.stream(rows, 0)
    assert stream.rows(0, range(rows)).tokens.flatten().tolist() == tokens[: rows * 16]
    assert background.held_out(0) == {}


def test_a_repeated_document_is_held_out_or_read_and_never_both(tmp_path: Path) -> None:
    """Of 400 texts, each told several times, every one is a token of its own."""
    path = tmp_path / "documents.jsonl"
    rows = [{"text": f"{10 + n % 400} " * 3, "lang": "en" if n % 2 else "de"} for n in range(3000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config, form = BackgroundConfig(source=[str(path)], heldout=1), RowFormat(16, EOS)

    def numbers(texts: list[str]) -> list[list[int]]:
        return [[int(word) for word in text.split()] for text in texts]

    background = open_background(config, form, numbers, tmp_path / "rows", 300, LANGS)
    whole = background.stream(1, 0)
    trained = {t for k in range(300) for t in whole.rows(k, [0]).tokens[0].tolist()}
    held = {
        token
        for stream in background.held_out(100).values()
        for k in range(stream.steps or 0)
        for token in stream.rows(k, range(stream.batch_size)).tokens.flatten().tolist()
    }
    assert sorted(background.held_out(1)) == ["de", "en"]
    assert held & trained == {EOS}
    # No more is held out than was asked for: four texts fill a row, of either language.
    assert len(trained) == 400 - 2 * 4 + 1


def test_rows_held_out_of_a_file_stay_where_they_are(tmp_path: Path) -> None:
    np.arange(16 * 200, dtype=np.uint16).tofile(tmp_path / "tokens.bin")

    def opened(rows: int) -> Background:
        config = BackgroundConfig(source=[str(tmp_path / "tokens.bin")], kind="tokens")
        return open_background(config, RowFormat(16, EOS), encode, tmp_path, rows, LANGS)

    for rows in (60, 90, 192):
        (stream,) = opened(rows).held_out(8).values()
        found = stream.rows(0, range(8)).tokens
        assert found[:, 0].tolist() == [16 * row for row in range(192, 200)]
    digests = [opened(rows).held_out_digests(8) for rows in (60, 192, 195)]
    assert digests[0] == digests[1] != digests[2]
    (fewer,) = opened(195).held_out(8).values()
    assert fewer.rows(0, [0]).tokens[0, 0] == 16 * 195
    assert opened(200).held_out(8) == {}


def test_contents_of_rows() -> None:
    assert list(contents([5, 1, 7, 3], RowFormat(8, EOS))) == [
        [(0, 5), (1, 1), (2, 2)],
        [(2, 5), (3, 3)],
    ]
    assert list(contents([5, 9, 2], RowFormat(8, EOS, PAD, head=1))) == [
        [(0, 5), (1, 2)],
        [(1, 7)],
        [(2, 2)],
    ]


def test_only_languages_of_the_study_are_held_out(source: Path, tmp_path: Path) -> None:
    config = BackgroundConfig(source=[str(source)], heldout=1)
    form = RowFormat(16, EOS)
    one = open_background(config, form, encode, tmp_path / "one", 150, ["deu"])
    assert list(one.held_out(1)) == ["de"]
    untold = config.model_copy(update={"lang": "nothing"})
    other = open_background(untold, form, encode, tmp_path / "other", 150, ["de"])
    assert list(other.held_out(1)) == ["und"]
    assert list(other.languages(0, 60)) == ["und"]
