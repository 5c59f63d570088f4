"""Questions as they are put before a model, and sets made from facts."""

import polars as pl
import pytest

from polylore.errors import ConfigError
from polylore.facts import load_facts
from polylore.facts.choices.ask import Manner, build_prompts
from polylore.facts.choices.from_facts import majority, sets_of_facts
from polylore.facts.choices.sets import items_of
from polylore.tables import align

LANGS = ("en", "de", "zh")


@pytest.fixture(scope="module")
def made():
    factset = load_facts("cldr", languages=list(LANGS)).common().sample(40, 0)
    return sets_of_facts(factset, k=4, seed=1, name="world")


def published(k=4, n=8, kind=None):
    rows = [
        {
            "dataset": "toy",
            "item": item,
            "lang": lang,
            "source_id": str(item),
            "kind": kind,
            "question": f"Frage {item} {lang}",
            "options": [f"o{item}-{at}-{lang}" for at in range(k)],
            "gold_index": item % k,
            "object": f"o{item}-{item % k}-{lang}",
        }
        for lang in ("en", "de")
        for item in range(n)
    ]
    questions = align.QUESTIONS.build(rows)
    return questions, items_of(questions)


def test_options_are_parallel_distinct_and_balanced(made) -> None:
    closed = made.items.filter(n_options=4)
    golds = closed["gold_index"].value_counts()
    assert closed.height > 20
    assert golds["count"].max() - golds["count"].min() <= 4
    questions = made.questions.filter(dataset="world")
    assert questions.height == 3 * closed.height
    for row in questions.iter_rows(named=True):
        assert len({text.casefold() for text in row["options"]}) == 4
        assert row["options"][row["gold_index"]] == row["object"]
    # The same option stands in the same place in all languages.
    again = sets_of_facts(
        load_facts("cldr", languages=list(LANGS)).common().sample(40, 0), seed=1, name="world"
    )
    assert again.questions.equals(made.questions)
    other = sets_of_facts(
        load_facts("cldr", languages=list(LANGS)).common().sample(40, 0), seed=2, name="world"
    )
    assert not other.questions.equals(made.questions)


def test_free_sets_hold_every_candidate(made) -> None:
    free = made.questions.filter(dataset="world.free")
    assert made.items.filter(dataset="world.free")["gold_index"].null_count() == 40
    assert free["options"].list.len().min() > 1
    shares = majority(made.questions, made.items)
    of_relations = shares.filter(pl.col("baseline").str.starts_with("majority:"))
    assert of_relations.filter(lang="en")["n"].sum() == 40
    whole = shares.filter(baseline="majority")
    assert whole.filter(lang="en")["n"].item() == 40
    assert of_relations.height + whole.height == shares.height


def test_rotation_moves_options_and_demonstrations_stay() -> None:
    questions, items = published()
    prompts = build_prompts(questions, items, ["letter_ll", "text_ll"], Manner(n_shot=1))
    own = prompts.filter(mode="letter_ll", item=3, lang="de").sort("rotation")
    assert own["rotation"].to_list() == [0, 1, 2, 3]
    assert own["demo_letter"].n_unique() == 1
    assert own["demo_items"].n_unique() == 1
    assert (
        own["demo_items"][0].to_list()
        == prompts.filter(item=3, lang="en")["demo_items"][0].to_list()
    )
    last = own["text"][1].rsplit("Frage:", 1)[1]
    assert "A. o3-1-de\nB. o3-2-de\nC. o3-3-de\nD. o3-0-de" in last
    # The demonstration's letter names its right option.
    demo = own["demo_items"][0][0]
    assert f"{own['demo_letter'][1]}. o{demo}-{demo % 4}-de" in own["text"][1]
    # Over all items every letter is demonstrated equally often at rotation 0.
    first = prompts.filter(mode="letter_ll", lang="en", rotation=0)["demo_letter"]
    assert first.value_counts()["count"].to_list() == [2, 2, 2, 2]
    text = prompts.filter(mode="text_ll", item=3, lang="de")["text"][0]
    assert "o3-" not in text
    assert text.endswith("Antwort:")


def test_instruction_in_the_pivot_and_published_form() -> None:
    questions, items = published()
    mixed = build_prompts(questions, items, ["generate"], Manner(instruction="pivot", n_shot=0))
    text = mixed.filter(item=0, lang="de")["text"][0]
    assert text.startswith("Answer the question with the letter")
    assert "Question: Frage 0 de" in text
    paper = build_prompts(questions, items, ["generate"], Manner(layout="paper"))
    assert paper["demo_letter"].unique().to_list() == ["D"]
    assert "What is 2+3?\nA. 1\nB. 2\nC. 3\nD. 5\nAnswer: D" in paper["text"][0]
    two = build_prompts(*published(2, kind="cause"), ["generate"], Manner(layout="paper"))
    assert two["demo_letter"].unique().to_list() == ["A"]
    assert "What was the cause?" in two.filter(lang="de")["text"][0]
    with pytest.raises(ConfigError, match="2, 4 or 5"):
        build_prompts(*published(3), ["generate"], Manner(layout="paper"))
    with pytest.raises(ConfigError, match="has 6 options"):
        build_prompts(*published(6), ["letter_ll"], Manner())


def test_cloze_questions_go_on_with_their_answer(made) -> None:
    prompts = build_prompts(made.questions, made.items, ["text_ll", "rank"], Manner(n_shot=2))
    row = prompts.filter(dataset="world", lang="en").row(0, named=True)
    asked = made.questions.filter(dataset="world", lang="en", item=row["item"])["question"][0]
    assert row["text"].endswith(asked)
    assert row["delimiter"] == " "
    assert row["text"].count("\n") == len(row["demo_items"])
    assert prompts.filter(dataset="world", lang="zh")["delimiter"].unique().to_list() == [""]
    assert set(prompts.filter(dataset="world.free")["mode"]) == {"rank"}


def test_empty_options_are_not_scored_by_their_words() -> None:
    questions, items = published()
    rows = questions.to_dicts()
    rows[0]["options"][1] = " "
    questions = align.QUESTIONS.build(rows)
    prompts = build_prompts(questions, items, ["letter_ll", "text_ll"], Manner())
    assert prompts.filter(mode="text_ll", lang="en")["item"].to_list() == list(range(1, 8))
    assert prompts.filter(mode="letter_ll", lang="en", item=0).height == 4


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_copying_the_demonstrated_letter_chooses_every_option_once(k: int) -> None:
    questions, items = published(k, n=10)
    prompts = build_prompts(questions, items, ["letter_ll"], Manner(n_shot=1))
    for _, own in prompts.group_by("item", "lang"):
        chosen = {
            ("ABCDE".index(letter) + turn) % k
            for letter, turn in own.select("demo_letter", "rotation").iter_rows()
        }
        assert chosen == set(range(k))
