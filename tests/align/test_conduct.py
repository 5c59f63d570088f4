"""Free answers, conductivity, hops and gates (specification of `align`, 2.3, 2.6, 2.7 and 9.7)."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics.align.conduct import NO_CAPITALS, cd_draws, conductivity, matrix
from polylore.metrics.align.freeform import Matcher
from polylore.metrics.align.gates import gates
from polylore.metrics.align.hops import books, grade
from polylore.tables.fiction import FICTION_ANSWERS, FICTION_FACTS

EN = ("Avalon", "Boreas", "Celadon", "Dione")
DE = ("Awalon", "Boreas", "Seladon", "Dion")  # Boreas is written alike
PLACES = 10
RUN = {"run_id": "r", "arm": "inject", "seed": 0, "step": 100, "source": "en", "target": "de",
       "design": "pair"}  # fmt: skip


def not_joined(lang: str, item: int) -> str:
    """Right, except about facts of type 1 in German."""
    return one_answer(lang, item) if item // 4 % 2 else perfect(lang, item)


def world() -> pl.DataFrame:
    """Four answers x ten places in two languages; every other place is of type 1."""
    return FICTION_FACTS.build(
        [
            {"fact_id": f"c:{item:03}", "relation": "c", "item": item, "lang": lang,
             "subject": f"{'Port' if lang == 'en' else 'Hafen'} N{item}x",
             "object": (EN if lang == "en" else DE)[item % 4], "answer": item % 4,
             "type": item // 4 % 2}
            for lang in ("en", "de") for item in range(4 * PLACES)
        ]
    )  # fmt: skip


Say = Callable[[str, int], str]
"""(language, item) -> output."""


def answers(say: Say, names: bool = True, terms: bool = True, **run) -> pl.DataFrame:
    facts = world()
    rows = [
        RUN | run | {"probe": "fact", "lang": lang, "fact_id": fact_id, "raw_output": say(lang, i)}
        for fact_id, i, lang in facts.select("fact_id", "item", "lang").iter_rows()
    ]
    told = facts.filter(lang="en")
    rows += [
        RUN | run | {"probe": "translate_ts", "lang": "en", "fact_id": fact_id,
                     "raw_output": subject if names else "no idea"}
        for fact_id, subject in told.select("fact_id", "subject").iter_rows()
    ]  # fmt: skip
    rows += [
        RUN | run | {"probe": "translate_st", "lang": "de", "answer": at,
                     "raw_output": DE[at] if terms else "no idea"}
        for at in range(4)
    ]  # fmt: skip
    return FICTION_ANSWERS.build(rows)


def objects(lang: str) -> tuple[str, ...]:
    return EN if lang == "en" else DE


def perfect(lang: str, item: int) -> str:
    return f"That lies in {objects(lang)[item % 4]}."


def in_english(lang: str, item: int) -> str:
    return f"That lies in {EN[item % 4]}."


def one_answer(lang: str, item: int) -> str:
    return perfect(lang, item) if lang == "en" else f"It is {DE[0]}."


def valid(*fact_ids: str) -> pl.DataFrame:
    ids = list(fact_ids) or world().filter(lang="en", type=1)["fact_id"].to_list()
    return pl.DataFrame({"source": "en", "target": "de", "fact_id": ids})


def row(say: Say, subset: str = "all", scoring: str = "default", kept=(), **kwargs) -> dict:
    made = conductivity(answers(say, **kwargs), world(), valid(*kept), draws=200)
    return made.filter(subset=subset, scoring=scoring).row(0, named=True)


def test_everything_known():
    found = row(perfect)
    assert (found["n"], found["acc_s"], found["acc_t"], found["chance"]) == (20, 1, 1, 0.25)
    assert (found["xrr_a"], found["xrr_b"], found["xrr_c"], found["xrr_d"]) == (1, 1, 1, 1)
    assert found["c_star"] == pytest.approx(0.25)
    assert found["cd"] == found["cd_lo"] == found["cd_hi"] == 1
    assert (found["p_all"], found["cd_all"], found["predicted"], found["gap"]) == (1, 1, 1, 0)
    assert found["cd_broken"] is None
    assert found["cd_rank"] is None
    assert found["gate_pass"] is True


def test_one_answer_to_everything_is_no_conduction():
    found = row(one_answer)
    assert found["c_star"] == pytest.approx(0.25)
    assert found["xrr_d"] == pytest.approx(0.25)
    assert found["cd"] == pytest.approx(0)
    assert found["cd_lo"] <= 0 <= found["cd_hi"]
    assert found["wrong_target_other"] == 1
    # All hops are known and not joined.
    assert found["broken_none"] == 1
    assert found["gap"] == pytest.approx(-0.75)


def test_answers_in_the_wrong_language():
    found = row(in_english)
    assert found["acc_t"] == 0.25  # Boreas alone is German, too
    assert found["wrong_source_gold"] == 1
    kept = world().filter(pl.col("object") != "Boreas", lang="de", type=1)["fact_id"].to_list()
    assert row(in_english, "valid", kept=kept)["acc_t"] == 0


def test_a_broken_hop_predicts_chance():
    found = row(not_joined, terms=False)
    assert (found["p_h1"], found["p_h2"], found["p_h3"], found["p_all"]) == (1, 1, 0, 0)
    assert found["predicted"] == pytest.approx(found["c_star"])
    assert found["cd_all"] is None
    assert found["broken_h3"] == 1
    # The published gate asks for what is not trained; ours does not.
    assert (found["gate_pass"], found["gate_paper"]) == (True, False)


def test_first_broken_hop():
    found = row(one_answer, names=False, terms=False)
    assert (found["broken_h1"], found["broken_h3"]) == (1, 0)


def test_unlearned_source():
    found = row(lang_de_only)
    assert found["acc_s"] == 0
    assert found["xrr_b"] is None
    assert found["xrr_c"] is None
    assert found["cd"] is None


def lang_de_only(lang: str, item: int) -> str:
    return "" if lang == "en" else perfect(lang, item)


def test_conductivity_that_rests_on_few_facts_says_so():
    def knows(n: int) -> Say:
        ones = [item for item in range(4 * PLACES) if item // 4 % 2]
        return lambda lang, item: perfect(lang, item) if item in ones[:n] else "no idea"

    for n, note in ((9, "few_items: 9 known in the source"), (10, None)):
        table = conductivity(answers(knows(n)), world(), valid(), draws=0)
        row = table.row(by_predicate=(pl.col("subset") == "all") & (pl.col("scoring") == "paper"),
                        named=True)  # fmt: skip
        assert (row["known"], row["note"]) == (n, note)


def test_ranked_answers():
    told = answers(perfect).with_columns(
        ranked=pl.when(pl.col("fact_id").is_not_null())
        .then(pl.col("fact_id").str.slice(2).cast(pl.Int32) % 4)
        .cast(pl.Int32)
    )
    found = conductivity(told, world(), valid(), draws=0).row(0, named=True)
    assert found["cd_rank"] == 1
    assert found["cd_lo"] is None


def test_published_scoring_finds_names_in_names():
    facts = world().with_columns(
        subject=pl.when(pl.col("lang") == "de")
        .then(pl.format("Hafen Awalon {}", "item"))
        .otherwise("subject")
    )

    def say(lang: str, item: int) -> str:
        return perfect(lang, item) if lang == "en" else f"Hafen Awalon {item} liegt in Dion."

    made = conductivity(answers(say), facts, valid(), draws=0).filter(subset="all")
    by_scoring = {r["scoring"]: r for r in made.iter_rows(named=True)}
    assert by_scoring["default"]["acc_t"] == 0.25  # where Dion is right
    assert by_scoring["paper"]["acc_t"] == 0.5  # and where Awalon, in the name, is


def test_published_scoring_is_left_out_where_no_answer_has_capitals():
    told = answers(perfect)
    small = told.with_columns(pl.col("raw_output").str.to_lowercase())
    found = conductivity(small, world(), valid(), draws=50)
    numbers = ["acc_s", "acc_t", "known", "xrr_a", "cd", "cd_lo", "p_all", "wrong_other"]
    paper = found.filter(scoring="paper")
    assert paper["note"].to_list() == [NO_CAPITALS] * 2
    assert paper["n"].to_list() == found.filter(scoring="default")["n"].to_list()
    assert all(paper[name].null_count() == 2 for name in numbers)
    # The corrected scoring does not care.
    whole = conductivity(told, world(), valid(), draws=50)
    assert found.filter(scoring="default").equals(whole.filter(scoring="default"))
    # One capital letter anywhere shows that the model can write them: then it was wrong.
    first = pl.int_range(pl.len()) == 0
    one = pl.when(first).then(pl.lit("Nothing")).otherwise("raw_output").alias("raw_output")
    wrong = conductivity(small.with_columns(one), world(), valid(), draws=0)
    assert wrong.filter(scoring="paper")["acc_s"].to_list() == [0.0, 0.0]


def test_no_valid_fact_leaves_nothing_to_draw():
    graded = grade(answers(perfect), books(world())("en", "de"), "default").only(set())
    drawn = cd_draws(graded, 20, 0)
    assert drawn.shape == (21,)
    assert np.isnan(drawn).all()


def test_gates():
    table = gates(answers(one_answer, terms=False), world(), trained={"r": ("source_0",)})
    found = {r["component"]: r for r in table.iter_rows(named=True)}
    assert [found[c]["n"] for c in found] == [20, 20, 20, 20, 40, 4]
    assert [found[c]["value"] for c in found] == [1, 1, 0.25, 0.25, 1, 0]
    assert [found[c]["passed"] for c in found] == [True, True, False, False, True, False]
    assert [c for c in found if found[c]["trained"]] == ["source_0"]
    unasked = answers(perfect).filter(probe="fact")
    table = gates(unasked, world()).filter(component="translate_ts")
    assert table["value"].item() is None
    made = conductivity(unasked, world(), valid(), draws=0)
    assert made["gate_pass"].to_list() == [None] * 4
    assert made["p_all"].null_count() == 4


def test_matrix():
    made = pl.concat(
        conductivity(answers(say, run_id=name), world(), valid(), draws=0)
        for say, name in ((one_answer, "r"),)
    ).filter(subset="all", scoring="default")
    swapped = made.with_columns(source=pl.lit("fr"), target=pl.lit("en"), acc_s=pl.lit(0.5))
    table = matrix(pl.concat([made, swapped]))
    assert table.columns == ["source", "de", "en", "fr"]
    cells = {r["source"]: r for r in table.iter_rows(named=True)}
    assert cells["en"]["en"] == 1
    assert cells["en"]["de"] == pytest.approx(0)
    assert cells["fr"]["fr"] == 0.5
    assert cells["de"]["de"] is None
    with pytest.raises(DataError, match="designs pair and row"):
        matrix(pl.concat([made, swapped.with_columns(design=pl.lit("row"))]))
    with pytest.raises(DataError, match="more than once"):
        matrix(pl.concat([made, made]))


def test_what_cannot_be_graded():
    with pytest.raises(DataError, match="unknown facts, such as x"):
        conductivity(
            answers(perfect).with_columns(
                fact_id=pl.when(pl.col("fact_id") == "c:000").then(pl.lit("x")).otherwise("fact_id")
            ),
            world(),
            valid(),
        )
    with pytest.raises(DataError, match="asked in both en and de"):
        conductivity(answers(perfect).filter(pl.col("lang") == "en"), world(), valid())
    with pytest.raises(DataError, match="told in de"):
        conductivity(answers(perfect), world().filter(lang="de"), valid())


@pytest.mark.parametrize(
    ("text", "cls", "answer"),
    [
        ("Rome", "correct", 0),
        ("in ROME, of course\nParis", "correct", 0),
        ("Romeo", "other", None),
        ("Rome or Paris", "ambiguous", None),
        ("Paris", "other_candidate", 1),
        ("New Rome", "other_candidate", 2),
        ("Rom", "right_entity_wrong_language", 0),
        ("Neu-Rom", "other", 2),
        (" \n", "empty", None),
        ("?", "empty", None),
    ],
)
def test_classes(text, cls, answer):
    matcher = Matcher(
        {"en": {0: ["Rome"], 1: ["Paris"], 2: ["New Rome"]}, "de": {0: ["Rom"], 2: ["Neu-Rom"]}}
    )
    found = matcher.classify(text, "en", 0)
    assert (found.cls, found.answer) == (cls, answer)


def test_no_spaces_no_boundaries():
    matcher = Matcher({"zh": {0: ["神话"], 1: ["真实"]}})
    assert matcher.classify("它位于神话大陆。", "zh", 0).right
    assert matcher.classify("真实之地位于神话", "zh", 0, "真实之地").right
