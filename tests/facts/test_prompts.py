"""Prompts and demonstrations (specification of `trace`, sections 2.1 and 2.2)."""

import hashlib
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, build_prompts, content_free_prompts, demos
from polylore.text import normalise

LANGS = ("en", "zh")


def many(make, objects: list[int], relation: str = "r") -> FactSet:
    """Facts with objects by number, in two languages."""
    rows = [
        (f"f{i}", relation, lang, f"{lang} subject {i}", f"{lang} object {o}")
        for lang in LANGS
        for i, o in enumerate(objects)
    ]
    return make(rows)


def texts(frame: pl.DataFrame) -> dict[tuple[str, str], str]:
    return {row[:2]: row[2] for row in frame.select("fact_id", "lang", "text").iter_rows()}


def demo_ids(frame: pl.DataFrame) -> dict[tuple[str, str], list[str]]:
    return {row[:2]: row[2] for row in frame.select("fact_id", "lang", "demo_fact_ids").iter_rows()}


def test_question_is_cut_filled_and_stripped(make) -> None:
    templates = [("r", "en", "prompt", 0, "  Of <subject> (<subject>): <mask> and <mask>. ")]
    factset = make([("a", "r", "en", "a <mask> & <subject>", "Paris")], templates)
    frame = build_prompts(factset, variants=[0], n_shot=0, seed=0)
    # Text of the data is never read as a template again.
    assert frame["text"][0] == "Of a <mask> & <subject> (a <mask> & <subject>):"


def test_few_shot_text_and_delimiters(capitals: FactSet) -> None:
    frame = build_prompts(capitals, variants=[0], n_shot=2, seed=0)
    first, second = demo_ids(frame)["FR", "zh"]
    assert {first, second} == {"DE", "PL"}
    objects = {one: capitals.fact(one, "zh")["object"] for one in (first, second)}
    subjects = {one: capitals.fact(one, "zh")["subject"] for one in (first, second)}
    expected = "".join(
        f"capital in zh of {subjects[one]}:{objects[one]}\n" for one in (first, second)
    )
    assert texts(frame)["FR", "zh"] == expected + "capital in zh of 法国:"
    assert set(frame.filter(lang="zh")["delimiter"]) == {""}
    assert set(frame.filter(lang="en")["delimiter"]) == {" "}
    assert "Berlin" in texts(frame)["FR", "en"]
    spaced = build_prompts(capitals, variants=[0], n_shot=2, seed=0, delimiter=" ")
    assert texts(spaced)["FR", "zh"] == expected.replace(":", ": ") + "capital in zh of 法国:"


def test_parallel_demos_follow_the_definition(make) -> None:
    objects = [0, 0, 1, 1, 2, 3, 4, 0, 5, 6]
    factset = many(make, objects)
    frame = build_prompts(factset, variants=[0], n_shot=3, seed=7)
    for i, gold in enumerate(objects):
        eligible = [f"f{j}" for j, other in enumerate(objects) if j != i and other != gold]
        ranked = sorted(
            eligible, key=lambda d, i=i: hashlib.sha256(f"7\x1ff{i}\x1f{d}".encode()).digest()
        )
        for lang in LANGS:
            assert demo_ids(frame)[f"f{i}", lang] == ranked[:3]
    assert set(frame["n_shot"]) == {3}


