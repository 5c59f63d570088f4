"""Generated worlds (specification of `align`, section 3.7)."""

import polars as pl
import pytest

from polylore.errors import ConfigError
from polylore.facts.fiction.config import TargetLanguage, WorldConfig
from polylore.facts.fiction.generate import make_worlds
from polylore.facts.fiction.lint import lint_world, valid_facts
from polylore.facts.fiction.published import blocks, expected_blocks
from polylore.facts.fiction.slots import taught_answers, wordings

SMALL = {"answers": 5, "subjects": 4, "parts": 10, "exposures": 3, "train_wordings": 3}


def make(*targets: dict, **settings):
    config = WorldConfig(
        targets=[TargetLanguage(**t) for t in targets or ({"lang": "de"},)], **(SMALL | settings)
    )
    return make_worlds(config)


def test_the_published_design_is_the_default():
    world = make_worlds(WorldConfig())["de"]
    assert blocks(world) == expected_blocks(world)
    assert blocks(world) == {
        "source_0": 2000, "source_1": 2000, "target_0": 2000, "translate_ts": 4200}  # fmt: skip
    assert world.rows["block"][:2000].unique().to_list() == ["source_0"]
    assert world.told("en").height == 400
    assert lint_world(world, published_design=True).height == 0
    assert valid_facts(world).height == 200


def test_guarantees():
    worlds = make({"lang": "de", "overlap": 0.5}, {"lang": "ru"}, relations=2, parts=20)
    for lang, world in worlds.items():
        for code in ("en", lang):
            told = world.told(code)
            assert told["subject"].n_unique() == told.height == 40
            assert told["answer"].value_counts()["count"].to_list() == [4] * 10
            assert told["object"].n_unique() == 10
        found = lint_world(world)
        # Names that happen to consist of shared parts alone are known, everything else is sound.
        assert set(found["check"]) <= {"subject_as_source"}
        a, b = (dict(world.told(c).select("answer", "object").iter_rows()) for c in ("en", lang))
        assert not {answer for answer in a if a[answer] == b[answer]}
        asked = set(world.tests.filter(probe="fact")["prompt"])
        assert not asked & set(world.rows["prompt"])
    assert all(ord(c) > 127 for c in "".join(worlds["ru"].told("ru")["subject"]))


def parts_of(world, lang: str) -> list[list[str]]:
    names = world.told(lang)["subject"].str.to_lowercase()
    return [[name[i : i + 3] for i in range(0, len(name), 3)] for name in names]


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_overlap_is_the_share_of_equal_parts(overlap):
    world = make({"lang": "de", "overlap": overlap}, subjects=20)["de"]
    pairs = {
        pair
        for a, b in zip(parts_of(world, "en"), parts_of(world, "de"), strict=True)
        for pair in zip(a, b, strict=True)
    }
    assert len(pairs) == 10  # a part always becomes the same part
    assert sum(a == b for a, b in pairs) == 10 * overlap


def test_shared_answers_are_seen_by_the_linter():
    world = make(shared_answers=0.4)["de"]
    told = [world.told(code)["object"].to_list() for code in ("en", "de")]
    assert len({a for a, b in zip(*told, strict=True) if a == b}) == 2
    assert lint_world(world).filter(check="gold_as_source").height == 4
    assert valid_facts(world).height == 6


def test_blocks_that_are_asked_for():
    world = make(
        translate=["t>s", "s>t"],
        translate_what="answers",
        parallel_exposure=True,
        parallel_sentences=True,
        code_switched=True,
        distractors=7,
    )["de"]
    assert blocks(world) == {
        "source_0": 30, "source_1": 30, "target_0": 30, "target_1": 30, "translate_ts": 15,
        "translate_st": 15, "parallel": 30, "code_switch": 30, "distractor": 7}  # fmt: skip
    names = dict(world.told("de").select("fact_id", "subject").iter_rows())
    english = set(world.told("en")["object"])
    for fact_id, prompt, response in (
        world.rows.filter(block="code_switch").select("fact_id", "prompt", "response").iter_rows()
    ):
        assert names[fact_id] in prompt
        assert response.rstrip(".").split()[-1] in english
    for prompt, response in world.rows.filter(block="parallel").select("prompt", "response").rows():
        assert prompt.rstrip(".").split()[-1] in english
        assert response.rstrip(".").split()[-1] not in english


