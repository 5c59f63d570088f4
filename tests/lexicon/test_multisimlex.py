"""Multi-SimLex against the golden counts of the specification of `patch`, section 9."""

import json
from pathlib import Path

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon import flags_table, load_lexicon
from polylore.facts.lexicon.recovery import cited_forms, recover
from polylore.studies.reproduce_patch import reproduce_patch

TEN = ["en", "zh", "cy", "et", "fi", "fr", "pl", "ru", "es", "yue"]


@pytest.fixture(scope="module")
def file(published: Path) -> Path:
    path = published / "multisimlex" / "Vulic-2020-2244.tsv"
    if not path.is_file():
        pytest.skip("Multi-SimLex is not among the published data on this machine")
    return path


@pytest.fixture(scope="module")
def counts(file, tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce") / "patch.json"
    reproduce_patch(file, out)
    return json.loads(out.read_text(encoding="utf-8"))


def test_what_the_file_holds(counts) -> None:
    found = counts["file"]
    assert (found["rows"], found["slots"], found["pairs"]) == (2244, 3776, 1888)
    assert found["rows_by_pos"] == {"nouns": 1330, "verbs": 468, "adjectives": 295, "adverbs": 151}
    assert found["slots_by_pos"] == {"nouns": 2102, "verbs": 938, "adjectives": 490, "adverbs": 246}
    assert found["cells_with_wrong_number_of_values"] == 0
    assert found["glosses_not_in_linked_row"] == 0
    assert found["cells"] == 26928
    blurred = {"cy": 237, "ar": 221, "he": 139, "pl": 82, "es": 71, "fr": 66, "et": 61, "ru": 51}
    assert found["blurred_cells"] == {**blurred, "fi": 46, "en": 0, "zh": 0, "yue": 0}
    assert found["english_types"] == 2166
    assert found["english_types_with_several_pos"] == 18
    assert found["noun_types"] == 1291
    assert found["nouns_with_several_rows"]["n"] == 25
    assert {"bridge", "party", "horn", "straw"} <= set(found["nouns_with_several_rows"]["words"])
    errata = {lang: (n["rows"], n["slots"]) for lang, n in found["errata"].items()}
    assert errata == {"zh": (13, 16), "fr": (2, 2), "ru": (14, 18), "es": (9, 9)}


def test_how_its_cells_are_divided(counts) -> None:
    found = counts["recovery"]
    assert found["segment"]["cells"] == {"missing": 1, "repeat": 4, "segment": 26923}
    assert found["repeat"]["cells"]["unresolved"] == 109
    left = {lang: n for lang, n in found["repeat"]["unresolved"].items() if n}
    assert left == {
        **{"ar": 23, "he": 20, "cy": 16, "fr": 13, "et": 12},
        **{"pl": 9, "es": 7, "ru": 5, "fi": 4},
    }
    assert found["slots_where_they_differ"] == 0


@pytest.mark.parametrize(
    ("name", "kept", "nouns", "several", "anywhere", "homographs", "shared"),
    [
        (
            "repeat_10",
            (3593, 2112, 17),
            1280,
            (89, 68, 96, 31, 99),
            237,
            (192, 52, 1, 33, 550),
            (298, 1256),
        ),
        (
            "repeat_12",
            (3498, 2077, 17),
            1257,
            (85, 62, 92, 29, 94),
            262,
            (189, 51, 1, 32, 540),
            (292, 1227),
        ),
        (
            "segment_10",
            (3775, 2165, 18),
            1290,
            (89, 73, 100, 34, 99),
            247,
            (193, 52, 1, 33, 554),
            (300, 1262),
        ),
        (
            "segment_12",
            (3775, 2165, 18),
            1290,
            (89, 73, 100, 34, 99),
            295,
            (193, 52, 1, 33, 554),
            (300, 1262),
        ),
    ],
)
def test_what_is_left_after_cleaning(
    counts, name, kept, nouns, several, anywhere, homographs, shared
) -> None:
    found = counts["lexicons"][name]
    assert (found["slots_kept"], found["english_types"], found["pos_conflicts"]) == kept
    assert found["noun_concepts"] == nouns
    assert tuple(found["several_forms"][x] for x in ("zh", "fr", "ru", "es", "yue")) == several
    assert found["several_forms_in_any_language"] == anywhere
    pairs = ("en-fr", "en-es", "en-ru", "fr-es", "zh-yue")
    named = {frozenset(k.split("-")): n for k, n in found["homographs"].items()}
    assert tuple(named[frozenset(p.split("-"))] for p in pairs) == homographs
    assert (found["english_form_shared"], found["homographs_all_pairs"]) == shared


COLEXIFIED = {
    "repeat_10": "fr 89/179, ru 78/158, es 76/154, zh 55/115, yue 54/112",
    "repeat_12": "fr 85/171, ru 74/149, es 71/145, zh 53/109, yue 52/106, ar 93/191, he 104/206",
    "segment_10": "fr 93/187, ru 79/161, es 78/158, zh 55/115, yue 54/112",
    "segment_12": "fr 93/187, ru 79/161, es 78/158, zh 55/115, yue 54/112, ar 100/205, he 117/232",
}


@pytest.mark.parametrize("name", COLEXIFIED)
def test_colexification(counts, name) -> None:
    found = counts["lexicons"][name]["colexified"]
    for part in COLEXIFIED[name].split(", "):
        lang, numbers = part.split()
        assert f"{found[lang]['forms']}/{found[lang]['concepts']}" == numbers, lang


def test_false_friends(counts) -> None:
    numbers = {"repeat_10": (6, 1, 1), "repeat_12": (6, 0, 1), "segment_10": (8, 1, 1)}
    for name, expected in numbers.items():
        found = counts["lexicons"][name]["false_friends"]
        assert tuple(len(found[p]) for p in ("en-fr", "en-es", "fr-es")) == expected
    words = ["application", "basket", "chair", "coin", "course", "parade"]
    assert counts["lexicons"]["repeat_10"]["false_friends"]["en-fr"] == words


def test_majority_and_stacking(counts) -> None:
    found = counts["lexicons"]["segment_10"]
    differs = {lang: found["first_form_differs"][lang] for lang in ("zh", "fr", "ru", "es", "yue")}
    assert differs == {"zh": 17, "fr": 16, "ru": 12, "es": 5, "yue": 16}
    named = {frozenset(k.split("-")): n for k, n in found["first_form_homographs"].items()}
    pairs = ("en-fr", "en-es", "fr-es", "zh-yue")
    assert tuple(named[frozenset(p.split("-"))] for p in pairs) == (192, 51, 33, 532)


def test_flags_and_clean_subset(counts) -> None:
    found = counts["lexicons"]["segment_10"]["flags"]
    shown = {
        name: tuple(row[k] for k in ("hom_false", "poly", "clean")) for name, row in found.items()
    }
    assert shown["en-fr"] == (8, 89, 874)
    assert shown["fr-en"] == (24, 89, 876)
    assert shown["en-es"] == (1, 58, 1052)
    assert shown["es-en"] == (5, 58, 1052)
    assert shown["fr-es"] == (3, 108, 945)
    assert shown["ru-en"] == (0, 102, 1060)
    assert shown["zh-en"] == (0, 106, 1086)
    assert shown["zh-yue"] == (4, 120, 632)


def test_rated_pairs_and_number_of_source_pairs(counts) -> None:
    found = counts["lexicons"]["segment_10"]
    assert list(found["noun_pairs"].values()) == [1051, 151, 71, 49, 23, 7]
    assert list(found["noun_pairs_of_concepts"].values()) == [1032, 149, 70, 49, 23, 7]
    assert [counts["k_seen"][p] for p in ("fr-en", "fr-es", "cy-en")] == [42, 30, 56]


def test_forms_and_senses_of_single_words(file) -> None:
    lexicon = load_lexicon(file, TEN)
    assert "zero" not in lexicon.concepts
    [wife] = lexicon.forms("wife", "et")
    assert (wife.text, wife.aliases, wife.flags) == (
        "abikaasa",
        ("abikaasa (naine)",),
        ("gloss_in_form",),
    )
    bridge, cards = lexicon.forms("bridge", "ru")
    assert (bridge.text, cards.text) == ("мост", "бридж")
    assert not set(bridge.senses) & set(cards.senses)
    assert [f.text for f in lexicon.accepted("bridge", "ru", "en")] == ["мост"]
    assert [f.text for f in lexicon.accepted("bridge", "ru")] == ["мост", "бридж"]
    assert [f.text for f in lexicon.accepted("teacher", "fr", "en")] == [
        "enseignant",
        "professeur",
    ]
    scores = {(a, b): s for a, b, s in lexicon.similarity.iter_rows()}
    assert scores["automobile", "car"] >= 4.5


def test_flags_of_single_words(file) -> None:
    table = flags_table(load_lexicon(file, TEN), [("en", "fr"), ("fr", "en"), ("es", "en")])
    rows = {(r["concept_id"], r["lang_a"], r["lang_b"]): r for r in table.to_dicts()}
    assert rows["football", "en", "fr"]["hom_same"]
    assert rows["coin", "en", "fr"]["hom_false"]
    assert rows["bread", "fr", "en"]["hom_false"]
    assert rows["foot", "es", "en"]["hom_false"]
    assert rows["bridge", "en", "fr"]["poly"]
    assert rows["house", "en", "fr"]["clean"]
    assert "automobile" in rows["car", "en", "fr"]["near_synonyms"]


def test_cells_are_divided_by_citation() -> None:
    assert cited_forms("disease (illness/sickness)") == ("disease", "illness", "sickness")
    assert recover("a b c", "a b (c)", 2).forms == ("a b", "c")
    assert recover("a b c", "a b (c)", 2, "repeat").how == "unresolved"
    assert recover("a b a b", "x", 2) == (("a b", "a b"), "repeat")
    assert recover("a a a", "a (a a)", 2).how == "unresolved"
    assert recover("  ", "[null]", 1) == (None, "missing")


def test_unknown_language_names_those_there_are(file) -> None:
    with pytest.raises(ConfigError, match="no language 'sw'; it has en, zh"):
        load_lexicon(file, ["en", "sw"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.replace("203:2", "203:3", 1), "line 2: '203:3' in SIMLEX_IDS"),
        (lambda s: s.replace("\t4.923076923076923\t", "\t4.9 1\t", 1), "has 2 values for 1 slots"),
        (lambda s: s.replace("NUMBER", "NO", 1), "lacks the column NUMBER"),
    ],
)
def test_broken_files_are_refused(file, tmp_path, change, message) -> None:
    head = "\n".join(file.read_text(encoding="utf-8").split("\n")[:4]) + "\n"
    broken = tmp_path / "broken.tsv"
    broken.write_text(change(head), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_lexicon(broken)


def test_the_authors_tables(tmp_path) -> None:
    both = tmp_path / "all.csv"
    both.write_text(
        "ID,PoS,ENG 1 ,ENG 2 ,SWA 1,SWA 2\n1,N,cat,dog,paka,mbwa\n2,N,dog,wolf,jibwa,\n"
        "3,V,go,run,enda,kimbia\n",
        encoding="utf-8",
    )
    lexicon = load_lexicon(both)
    assert lexicon.languages == ["en", "sw"]
    assert lexicon.concepts == ["cat", "dog"]
    assert [f.text for f in lexicon.forms("dog", "sw")] == ["jibwa", "mbwa"]
    alone = tmp_path / "one"
    alone.mkdir()
    (alone / "SWA.csv").write_text(
        "ID,PoS,SWA 1,SWA 2,translation 1,translation 2\n1,N,cat,dog,paka,mbwa\n", encoding="utf-8"
    )
    assert [f.text for f in load_lexicon(alone).forms("cat", "sw")] == ["paka"]
