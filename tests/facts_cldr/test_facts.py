"""The derived facts: how many, which, and which never."""

import sys
import time
from collections import Counter

import polars as pl
import pytest

from polylore.errors import ConfigError
from polylore.facts.cldr import RELATIONS, build, shipped, wordings
from polylore.facts.cldr.claims import claims
from polylore.facts.factset import FactSet
from polylore.facts.load import load

SIXTEEN = [
    "en",
    "fr",
    "es",
    "de",
    "ca",
    "tr",
    "ru",
    "uk",
    "el",
    "ar",
    "zh",
    "ja",
    "ko",
    "hi",
    "fi",
    "sw",
]
LEAST = {
    "currency": 240,
    "official_language": 180,
    "continent": 225,
    "subregion": 240,
    "city_country": 260,
    "capital": 115,
    "script": 70,
}


def gold(facts: FactSet, fact_id: str, lang: str) -> str:
    return str(facts.fact(fact_id, lang)["object"])


def ids(facts: FactSet, fact_id: str) -> tuple[str, list[str]]:
    row = facts.fact(fact_id, "en")
    return row["candidate_ids"][row["gold_pos"]], row["candidate_ids"]


@pytest.mark.parametrize("relation", list(RELATIONS))
def test_counts_in_all_sixteen_languages(everything: FactSet, relation: str) -> None:
    parallel = everything.filter(languages=SIXTEEN, relations=[relation]).common()
    assert len(parallel.fact_ids) >= LEAST[relation]


def test_shape(everything: FactSet) -> None:
    assert everything.name == "cldr"
    assert everything.relations == list(RELATIONS)
    assert tuple(everything.languages) == wordings.languages()
    assert everything.facts["source"].str.contains("Unicode CLDR").all()
    for relation in RELATIONS:
        rows = everything.facts.filter(pl.col("relation") == relation)
        assert rows["fact_id"].str.starts_with(f"{relation}:").all()
        # A subject that stands for two entities would have two answers.
        assert not rows.select("lang", "subject").is_duplicated().any()


@pytest.mark.parametrize(
    ("fact_id", "lang", "expected"),
    [
        ("currency:FR", "fr", "euro"),
        ("currency:JP", "ja", "日本円"),
        ("currency:GB", "en", "British Pound"),
        ("official_language:BR", "es", "portugués"),
        ("official_language:JP", "fi", "japani"),
        ("continent:KE", "tr", "Afrika"),
        ("continent:BR", "zh", "美洲"),
        ("subregion:FR", "de", "Westeuropa"),
        ("subregion:KE", "en", "Eastern Africa"),
        ("city_country:America/Vancouver", "ko", "캐나다"),
        ("city_country:Europe/Zurich", "ca", "Suïssa"),
        ("city_country:Asia/Kolkata", "hi", "भारत"),
        ("capital:KE", "sw", "Nairobi"),
        ("capital:FR", "el", "Παρίσι"),
        ("capital:EG", "ar", "القاهرة"),
        ("capital:UA", "uk", "Київ"),
        ("script:ru", "ru", "кириллица"),
        ("script:hi", "en", "Devanagari"),
    ],
)
def test_spot_checks(everything: FactSet, fact_id: str, lang: str, expected: str) -> None:
    assert gold(everything, fact_id, lang) == expected


@pytest.mark.parametrize(
    ("fact_id", "code"),
    [
        ("currency:CH", "CHF"),
        ("currency:US", "USD"),
        ("currency:HR", "EUR"),
        ("currency:PA", "PAB"),
        ("official_language:NO", "no"),
        ("official_language:RS", "sr"),
        ("continent:FR", "150"),
        ("subregion:FR", "155"),
        ("capital:FR", "Europe/Paris"),
        ("script:ru", "Cyrl"),
    ],
)
def test_gold_codes(everything: FactSet, fact_id: str, code: str) -> None:
    assert ids(everything, fact_id)[0] == code


@pytest.mark.parametrize(
    "fact_id",
    [
        "currency:AQ",
        "currency:PS",  # two tenders, neither its own
        "official_language:BE",  # no language with twice the speakers of the next
        "official_language:SN",  # the most spoken is not the official one
        "continent:TR",
        "continent:AQ",
        "continent:ZA",  # "South Africa" holds the answer
        "city_country:Asia/Singapore",
        "city_country:Europe/Luxembourg",
        "city_country:America/Mexico_City",
        "city_country:Atlantic/Azores",
        "city_country:Asia/Calcutta",
        "city_country:Etc/UTC",
        "capital:ZA",
        "capital:IL",
        "capital:CG",
        "script:sr",
        "script:az",
        "script:zh",
        "script:ja",
        "script:th",
        "script:la",
    ],
)
def test_unsound_facts_are_left_out(everything: FactSet, fact_id: str) -> None:
    assert fact_id not in everything.fact_ids


