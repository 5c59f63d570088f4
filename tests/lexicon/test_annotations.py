"""The built-in lexicon and the reader of CLDR's annotations (`patch`, section 3)."""

import json
from pathlib import Path

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon import Words, language_stats, load_lexicon

TWENTY = [
    "en",
    "zh",
    "es",
    "hi",
    "ar",
    "bn",
    "pt",
    "ru",
    "ja",
    "de",
    "fr",
    "ko",
    "vi",
    "tr",
    "it",
    "id",
    "fa",
    "sw",
    "th",
    "ur",
]


@pytest.fixture(scope="module")
def extract(published: Path) -> Path:
    path = published / "cldr" / "cldr_concepts.jsonl"
    if not path.is_file():
        pytest.skip("the extract of CLDR is not among the published data on this machine")
    return path


@pytest.fixture(scope="module")
def everything(extract):
    return load_lexicon(extract, subset="all")


def test_golden_counts_of_the_extract(extract, everything) -> None:
    assert len(everything.concepts) == 568
    assert len(everything.languages) == 104
    objects = load_lexicon(extract)
    assert len(objects.concepts) == 510
    complete, lacking = objects.complete(TWENTY)
    assert len(complete.concepts) == 508
    assert sorted(objects.forms(c, "en")[0].text for c in lacking) == ["orca", "trombone"]


def test_golden_table_of_the_extract(extract) -> None:
    stats = language_stats(load_lexicon(extract, TWENTY, subset="all"))
    columns = {c: stats[c].to_list()[1:] for c in ("concepts", "same_as_english", "multi_word")}
    assert columns["concepts"] == [
        {"hi": 567, "sw": 567}.get(lang, 568) for lang in TWENTY if lang != "en"
    ]
    assert columns["same_as_english"] == [
        *(2, 57, 0, 0, 0, 61, 1, 2, 101, 100, 1, 23, 44, 78, 100, 0, 25, 0, 0)
    ]
    assert columns["multi_word"] == [
        *(0, 77, 116, 179, 61, 74, 65, 0, 23, 79, 54, 417, 113, 78, 128, 114, 117, 3, 160)
    ]
    assert stats["colexified_forms"].sum() == 0


def test_golden_pairs_of_the_extract(everything) -> None:
    words = Words(everything, as_given=True)
    expected = "es-pt 117, es-it 83, fr-it 51, fr-de 68, es-fr 42, id-ms 238, ru-uk 168, "
    expected += "zh-yue 121, de-nl 97, zh-ja 28, ar-fa 28, ar-ur 14, hi-ur 0"
    for part in expected.split(", "):
        pair, n = part.split()
        assert len(words.homographs(*pair.split("-"))) == int(n), pair
    same = [words.homographs("en", lang) for lang in TWENTY if lang != "en"]
    assert sum(map(len, same)) == 595
    assert len(set().union(*same)) == 205


def test_false_friends_of_the_extract(everything) -> None:
    words = Words(everything)
    name = {everything.forms(c, "en")[0].text: c for c in everything.concepts}
    assert words.named["fr"]["trombone"] == {name["paperclip"]}
    assert "trombone" in words.false_friends("en", "fr")
    assert words.named["it"]["burro"] == {name["butter"]}
    assert words.named["es"]["burro"] == {name["donkey"]}
    assert "fil" in words.false_friends("fr", "tr")
    assert "bebek" in words.false_friends("tr", "id")


def test_the_built_in_lexicon_is_the_extract(extract) -> None:
    shipped = load_lexicon("cldr")
    assert len(shipped.concepts) == 510
    assert shipped.frame["source"].unique().to_list() == ["CLDR 48.2.0"]
    read = load_lexicon(extract, shipped.languages)
    assert shipped.digest() == read.filter(concepts=shipped.concepts).digest()


def test_shapes_of_the_built_in_lexicon() -> None:
    lexicon = load_lexicon("cldr", TWENTY)
    assert lexicon.languages == TWENTY
    assert len(lexicon.concepts) > 450
    assert all(len(lexicon.forms(c, "de")) == 1 for c in lexicon.concepts)
    teacher = "\U0001f9d1\u200d\U0001f3eb"
    assert teacher in lexicon.concepts
    student = next(c for c in lexicon.concepts if lexicon.forms(c, "en")[0].text == "student")
    [form] = lexicon.forms(student, "de")
    assert (form.text, form.aliases) == ("Student", ("Student(in)",))


def test_a_stub_is_refused(extract) -> None:
    with pytest.raises(ConfigError, match=r"has 365 of 568 names in 'lb', too few"):
        load_lexicon(extract, ["en", "lb"])


def annotations(folder: Path, **names: dict[str, str]) -> Path:
    for lang, listed in names.items():
        path = folder / "annotations" / lang.replace("_", "-") / "annotations.json"
        path.parent.mkdir(parents=True)
        entries = {c: {"tts": [name], "default": ["x"]} for c, name in listed.items()}
        path.write_text(json.dumps({"annotations": {"annotations": entries}}), encoding="utf-8")
    return folder


def test_inherited_names_are_resolved_or_dropped(tmp_path) -> None:
    folder = annotations(
        tmp_path,
        en={"🐈": "cat", "🐕": "dog"},
        es={"🐈": "gato", "🐕": "perro"},
        es_MX={"🐈": "↑↑↑", "🐕": "perrito"},
    )
    lexicon = load_lexicon(folder, ["en", "es-MX"])
    assert [lexicon.forms(c, "es-MX")[0].text for c in ("🐈", "🐕")] == ["gato", "perrito"]
    alone = annotations(tmp_path / "b", en={"🐈": "cat"}, fr={"🐈": "↑↑↑"})
    with pytest.raises(ConfigError, match="has 0 of 1 names in 'fr'"):
        load_lexicon(alone, ["en", "fr"])


def test_xml_says_the_same(tmp_path) -> None:
    for lang, name in (("en", "cat"), ("fr", "chat")):
        (tmp_path / f"{lang}.xml").write_text(
            f'<ldml><annotations><annotation cp="🐈">a | b</annotation>'
            f'<annotation cp="🐈" type="tts">{name}</annotation></annotations></ldml>',
            encoding="utf-8",
        )
    assert load_lexicon(tmp_path).forms("🐈", "fr")[0].text == "chat"
    (tmp_path / "fr.xml").write_text("<ldml>", encoding="utf-8")
    with pytest.raises(DataError, match="not valid XML"):
        load_lexicon(tmp_path)
