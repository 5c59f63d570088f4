"""The door: layouts, languages, relations, and bad input in one sentence each."""

import json
from pathlib import Path

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts import load


def test_klar_folder(klar_folder: Path) -> None:
    factset = load(klar_folder)
    assert factset.languages == ["en", "fr"]
    assert factset.relations == ["capital", "river"]
    assert factset.fact_ids == ["0", "1", "7"]
    assert factset.fact("1", "fr")["subject"] == "Espagne"
    assert factset.notes == ()


def test_klar_languages_in_the_order_asked(klar_folder: Path) -> None:
    assert load(klar_folder, languages=["fr", "en"]).languages == ["fr", "en"]
    with pytest.raises(ConfigError, match="has no language 'de'; it has en, fr"):
        load(klar_folder, languages=["de"])


def test_klar_keeps_every_template(klar_folder: Path, write) -> None:
    facts = [(0, "France", "Paris")]
    write(klar_folder, "en", "capital", facts, ["<subject> a <mask>", "<subject> b <mask>"])
    assert load(klar_folder).wordings("capital", "en") == [
        "<subject> a <mask>",
        "<subject> b <mask>",
    ]


def test_relation_missing_in_a_language_is_dropped_and_listed(klar_folder: Path) -> None:
    (klar_folder / "fr" / "river.json").unlink()
    factset = load(klar_folder)
    assert factset.relations == ["capital"]
    assert "river (missing in fr)" in factset.notes[0]
    assert load(klar_folder, languages=["en"]).relations == ["capital", "river"]
    with pytest.raises(ConfigError, match=r"river \(missing in fr\)"):
        load(klar_folder, relations=["river"])


def test_strict_refuses_gaps(klar_folder: Path, write) -> None:
    write(klar_folder, "fr", "capital", [(0, "France", "Paris")])
    assert load(klar_folder).fact_ids == ["0", "1", "7"]
    with pytest.raises(DataError, match=r"1 facts are missing.*'1' \(no fr\)"):
        load(klar_folder, strict=True)


def test_text_after_mask_is_noted_once(klar_folder: Path, write, tmp_path: Path) -> None:
    for lang in ("en", "fr"):
        write(klar_folder, lang, "capital", [(0, "France", "Paris")], ["<subject> <mask> it is"])
    factset = load(klar_folder)
    assert [note for note in factset.notes if "<mask>" in note] == list(factset.notes)
    assert len(factset.notes) == 1
    factset.export(tmp_path / "out")
    assert load(tmp_path / "out").notes == factset.notes


def test_given_templates_replace_those_of_the_source(klar_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    wordings = {
        lang: {r: ["<subject> = <mask>"] for r in ("capital", "river")} for lang in ("en", "fr")
    }
    path.write_text(json.dumps(wordings))
    assert load(klar_folder, templates=path).wordings("river", "fr") == ["<subject> = <mask>"]


@pytest.mark.parametrize(
    ("facts", "templates", "message"),
    [
        (
            [(0, "", "Paris")],
            ["<subject> <mask>"],
            r"capital\.json, samples\[0\] has an empty.*subject",
        ),
        (
            [(0, "France", " ")],
            ["<subject> <mask>"],
            r"samples\[0\] has an empty or missing object",
        ),
        (
            [(0, "F", "P"), (0, "S", "M")],
            ["<subject> <mask>"],
            "fact 0 occurs twice in 'en', first at",
        ),
        ([(7, "F", "P")], ["<subject> <mask>"], "fact 7 belongs to .* but to"),
        ([(1.5, "F", "P")], ["<subject> <mask>"], "index must be an integer, not 1.5"),
        ([(True, "F", "P")], ["<subject> <mask>"], "index must be an integer"),
        ([], ["<subject> <mask>"], "samples must be a list of at least one"),
        ([(0, "F", "P")], [], "prompt_templates must be a list of at least one"),
        ([(0, "F", "P")], ["Where is <subject>?"], r"prompt_templates\[0\].*lacks <mask>"),
        ([(0, "F", "P")], ["<mask>"], "lacks <subject>"),
    ],
)
def test_broken_klar_file(klar_folder: Path, write, facts, templates, message: str) -> None:
    write(klar_folder, "en", "capital", facts, templates)
    with pytest.raises(DataError, match=message):
        load(klar_folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "must hold one JSON object"),
        ('{"relation_name": ""}', "empty or missing relation_name"),
        ('{"relation_name": "r", "prompt_templates": [3]}', "must be a string"),
        (
            '{"relation_name": "r", "prompt_templates": ["<subject><mask>"], "samples": [3]}',
            "must be an object with subject",
        ),
    ],
)
def test_klar_file_of_another_shape(klar_folder: Path, content: str, message: str) -> None:
    (klar_folder / "en" / "capital.json").write_text(content)
    with pytest.raises(DataError, match=f"capital.json.*{message}"):
        load(klar_folder)


def test_missing_and_foreign_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file or folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no fact set: expected"):
        load(tmp_path)
    other = tmp_path / "facts.xlsx"
    other.write_bytes(b"x")
    with pytest.raises(ConfigError, match="must end in"):
        load(other)


def filled(folder: Path, **lines: list[str]) -> Path:
    templates = {
        "en": {"a": "Capital of <subject> is <mask>", "b": "River at <subject>: <mask>!"},
        "fr": {"a": "<mask> capitale de <subject>", "b": "Fleuve à <subject> : <mask>"},
    }
    folder.mkdir()
    (folder / "templates.json").write_text(json.dumps(templates), encoding="utf-8")
    texts = {
        "eng_Latn": [
            "Capital of France is Paris",
            "Capital of Spain is Madrid",
            "River at Köln: Rhine!",
        ],
        "fra_Latn": [
            "Paris capitale de France",
            "Madrid capitale de Espagne",
            "Fleuve à Cologne : Rhin",
        ],
    } | lines
    for code, text in texts.items():
        (folder / f"{code}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def test_filled_sentences_are_won_back(tmp_path: Path) -> None:
    factset = load(filled(tmp_path / "text"))
    assert factset.languages == ["en", "fr"]
    assert factset.fact_ids == ["a:0", "a:1", "b:0"]
    fact = factset.fact("a:1", "fr")
    assert (fact["subject"], fact["object"]) == ("Espagne", "Madrid")
    assert factset.fact("b:0", "en")["object"] == "Rhine"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Capital of France is Paris"], "not parallel"),
        (
            ["Capital of France is Paris", "What?", "River at Köln: Rhine!"],
            r"line 2: no template fits",
        ),
        (
            ["Capital of France is Paris", "Capital of S is T is U", "River at Köln: Rhine!"],
            "line 2: cannot tell subject and object apart",
        ),
        (
            ["River at France: Paris!", "Capital of Spain is Madrid", "River at Köln: Rhine!"],
            "Line 1 .*no relation fits",
        ),
    ],
)
def test_broken_sentences(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(filled(tmp_path / "text", eng_Latn=lines))