def test_eligible_means_in_every_language(make) -> None:
    rows = [
        ("a", "r", "en", "France", "Paris"),
        ("b", "r", "en", "Texas", "paris!"),  # the same answer after normalising
        ("c", "r", "en", "Gaul", "Lutetia"),  # an alias of the first
        ("d", "r", "en", "FRANCE", "Lyon"),  # the same question
        ("e", "r", "en", "Spain", "Madrid"),
        ("f", "r", "en", "Italy", "Rome"),
        ("g", "r", "en", "Japan", "Tokyo"),
        ("a", "r", "fr", "France", "Paris"),
        ("b", "r", "fr", "Texas", "Austin"),
        ("c", "r", "fr", "Gaule", "Lutèce"),
        ("d", "r", "fr", "Gallia", "Lyon"),
        ("e", "r", "fr", "Espagne", "Madrid"),
        ("f", "r", "fr", "Italie", "Paris"),  # wrong in French only
    ]
    aliases = [["Lutetia"] if row[0] == "a" and row[2] == "en" else [] for row in rows]
    factset = make(rows, aliases=aliases)
    frame = build_prompts(factset, variants=[0], n_shot=3, seed=0)
    # g is not told in French; only e is left.
    assert demo_ids(frame)["a", "en"] == demo_ids(frame)["a", "fr"] == ["e"]
    assert frame.filter(fact_id="a")["n_shot"].to_list() == [1, 1]
    only = build_prompts(factset.filter(languages=["en"]), variants=[0], n_shot=9, seed=0)
    assert sorted(demo_ids(only)["a", "en"]) == ["e", "f", "g"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 4), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_parallel_demos_are_parallel_and_leak_nothing(
    make, objects: list[int], n_shot: int, seed: int
) -> None:
    frame = build_prompts(many(make, objects), variants=[0], n_shot=n_shot, seed=seed)
    shown = demo_ids(frame)
    for i, gold in enumerate(objects):
        ids = shown[f"f{i}", "en"]
        assert ids == shown[f"f{i}", "zh"]
        assert len(ids) == len(set(ids)) == min(n_shot, sum(o != gold for o in objects))
        assert all(objects[int(one[1:])] != gold for one in ids)


def test_demos_do_not_depend_on_order_or_other_relations(make) -> None:
    factset = many(make, list(range(8)))
    turned = FactSet("turned", factset.facts.reverse(), factset.templates)
    wanted = demo_ids(build_prompts(factset, variants=[0], n_shot=3, seed=0))
    assert demo_ids(build_prompts(turned, variants=[0], n_shot=3, seed=0)) == wanted
    other = demo_ids(build_prompts(factset, variants=[0], n_shot=3, seed=1))
    assert other != wanted


def test_shared_demos_are_the_same_wherever_they_fit(make) -> None:
    objects = [0, 0, 1, 2, 3, 4, 5, 6]
    frame = build_prompts(many(make, objects), variants=[0], n_shot=2, seed=5, demos="shared")
    shown = demo_ids(frame)
    order = sorted(range(8), key=lambda i: hashlib.sha256(f"5\x1ff{i}".encode()).digest())
    once = [i for i in order if i > 1 or i == next(j for j in order if j < 2)]
    for i, gold in enumerate(objects):
        fitting = [f"f{j}" for j in once if j != i and objects[j] != gold]
        assert shown[f"f{i}", "en"] == shown[f"f{i}", "zh"] == fitting[:2]
    assert len({tuple(ids) for ids in shown.values()}) <= 4


def test_large_relations_draw_from_a_pool(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demos, "EXACT_UP_TO", 20)
    monkeypatch.setattr(demos, "POOL", 6)
    objects = [0] * 50 + [1, 2, 3, 4]
    frame = build_prompts(many(make, objects), variants=[0], n_shot=3, seed=0)
    shown = demo_ids(frame)
    assert len({one for ids in shown.values() for one in ids}) <= 6
    # Rare objects come into the pool first, so even the commonest gold finds its demonstrations.
    assert set(frame["n_shot"]) == {3}
    assert all(objects[int(one[1:])] != 0 for one in shown["f0", "en"])


def test_paper_demos_use_one_generator(make) -> None:
    factset = many(make, [0, 0, 1, 1, 2, 3, 4, 5])
    options = {"variants": [0], "n_shot": 3, "seed": 12345, "demos": "paper", "delimiter": " "}
    first = build_prompts(factset, **options)
    again = build_prompts(factset, **options)
    assert first.equals(again)
    shown = demo_ids(first)
    for (fact_id, _), ids in shown.items():
        assert len(set(ids)) == 3
        assert fact_id not in ids
    # Demonstrations differ between languages, and between checkpoints that share the generator.
    assert any(shown[f"f{i}", "en"] != shown[f"f{i}", "zh"] for i in range(8))
    generator = random.Random(12345)
    one = build_prompts(factset, **options, rng=generator)
    two = build_prompts(factset, **options, rng=generator)
    assert one.equals(first)
    assert demo_ids(two) != shown
    # The draws are those of random.sample over the list of the others.
    reference = random.Random(12345)
    ids = [f"f{i}" for i in range(8)]
    expected = [
        reference.sample([other for other in ids if other != one], 3) for _ in LANGS for one in ids
    ]
    assert first["demo_fact_ids"].to_list() == expected


