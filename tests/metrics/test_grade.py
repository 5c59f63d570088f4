"""Matchers, the grading of answers, and copied demonstrations (T9)."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylore import metrics
from polylore.errors import ConfigError, DataError
from polylore.metrics.matching import object_index
from polylore.tables import raw
from polylore.text import normalise

TABLE = [
    ("Nigeria", "Niger", "en", (), 1, 0),
    ("Niger", "Nigeria", "en", (), 1, 0),
    ("E", "Europe", "en", (), 1, 0),
    ("Europe\nWhich", "Europe", "en", (), 1, 1),
    ("the Netherlands.", "Netherlands", "en", (), 0, 1),
    ("Parisian", "Paris", "en", (), 1, 0),
    ("", "France", "en", (), 0, 0),
    ("亚洲。", "亚洲", "zh", (), 1, 1),
    ("： 亚洲", "亚洲", "zh", (), 0, 1),
    ("几内亚比绍", "几内亚", "zh", ("几内亚比绍",), 1, 0),
    ("アルバータ州です", "アルバータ州", "ja", (), 1, 1),
    ("프랑스입니다", "프랑스", "ko", (), 1, 1),
    ("l'Espagne", "Espagne", "fr", (), 0, 1),
    ("l’Espagne", "Espagne", "fr", (), 0, 1),
    ("Que\u0301bec", "Québec", "fr", (), 0, 1),
]


@pytest.mark.parametrize(("text", "gold", "lang", "others", "paper", "default"), TABLE)
def test_matchers(text, gold, lang, others, paper, default):
    index = object_index({o: o for o in (gold, *others)}, lang)
    assert metrics.paper_match(text, gold) == bool(paper)
    assert metrics.default_match(text, [gold], index) == bool(default)


@pytest.mark.parametrize(("text", "gold", "lang", "others", "paper", "default"), TABLE)
def test_grades_agree_with_matchers(make, text, gold, lang, others, paper, default):
    rows = [
        {"fact_id": str(i), "relation": "r", "lang": lang, "object": o}
        for i, o in enumerate((gold, *others))
    ]
    grades = metrics.grade_answers(answer([("0", lang, text)]), make.facts(rows))
    found = dict(grades.select("matcher", "y").iter_rows())
    assert found == {"default": bool(default), "paper": bool(paper)}


def answer(rows, **columns):
    """Table ANSWERS from (fact, language, text)."""
    defaults = {
        "ckpt_id": "c1",
        "variant": 0,
        "mode": "generate",
        "prompt_id": "p",
        "stop_reason": "newline",
        "dtype": "float32",
    }
    return raw.ANSWERS.build(
        [
            defaults | {"fact_id": f, "lang": lang, "raw_text": text} | columns
            for f, lang, text in rows
        ]
    )


COUNTRIES = [
    ("0", "Guinea", "GN"),
    ("1", "Guinea-Bissau", "GW"),
    ("2", "Equatorial Guinea", "GQ"),
    ("3", "Netherlands", "NL"),
]


@pytest.fixture(scope="module")
def countries(make):
    ids = [identity for _, _, identity in COUNTRIES] + ["XX"]
    texts = [text for _, text, _ in COUNTRIES] + ["Atlantis"]
    return make.facts(
        [
            {
                "fact_id": fact,
                "relation": "country",
                "lang": "en",
                "object": text,
                "aliases": ["Holland"] if text == "Netherlands" else [],
                "candidate_ids": ids,
                "candidates": texts,
                "gold_pos": ids.index(identity),
            }
            for fact, text, identity in COUNTRIES
        ]
    )


def graded(facts, rows, **columns):
    table = metrics.grade_answers(answer(rows, **columns), facts, matchers=("default",))
    return table.row(0, named=True)


def test_longest_competitor_wins(countries):
    assert graded(countries, [("0", "en", "Guinea-Bissau, of course")])["y"] is False
    assert graded(countries, [("0", "en", "Guinea-Bissau")])["answer_id"] == "GW"
    assert graded(countries, [("1", "en", " Guinea-Bissau, of course")])["y"] is True


def test_alias_article_and_distractor(countries):
    alias = graded(countries, [("3", "en", "Holland!")])
    assert (alias["y"], alias["answer_id"]) == (True, "NL")
    article = graded(countries, [("2", "en", "The Netherlands")])
    assert (article["y"], article["answer_id"]) == (False, "NL")
    distractor = graded(countries, [("2", "en", "Atlantis")])
    assert (distractor["y"], distractor["answer_id"]) == (False, "XX")
    nothing = graded(countries, [("2", "en", "nowhere")])
    assert (nothing["y"], nothing["answer_id"]) == (False, None)


def test_truncated_only_at_the_cap(countries):
    cut = graded(countries, [("2", "en", "Equatorial Gui")], stop_reason="length")
    assert (cut["y"], cut["truncated"]) == (False, True)
    assert not graded(countries, [("2", "en", "Equatorial Gui")])["truncated"]
    assert not graded(countries, [("2", "en", "Equatorial Guinea")], stop_reason="length")[
        "truncated"
    ]


def test_missing_answers_are_null(countries):
    table = metrics.grade_answers(answer([("0", "en", None)]), countries)
    assert table["y"].to_list() == [None, None]
    failed = metrics.grade_answers(
        answer([("0", "en", "Guinea")], error="out of memory"), countries
    )
    assert failed["y"].to_list() == [None, None]
    content_free = answer([("0", "en", "Guinea")], mode="content_free")
    assert metrics.grade_answers(content_free, countries).height == 0
    assert metrics.grade_answers(content_free, countries, mode="content_free")["y"].all()


def test_bad_input_is_named(countries):
    with pytest.raises(DataError, match=r"for example 99 \(en\)"):
        metrics.grade_answers(answer([("99", "en", "x")]), countries)
    with pytest.raises(DataError, match=r"0 \(fr\)"):
        metrics.grade_answers(answer([("0", "fr", "x")]), countries)
    with pytest.raises(ConfigError, match="fuzzy"):
        metrics.grade_answers(answer([("0", "en", "x")]), countries, matchers=("fuzzy",))


def test_same_entity_has_the_same_name_in_every_language(make):
    rows = []
    for lang, texts in {"en": ["Asia", "Asia", "Europe"], "zh": ["亚洲", "亚洲", "欧洲"]}.items():
        rows += [
            {"fact_id": str(i), "relation": "r", "lang": lang, "object": text}
            for i, text in enumerate(texts)
        ]
    facts = make.facts(rows)
    answers = answer([("2", "en", "Asia"), ("2", "zh", "亚洲"), ("0", "en", "Asia")])
    grades = metrics.grade_answers(answers, facts, matchers=("default",))
    assert grades["answer_id"].n_unique() == 1
    assert grades["y"].to_list() == [False, False, True]


def test_copied_demonstrations(countries):
    prompts = raw.PROMPTS.build(
        [
            {
                "prompt_id": "p",
                "fact_id": "0",
                "lang": "en",
                "variant": 0,
                "n_shot": 2,
                "demo_fact_ids": ["1", "3"],
                "delimiter": " ",
                "bos": False,
                "text": "",
                "sha256": "",
            }
        ]
    )
    copied = metrics.copied_demos(answer([("0", "en", "Guinea-Bissau")]), countries, prompts)
    assert copied.row(0, named=True)["copied"] is True
    assert copied.row(0, named=True)["gold_in_demos"] is False
    own = metrics.copied_demos(answer([("0", "en", "Guinea")]), countries, prompts)
    assert own.row(0, named=True)["copied"] is False


@given(st.text(max_size=20), st.sampled_from(["en", "zh", "fr"]))
def test_default_matcher_credits_the_gold_itself_and_never_a_strict_prefix(gold, lang):
    index = object_index({gold: gold}, lang)
    cleaned = normalise(gold)
    single = len(gold.lstrip().splitlines()) <= 1
    if cleaned and single:
        assert metrics.default_match(gold, [gold], index)
    # Cut after normalisation, so that what is left is what the matcher compares.
    shorter = normalise(cleaned[: len(cleaned) // 2])
    if shorter and shorter != cleaned:
        assert not metrics.default_match(shorter, [gold], index)


def test_grading_keeps_every_answer(countries):
    answers = answer([(str(i), "en", "Guinea") for i in range(4)])
    grades = metrics.grade_answers(answers, countries)
    assert grades.group_by("matcher").len()["len"].to_list() == [4, 4]
    right = grades.filter(pl.col("y") & (pl.col("matcher") == "paper"))["fact_id"].to_list()
    assert sorted(right) == ["0", "1"]