def test_exposures_take_wordings_in_turn():
    world = make(exposures=5)["de"]
    counts = world.rows.filter(block="source_1").group_by("template").len().sort("template")
    assert counts["len"].to_list() == [20, 20, 10]
    told = wordings(world, "de")
    assert len(told) == 3
    assert {one.skeleton.count("\1") for one in told} == {1}
    assert taught_answers(world, "de") == dict(
        world.told("de").select("answer", "object").iter_rows()
    )


def test_pairs_of_fact_and_wording_can_be_held_out():
    world = make(held_out="pairs", exposures=2, translate=["t>s", "s>t"])["de"]
    taught = set(world.rows.select("prompt", "input", "response").iter_rows())
    assert world.rows.filter(block="source_0").height == 2 * 10
    asked = world.tests.filter(probe="fact")
    prompts = set(world.rows["prompt"])
    assert not set(asked["prompt"]) & prompts  # no fact is asked in words it was taught in
    names = dict(world.told("en").select("fact_id", "subject").iter_rows())

    def wordings_of(frame: pl.DataFrame) -> set[str]:
        rows = frame.select("fact_id", "prompt").iter_rows()
        return {prompt.replace(names[fact_id], "_") for fact_id, prompt in rows}

    told = world.rows.filter(pl.col("block").is_in(["source_0", "source_1"]))
    assert wordings_of(asked.filter(lang="en")) == wordings_of(told)  # but every wording is known
    assert len(wordings_of(told)) == 3
    for probe in ("translate_ts", "translate_st"):
        tests = world.tests.filter(probe=probe)
        assert set(tests["prompt"]) <= prompts
        pairs = set(tests.select("prompt", "input", "expected").iter_rows())
        assert pairs
        assert not pairs & taught
    with pytest.raises(ValueError, match="two train_wordings"):
        make(held_out="pairs", train_wordings=1)


def test_shuffled_answers_are_taught_not_tested():
    plain, mixed = make()["de"], make(shuffled=True)["de"]
    assert plain.facts.equals(mixed.facts)
    assert plain.tests.equals(mixed.tests)
    first = pl.col("block") == "source_0"
    taught = mixed.rows.filter(first)
    assert taught["answer"].to_list() != plain.rows.filter(first)["answer"].to_list()
    # Every wording of a fact gives the same wrong answer.
    assert taught.group_by("fact_id").agg(pl.col("answer").n_unique())["answer"].max() == 1
    told = mixed.rows.filter(pl.col("block").str.starts_with("source"), template=0)
    assert sorted(told["answer"]) == sorted(plain.told("en")["answer"])


def test_the_seed_decides_everything():
    one, two, other = make(seed=1)["de"], make(seed=1)["de"], make(seed=2)["de"]
    assert one.digest() == two.digest()
    assert one.digest() != other.digest()
    # Another target language changes nothing about the source.
    both = make({"lang": "de"}, {"lang": "fi"}, seed=1)
    assert both["fi"].told("en").equals(one.told("en"))
    assert both["de"].digest() == one.digest()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": 4}, "16 names, but 20 subjects need one"),
        ({"targets": [{"lang": "en"}]}, "must be different languages"),
        ({"targets": [{"lang": "xx1"}]}, "CLDR"),
        ({"translate": ["x"]}, "translate.0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        WorldConfig.parse(SMALL | settings)


def test_letters_that_do_not_suffice():
    with pytest.raises(ConfigError, match="'Thai' has no letters here"):
        make({"lang": "th", "script": "Thai"})
    with pytest.raises(ConfigError, match="too few parts for 'de'"):
        make({"lang": "de"}, {"lang": "fi"}, answers=150, subjects=1, parts=200)
