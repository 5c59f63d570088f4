"""The published invented world: blocks, defects, repairs (specification of `align`, 9.5)."""

import json
import shutil

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.lint import (
    asks_as_taught,
    collisions,
    lint_world,
    taught_terms,
    valid_facts,
)
from polylore.facts.fiction.published import (
    TARGETS,
    blocks,
    expected_blocks,
    fact_rows,
    read_all,
    read_published,
)
from polylore.facts.fiction.repair import REPAIRS, repair

# distinct places; names on two continents; type-1 items hit; type-1 gold equal to English; type-1
# place equal to English; test template also in training
EXPECTED = {
    "ar": (397, 3, 3, 0, 0, False),
    "de": (396, 4, 6, 30, 1, False),
    "fr": (398, 2, 2, 100, 4, True),
    "he": (399, 1, 1, 0, 0, False),
    "it": (396, 4, 6, 30, 3, True),
    "ja": (399, 1, 1, 0, 0, True),
    "pl": (399, 1, 1, 50, 6, True),
    "ru": (396, 4, 6, 0, 0, True),
    "zh": (397, 3, 4, 0, 0, True),
}
ANSWER_IN_NAME = {"en": 4, "ar": 4, "de": 1, "fr": 0, "he": 2, "it": 6, "ja": 3, "pl": 1, "ru": 3,
                  "zh": 0}  # fmt: skip


@pytest.fixture(scope="module")
def worlds(clika):
    return read_all(clika / "fictional")


@pytest.mark.parametrize("lang", TARGETS)
def test_published_world(worlds, lang):
    world = worlds[lang]
    assert blocks(world) == expected_blocks(world)
    assert blocks(world) == {
        "source_0": 2000, "source_1": 2000, "target_0": 2000, "translate_ts": 4200}  # fmt: skip
    assert world.rows.group_by("block").agg(pl.col("template").n_unique())["template"].to_list() \
        == [10] * 4  # fmt: skip
    assert world.told(lang)["type"].value_counts()["count"].to_list() == [200, 200]

    told, found = world.told(lang), lint_world(world, published_design=True)
    apart = collisions(told)
    counts = dict(found.filter(lang=lang).group_by("check").len().iter_rows())
    assert (
        told["subject"].n_unique(),
        apart["subject"].n_unique(),
        apart.filter(type=1).height,
        counts.get("gold_as_source", 0),
        counts.get("subject_as_source", 0),
        asks_as_taught(world),
    ) == EXPECTED[lang]
    for code in ("en", lang):
        own = found.filter(lang=code)
        assert own.filter(check="answer_in_subject").height == ANSWER_IN_NAME[code]
        assert own.filter(check="gold_in_subject").height == int(code in ("de", "it", "pl"))
    assert "block_size" not in counts


@pytest.mark.parametrize("lang", TARGETS)
def test_terms_trained_and_tested_alike(worlds, lang):
    world = worlds[lang]
    tested = world.tests.filter(probe="translate_st")
    pairs = set(tested.select("expected", "input").iter_rows())
    assert len(pairs & taught_terms(world)) == (400 if lang == "zh" else 420)


def taught_right(world) -> int:
    """Rows in the target language whose answer holds the gold that tests ask for."""
    objects = dict(world.told(world.target).select("fact_id", "object").iter_rows())
    rows = fact_rows(world, world.target).select("fact_id", "response").iter_rows()
    return sum(objects[fact_id] in response for fact_id, response in rows)


def test_repairs(worlds):
    world = worlds["zh"]
    assert taught_right(world) == 0
    assert valid_facts(world).height == 0
    named = repair(world, ["zh_continents"])
    assert taught_right(named) == 2000
    tested = named.tests.filter(probe="translate_st").select("expected", "input").iter_rows()
    assert set(tested) <= taught_terms(named)
    assert len(set(named.told("zh")["object"])) == 20
    # Names are left alone although many hold the character of an answer.
    places = dict(named.told("zh").select("fact_id", "subject").iter_rows())
    assert all(
        places[fact_id] in response
        for fact_id, response in fact_rows(named, "zh").select("fact_id", "response").iter_rows()
    )
    turned = repair(world, ["zh_swap"])
    assert (turned.rows["response"] != world.rows["response"]).sum() == 200
    assert (turned.rows["input"] == world.rows["input"]).all()
    whole = repair(world, REPAIRS)
    left = set(lint_world(whole).filter(pl.col("severity") == "error")["check"])
    assert left == set()
    assert repair(whole, REPAIRS).rows.equals(whole.rows)
    assert valid_facts(whole).height == 196


def test_repairs_leave_sound_worlds_alone(worlds):
    for lang in ("de", "ja", "ar"):
        assert repair(worlds[lang], REPAIRS).rows.equals(worlds[lang].rows)
    with pytest.raises(ConfigError, match="'zh' is no repair"):
        repair(worlds["de"], ["zh"])


def test_valid_facts(worlds):
    assert valid_facts(worlds["fr"]).height <= 100
    assert valid_facts(worlds["he"]).height == 199


@pytest.fixture
def copied(clika, tmp_path):
    """The files of one language, to be damaged."""
    for part in ("train/DE.json", "test/target/testDE.jsonl", "test/target/testEN.jsonl",
                 "test/Translate/translateDE.jsonl"):  # fmt: skip
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clika / "fictional" / part, tmp_path / part)
    return tmp_path


@pytest.mark.parametrize(
    ("part", "line", "change", "message"),
    [
        ("test/target/testDE.jsonl", 3, {"answer": "no tags"}, "line 4: the answer has no tags"),
        ("train/DE.json", 2001, {"prompt": "Wo liegt Berlin?"}, "Row 2001 .* should ask about"),
        ("train/DE.json", 5, {"answer": None}, "row 5: must have the texts"),
        ("test/Translate/translateDE.jsonl", 0, {"input": "Berlin"}, "which is no place"),
    ],
)
def test_damaged_files(copied, part, line, change, message):
    path = copied / part
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | change)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_published(copied, "de")


def test_absent_language(clika):
    with pytest.raises(DataError, match="There is no file"):
        read_published(clika / "fictional", "fi")