def test_paper_demos_may_hold_the_gold_at_the_expected_rate(klar: FactSet) -> None:
    english = klar.filter(languages=["en"])
    frame = build_prompts(english, variants=[0], n_shot=3, seed=12345, demos="paper")
    gold = dict(english.facts.select("fact_id", "object").iter_rows())
    hits = sum(
        gold[fact_id] in {gold[d] for d in ids} for (fact_id, _), ids in demo_ids(frame).items()
    )
    # T3: .352190 of 1,197, standard error .0138.
    assert abs(hits / 1197 - 0.352190) < 0.035


def test_default_demos_never_hold_the_gold(klar: FactSet) -> None:
    frame = build_prompts(klar, variants=[0], n_shot=3, seed=0)
    assert set(frame["n_shot"]) == {3}
    per_fact = frame.group_by("fact_id").agg(pl.col("demo_fact_ids").n_unique())
    assert set(per_fact["demo_fact_ids"]) == {1}
    gold = {
        row[:2]: normalise(row[2])
        for row in klar.facts.select("fact_id", "lang", "object").iter_rows()
    }
    for (fact_id, lang), ids in demo_ids(frame).items():
        assert gold[fact_id, lang] not in {gold[one, lang] for one in ids}
    assert frame.height == 14364


def test_identities(make) -> None:
    templates = [
        ("r", lang, "prompt", v, f"{v} <subject> <mask>") for lang in LANGS for v in (0, 1)
    ]
    rows = [("a", "r", lang, "same", "x") for lang in LANGS]
    factset = make(rows, templates)
    frame = build_prompts(factset, variants=[1, 0], n_shot=0, seed=0, delimiter=" ")
    assert frame["prompt_id"].n_unique() == 4
    assert frame["sha256"].n_unique() == 2  # equal texts need asking once
    with_bos = build_prompts(factset, variants=[1], n_shot=0, seed=0, delimiter=" ", bos=True)
    assert set(with_bos["bos"]) == {True}
    assert not set(with_bos["prompt_id"]) & set(frame["prompt_id"])


def test_content_free_prompts_change_the_subject_only(capitals: FactSet) -> None:
    asked = build_prompts(capitals, variants=[0], n_shot=1, seed=3)
    free = content_free_prompts(capitals, asked)
    assert list(free) == ["N/A", "[MASK]", ""]
    for subject, frame in free.items():
        assert demo_ids(frame) == demo_ids(asked)
        for key, text in texts(frame).items():
            lines, wanted = text.split("\n"), texts(asked)[key].split("\n")
            assert lines[:-1] == wanted[:-1]
            assert lines[-1] == f"capital in {key[1]} of {subject}:"
    # Of a part of the languages too: demonstrations are those that were shown.
    english = asked.filter(lang="en")
    alone = content_free_prompts(capitals.filter(languages=["en"]), english)["N/A"]
    assert texts(alone).items() <= texts(free["N/A"]).items()
    bare = build_prompts(capitals, variants=[0], n_shot=0, seed=3)
    zero = content_free_prompts(capitals, bare, subjects=["N/A"])
    assert zero["N/A"]["sha256"].n_unique() == 3


def test_bad_requests(capitals: FactSet, make) -> None:
    with pytest.raises(ConfigError, match="no prompt template 2 for capital in 'en'; it has 0"):
        build_prompts(capitals, variants=[0, 2], n_shot=0, seed=0)
    with pytest.raises(ConfigError, match="name at least one variant"):
        build_prompts(capitals, variants=[], n_shot=0, seed=0)
    with pytest.raises(ConfigError, match="n_shot is -1"):
        build_prompts(capitals, variants=[0], n_shot=-1, seed=0)
    with pytest.raises(ConfigError, match="must be 'parallel', 'shared' or 'paper'"):
        build_prompts(capitals, variants=[0], n_shot=1, seed=0, demos="random")
    turned = make([("a", "r", "en", "x", "y")], [("r", "en", "prompt", 0, "<mask> of <subject>")])
    with pytest.raises(DataError, match="names its subject only after <mask>"):
        build_prompts(turned, variants=[0], n_shot=0, seed=0)
