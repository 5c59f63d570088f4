"""The fact set itself: consistency, selection, sampling, export."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, build_prompts, lint, load
from polylore.metrics.data_report import data_report

ROW = ("a", "capital", "en", "France", "Paris")


def test_order_and_lookups(capitals: FactSet) -> None:
    assert capitals.languages == ["en", "fr", "zh"]
    assert capitals.relations == ["capital"]
    assert capitals.fact_ids == ["FR", "DE", "PL"]
    assert capitals.fact("PL", "fr")["object"] == "Varsovie"
    assert capitals.wordings("capital", "fr") == ["capital in fr of <subject>: <mask>"]
    assert capitals.wordings("capital", "fr", "statement") == []
    with pytest.raises(DataError, match="no fact 'XX' in language 'fr'"):
        capitals.fact("XX", "fr")


def test_wordings_follow_their_variant(make) -> None:
    templates = [("capital", "en", "prompt", v, f"{v} <subject> <mask>") for v in (2, 0, 1)]
    factset = make([ROW], templates)
    assert [text[0] for text in factset.wordings("capital", "en")] == ["0", "1", "2"]


def test_filter_orders_languages_as_asked(capitals: FactSet) -> None:
    chosen = capitals.filter(languages=["zh", "en"], fact_ids=["PL", "FR"])
    assert chosen.languages == ["zh", "en"]
    assert chosen.fact_ids == ["FR", "PL"]
    assert set(chosen.templates["lang"]) == {"zh", "en"}
    assert capitals.facts.height == 9


def test_filter_names_what_is_there(capitals: FactSet) -> None:
    with pytest.raises(ConfigError, match=r"no language 'xx'; it has en, fr, zh\."):
        capitals.filter(languages=["en", "xx"])
    with pytest.raises(ConfigError, match="no relation 'river'"):
        capitals.filter(relations=["river"])
    with pytest.raises(ConfigError, match="no fact 'XX'"):
        capitals.filter(fact_ids=["XX"])
    with pytest.raises(ConfigError, match="Nothing"):
        capitals.filter(fact_ids=[])


def test_relation_filter_keeps_mentions(make) -> None:
    templates = [
        ("capital", "en", "prompt", 0, "<subject> <mask>"),
        ("river", "en", "prompt", 0, "<subject> <mask>"),
        ("mention", "en", "mention", 0, "They spoke of <name>."),
    ]
    factset = make([ROW, ("b", "river", "en", "Köln", "Rhine")], templates)
    kept = factset.filter(relations=["river"])
    assert kept.relations == ["river"]
    assert kept.wordings("mention", "en", "mention") == ["They spoke of <name>."]
    assert kept.wordings("capital", "en") == []


def test_common_keeps_facts_of_every_language(make) -> None:
    rows = [
        ROW,
        ("b", "capital", "en", "Spain", "Madrid"),
        ("a", "capital", "fr", "France", "Paris"),
    ]
    factset = make(rows)
    assert factset.common().fact_ids == ["a"]
    only = make([ROW, ("b", "capital", "fr", "Espagne", "Madrid")])
    with pytest.raises(ConfigError):
        only.common()


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([], {}, "no facts"),
        ([("a", "capital", "en", " ", "Paris")], {}, "empty subject.*relation 'capital'"),
        ([("a", "capital", "en", "France", "")], {}, "empty object"),
        ([ROW, ROW], {}, "key that occurs more than once"),
        ([ROW, ("a", "river", "fr", "x", "y")], {}, "means the relations capital and river"),
        (
            [ROW],
            {"candidates": [["Paris"]], "candidate_ids": [[]], "gold_pos": [0]},
            "as many candidates as candidate_ids",
        ),
        (
            [ROW],
            {"candidates": [["Rome", "Paris"]], "candidate_ids": [["1", "2"]], "gold_pos": [0]},
            "the object itself at gold_pos",
        ),
        (
            [ROW],
            {"candidates": [["Rome", "Paris"]], "candidate_ids": [["1", "2"]], "gold_pos": [2]},
            "gold_pos inside",
        ),
        (
            [ROW],
            {"candidates": [["Rome", "Paris"]], "candidate_ids": [["1", "1"]], "gold_pos": [1]},
            "only different candidate_ids",
        ),
        (
            [ROW],
            {"candidates": [["Rome", "Paris"]], "candidate_ids": [["1", "2"]]},
            "gold_pos exactly where",
        ),
        (
            [ROW],
            {"candidates": [["", "Paris"]], "candidate_ids": [["1", "2"]], "gold_pos": [1]},
            "no empty candidate",
        ),
    ],
)
def test_contradictions_are_refused(make, rows, columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(rows, None if rows else [], **columns)


@pytest.mark.parametrize(
    ("kind", "template", "message"),
    [
        ("prompt", "Where is <subject>?", "lacks <mask>"),
        ("statement", "It is <mask>.", "lacks <subject>"),
        ("mention", "They spoke.", "lacks <name>"),
        ("question", "<subject> <mask>", "must be one of prompt, statement, mention"),
    ],
)
def test_templates_need_their_slots(make, kind: str, template: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make([ROW], [("capital", "en", kind, 0, template)])


def test_one_fact_is_enough(make) -> None:
    factset = make([ROW])
    prompts = build_prompts(factset, variants=[0], n_shot=3, seed=0)
    assert prompts.select("n_shot", "text").row(0) == (0, "capital in en of France:")
    report = data_report(factset.facts)
    assert report["copy_demo"].to_list() == [None, None]
    assert report["majority_share"].to_list() == [1.0, 1.0]
    assert lint(factset).is_empty()
    assert factset.sample(1, seed=0).fact_ids == ["a"]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 5),
)
@settings(max_examples=25, deadline=None)
def test_sample_is_proportional_parallel_and_independent_of_order(
    make, sizes: list[int], share: float, seed: int
) -> None:
    rows = [
        (f"{r}-{i}", f"r{r}", lang, f"s{i}", f"o{i}")
        for lang in ("en", "fr")
        for r, size in enumerate(sizes)
        for i in range(size)
    ]
    factset = make(rows)
    n = max(1, int(share * sum(sizes)))
    sample = factset.sample(n, seed)
    assert len(sample.fact_ids) == n
    assert sample.facts.height == 2 * n
    for r, size in enumerate(sizes):
        got = sum(one.startswith(f"{r}-") for one in sample.fact_ids)
        assert abs(got - n * size / sum(sizes)) < 1
    turned = make(rows[::-1]).sample(n, seed)
    assert set(turned.fact_ids) == set(sample.fact_ids)


def test_sample_depends_on_the_seed(make) -> None:
    factset = make([(str(i), "r", "en", f"s{i}", f"o{i}") for i in range(60)])
    assert factset.sample(9, 0).fact_ids != factset.sample(9, 1).fact_ids
    assert factset.sample(9, 0).fact_ids == factset.sample(9, 0).fact_ids
    assert set(factset.sample(5, 0).fact_ids) < set(factset.sample(9, 0).fact_ids)
    with pytest.raises(ConfigError, match="at least 1"):
        factset.sample(0, 0)


@pytest.mark.parametrize("jsonl", [False, True])
def test_export_reads_back_unchanged(make, tmp_path: Path, jsonl: bool) -> None:
    rows = [ROW, ("a", "capital", "zh", '法"国\n', "巴\t黎")]
    factset = make(
        rows,
        aliases=[["Lutetia"], []],
        candidate_ids=[["x", "y"], ["x", "y"]],
        candidates=[["Rome", "Paris"], ["罗马", "巴\t黎"]],
        gold_pos=[1, 1],
        flags=[[], ["gold_text_differs"]],
    )
    (tmp_path / "other.txt").write_text("mine")
    factset.export(tmp_path, jsonl=jsonl)
    again = load(tmp_path)
    assert again.facts.equals(factset.facts)
    assert again.templates.equals(factset.templates)
    assert again.name == factset.name
    assert again.digest() == factset.digest()
    assert (tmp_path / "other.txt").read_text() == "mine"


def test_digest_tells_content_apart(capitals: FactSet, make) -> None:
    moved = FactSet("other", capitals.facts.with_columns(source=pl.lit("x")), capitals.templates)
    assert moved.digest() == capitals.digest()
    assert capitals.filter(languages=["fr", "en", "zh"]).digest() != capitals.digest()
    assert make([ROW]).digest() != make([(*ROW[:4], "Lyon")]).digest()


def test_damaged_export_is_one_sentence(capitals: FactSet, tmp_path: Path) -> None:
    capitals.export(tmp_path)
    (tmp_path / "facts.parquet").write_bytes(b"broken")
    with pytest.raises(
        DataError, match=r"facts\.parquet is not a readable Parquet file .*; give a "
    ):
        load(tmp_path)
    (tmp_path / "facts.parquet").unlink()
    with pytest.raises(DataError, match="There is no file"):
        load(tmp_path)
    (tmp_path / "factset.json").write_text("[]")
    with pytest.raises(DataError, match="not a manifest"):
        load(tmp_path)


def test_sample_each_takes_the_first_of_every_relation(make) -> None:
    rows = [
        (f"{r}{i}", r, lang, f"s{r}{i}{lang}", f"o{i}{lang}")
        for r, n in (("p", 9), ("q", 2))
        for i in range(n)
        for lang in ("en", "fr")
    ]
    factset = make(rows)
    some = factset.sample_each(4, seed=1)
    assert some.languages == ["en", "fr"]
    assert [sum(f[0] == r for f in some.fact_ids) for r in "pq"] == [4, 2]
    # The same ones as in a proportional sample of one relation.
    assert set(factset.filter(relations=["p"]).sample(4, 1).fact_ids) < set(some.fact_ids)
    assert make(rows[::-1]).sample_each(4, seed=1).facts.height == some.facts.height
    with pytest.raises(ConfigError, match="Cannot sample 0 facts of each relation"):
        factset.sample_each(0, seed=1)