def test_other_right_answers_are_accepted(everything: FactSet) -> None:
    canada = everything.fact("official_language:CA", "de")
    assert canada["object"] == "Englisch"
    assert canada["aliases"] == ["Französisch"]
    assert "several_answers" in canada["flags"]
    nuuk = everything.fact("city_country:America/Nuuk", "en")
    assert (nuuk["object"], nuuk["aliases"]) == ("Greenland", ["Denmark"])
    spain = everything.fact("official_language:ES", "en")
    assert spain["aliases"] == []
    assert not {"ca", "gl", "eu"} & set(spain["candidate_ids"])


def test_no_answer_stands_in_its_english_subject(everything: FactSet) -> None:
    for row in everything.filter(languages=["en"]).facts.iter_rows(named=True):
        assert f" {row['object']} ".lower() not in f" {row['subject']} ".lower()


def test_flags(everything: FactSet) -> None:
    facts = everything.facts
    assert (
        facts.filter(pl.col("lang") == "en")["flags"]
        .explode()
        .unique()
        .drop_nulls()
        .is_in(["several_answers"])
        .all()
    )
    swahili = everything.fact("capital:FR", "sw")
    assert swahili["flags"] == ["fallback_name", "same_as_en"]
    assert everything.fact("capital:FR", "ru")["flags"] == []
    assert "same_as_subject" in everything.fact("capital:TN", "ru")["flags"]
    other_scripts = facts.filter(pl.col("lang").is_in(["ru", "ar", "zh", "hi", "ko"]))
    assert not other_scripts["flags"].list.contains("fallback_name").any()
    assert not other_scripts["flags"].list.contains("same_as_en").any()


def test_latin_is_a_third_of_the_scripts(everything: FactSet) -> None:
    rows = everything.filter(languages=["en"], relations=["script"]).facts
    shares = Counter(rows["object"])
    assert 0.30 <= shares["Latin"] / rows.height <= 0.34
    assert len(shares) >= 10


def test_the_world_is_whole() -> None:
    places = shipped.territories()
    assert len(places) == 248  # ISO 3166-1 without Antarctica
    inside: dict[str, set[str]] = {}
    for place in places.values():
        inside.setdefault(place.subregion, set()).add(place.continent)
    assert len(inside) == 22
    assert all(len(continents) == 1 for continents in inside.values())
    sizes = Counter(place.continent for place in places.values())
    assert sizes == {"002": 60, "019": 57, "142": 51, "150": 51, "009": 29}
    assert Counter(place.subregion for place in places.values())["155"] == 9


def test_shipped_tables_fit_babel() -> None:
    from babel.core import get_global

    zones = get_global("zone_territories")
    assert all(zones[zone] == territory for territory, zone in shipped.capitals().items())
    assert set(shipped.left_out("city_country")) <= set(zones)
    assert {territory for territory, _, _ in shipped.related()} <= set(shipped.territories())
    likely = get_global("likely_subtags")
    assert all(entry.script in likely[code] for code, entry in shipped.scripts().items())
    for relation in ("continent", "currency", "official_language"):
        assert set(shipped.left_out(relation)) <= set(shipped.territories())
        assert not set(shipped.left_out(relation)) & {c.subject[1] for c in claims(relation)}


def test_selection_does_not_change_the_facts(everything: FactSet) -> None:
    few = build(languages=["sw", "en"], relations=["capital", "currency"])
    assert few.languages == ["sw", "en"]
    assert few.relations == ["currency", "capital"]
    whole = everything.filter(languages=["sw", "en"], relations=["capital", "currency"])
    key = ["lang", "fact_id"]
    assert few.facts.sort(key).equals(whole.facts.sort(key))
    assert set(few.templates["relation"]) == {"capital", "currency", "mention"}


def test_only_what_is_asked_for_is_built(
    everything: FactSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    # The package exports the function under the name of its module.
    build_module = sys.modules["polylore.facts.cldr.build"]
    real = build_module._facts

    def watched(relation: str, *words: object) -> list[dict[str, object]]:
        built.append(relation)
        return real(relation, *words)

    monkeypatch.setattr(build_module, "_facts", watched)
    asked = {"languages": ["sw", "en"], "relations": ["script", "continent"]}
    some = load("cldr", **asked)
    assert set(built) == {"continent", "script"}
    assert some.digest() == everything.filter(**asked).digest()


def test_building_twice_gives_the_same(everything: FactSet) -> None:
    assert build().digest() == everything.digest()
    assert load("cldr", languages=["fr", "en"]).digest() == build(["fr", "en"]).digest()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"no wordings in 'eo'.*en, ar"):
        build(languages=["en", "eo"])
    with pytest.raises(ConfigError, match=r"'colour'.*currency, official_language"):
        build(relations=["colour"])
    with pytest.raises(ConfigError, match="at least one language"):
        build(languages=[])
    with pytest.raises(ConfigError, match="there are currency"):
        build(relations=[])


def test_fast_enough(everything: FactSet) -> None:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        build(languages=SIXTEEN)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2
