"""Asking about invented worlds: the form of training, rankings, gates (`align`, 2.6, 2.7, 9.7)."""

from typing import Any

import polars as pl
import pytest
import torch

from polylore.errors import ConfigError, DataError
from polylore.facts.fiction.config import FormConfig, TargetLanguage, WorldConfig
from polylore.facts.fiction.form import all_tests, example, question, stems
from polylore.facts.fiction.generate import make_worlds
from polylore.facts.fiction.published import read_published
from polylore.models import wrap
from polylore.models.live import undisturbed
from polylore.studies.align.conducting.config import ConductAskConfig
from polylore.studies.align.conducting.score import conduct_tables, taught
from polylore.studies.align.conducting.sheet import COMPONENTS, ConductSheet

RUN = {"run_id": "r", "arm": "a", "seed": 0, "step": 7, "design": "pair"}


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest) -> pl.DataFrame:
    own = request.getfixturevalue("taught")
    return ConductSheet(own.world).ask(wrap(own.model, own.tokenizer), RUN)


def test_what_was_taught_is_found_in_other_words(taught: Any, asked: pl.DataFrame) -> None:
    sheet = ConductSheet(taught.world)
    values = sheet.recall(wrap(taught.model, taught.tokenizer))
    facts = [values[name] for name in COMPONENTS if not name.startswith("translate")]
    assert min(facts) >= 0.9  # parallel exposure: the ceiling, type 1 in the target included
    tables = conduct_tables(asked, [taught.world], draws=100)
    gates = dict(tables["align_gates"].select("component", "value").iter_rows())
    assert gates == {name: values[name] for name in gates}
    row = tables["align_conductivity"].filter(subset="valid", scoring="default").row(0, named=True)
    assert row["acc_s"] == values["source_1"]
    assert row["acc_t"] == values["target_1"]
    assert row["cd"] >= 0.8
    assert row["cd_rank"] >= 0.8
    assert row["chance"] == 0.25
    assert row["step"] == 7


def test_every_test_is_asked_once(taught: Any, asked: pl.DataFrame) -> None:
    assert asked.height == all_tests(taught.world).height
    facts = asked.filter(probe="fact")
    assert facts["ranked"].null_count() == 0
    assert asked.filter(pl.col("probe") != "fact")["ranked"].null_count() == asked.height - len(
        facts
    )


def test_components_are_asked_alone_and_say_the_same(taught: Any, asked: pl.DataFrame) -> None:
    sheet, lm = ConductSheet(taught.world), wrap(taught.model, taught.tokenizer)
    some = sheet.ask(lm, RUN, ["target_1", "translate_st"])
    keys = ["probe", "lang", "fact_id", "answer"]
    kinds = dict(taught.world.facts.select("fact_id", "type").iter_rows())
    assert {(r["probe"], r["lang"], kinds.get(r["fact_id"])) for r in
            some.filter(probe="fact").iter_rows(named=True)} == {("fact", "qab", 1)}  # fmt: skip
    both = some.join(asked, on=keys, how="left", nulls_equal=True, suffix="_all")
    assert (both["raw_output"] == both["raw_output_all"]).all()
    assert both["ranked"].equals(both["ranked_all"])
    assert list(sheet.recall(lm, ["target_1"])) == ["target_1"]
    with pytest.raises(ConfigError, match="target_2"):
        sheet.recall(lm, ["target_2"])


def test_asking_leaves_a_model_in_training_alone(taught: Any) -> None:
    model = taught.model
    model.train()
    try:
        before = torch.random.get_rng_state()
        with undisturbed(model):
            ConductSheet(taught.world).recall(wrap(model, taught.tokenizer), ["source_0"])
        assert model.training
        assert torch.equal(torch.random.get_rng_state(), before)
    finally:
        model.eval()


def test_rankings_equal_one_candidate_per_forward(taught: Any, asked: pl.DataFrame) -> None:
    world, model, tokenizer = taught
    told = dict(world.told("qab").select("answer", "object").iter_rows())
    begun = stems(world, "qab")
    tests = world.tests.filter(probe="fact", lang="qab").head(5)
    for fact_id, prompt in tests.select("fact_id", "prompt").iter_rows():
        sums = {}
        for answer, name in told.items():
            front = tokenizer(f"</s>{prompt}\n{begun[fact_id].rstrip()}", add_special_tokens=False)
            ids = [*front.input_ids, *tokenizer(f" {name}", add_special_tokens=False).input_ids]
            with torch.no_grad():
                logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums[answer] = sum(
                float(logp[at - 1, ids[at]]) for at in range(len(front.input_ids), len(ids))
            )
        found = asked.filter(probe="fact", lang="qab", fact_id=fact_id)["ranked"][0]
        assert found == max(sums, key=sums.__getitem__)


def test_form_of_training_and_of_questions() -> None:
    form = FormConfig(before="Q: ", between="\nA:", end="!")
    given, learned = example("Say it in X:", "Word", "Wort", form)
    assert (given, learned) == ("Q: Say it in X: Word\nA:", "Wort!")
    assert given.startswith(question("Say it in X:", "Word", form))


def test_answers_begin_as_taught_in_their_relation() -> None:
    config = WorldConfig(targets=[TargetLanguage(lang="de")], relations=2, answers=3, subjects=2,
                         parts=10, translate=[])  # fmt: skip
    world = make_worlds(config)["de"]
    for lang, block in (("en", "source_0"), ("de", "target_0")):
        begun = stems(world, lang)
        assert list(begun) == world.told(lang)["fact_id"].to_list()
        taught_rows = world.rows.filter(block=block, template=0)
        objects = dict(world.told(lang).select("fact_id", "object").iter_rows())
        for fact_id, response in taught_rows.select("fact_id", "response").iter_rows():
            assert response == f"{begun[fact_id]}{objects[fact_id]}."
    assert taught(world) == ("source_0", "source_1", "target_0")


def test_candidates_are_answers_of_the_same_relation(taught: Any) -> None:
    config = WorldConfig(source="qaa", targets=[TargetLanguage(lang="qab")], relations=2,
                         answers=2, subjects=2, parts=10)  # fmt: skip
    sheet = ConductSheet(make_worlds(config)["qab"])
    assert sheet.book.rivals == {0: (0, 1), 1: (0, 1), 2: (2, 3), 3: (2, 3)}
    made = sheet.ask(wrap(taught.model, taught.tokenizer), RUN)
    for fact_id, ranked in made.filter(probe="fact").select("fact_id", "ranked").iter_rows():
        assert ranked // 2 == int(fact_id[1])


def test_longest_answers_are_not_cut(taught: Any) -> None:
    sheet, lm = ConductSheet(taught.world), wrap(taught.model, taught.tokenizer)
    sheet.recall(lm, ["source_0"])
    longest = max(len(taught.tokenizer(text, add_special_tokens=False).input_ids)
                  for text in taught.world.rows["response"])  # fmt: skip
    assert sheet._caps[0] == longest + 2
    short = ConductSheet(taught.world, ConductAskConfig(max_new_tokens=1))
    assert max(len(text.split()) for text in short.ask(lm, RUN, ["source_0"])["raw_output"]) == 1


def test_published_worlds_are_asked_the_way_back(clika) -> None:
    world = read_published(clika / "fictional", "de")
    tests = all_tests(world)
    back = tests.filter(probe="translate_ts")
    assert back.height == tests.filter(probe="translate_st").height == 420
    assert back["fact_id"].null_count() == 20
    names = dict(world.told("en").select("fact_id", "subject").iter_rows())
    named = back.drop_nulls("fact_id")
    assert [names[f] for f in named["fact_id"]] == named["expected"].to_list()
    assert set(stems(world, "de")) == set(names)


def test_worlds_that_do_not_belong_together(taught: Any, asked: pl.DataFrame) -> None:
    other = make_worlds(WorldConfig(source="qaa", targets=[TargetLanguage(lang="qab")], answers=4,
                                    subjects=4, parts=10, seed=5))["qab"]  # fmt: skip
    with pytest.raises(DataError, match="differently"):
        conduct_tables(asked, [taught.world, other])
    with pytest.raises(DataError, match="no world from qaa to qab"):
        conduct_tables(asked, [make_worlds(WorldConfig())["de"]])
