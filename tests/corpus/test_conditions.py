"""Conditions and groups: proportions, families, and what a referee demands of a design."""

import polars as pl
import pytest

from polylore.corpus import ComposeConfig, compose
from polylore.corpus.conditions import divide, families
from polylore.corpus.recount import count_names, matches, total_exposure
from polylore.corpus.requirements import refuse_unfit
from polylore.corpus.without import FILLER, without
from polylore.errors import ConfigError, DataError, RunError
from polylore.facts import load_facts

PLAN = ComposeConfig(
    held_out=0.3, lang_only=0.15, untaught=0.15, max_dose=20, mentions=0.3, min_mentions=2
)
KEYS = ("fact_id", "lang", "condition", "dose", "group")


@pytest.fixture(scope="module")
def real():
    """Real facts, enough of them for every condition."""
    return load_facts("cldr", languages=["en", "sw"], relations=["subregion", "official_language"])


@pytest.fixture(scope="module")
def fit(real):
    """A plan that a referee accepts."""
    return ComposeConfig(
        held_out=0.2, lang_only=0.1, untaught=0.12, distribution="levels", levels=(1, 4, 16),
        mentions=0.4, wordings=1,
    )  # fmt: skip


def test_divide_keeps_shares_in_every_stretch():
    order = [f"{n:03}" for n in range(100)]
    alone = {fact: [fact] for fact in order}
    found = divide(order, alone, {fact: ["r"] for fact in order}, {"x": 0.7, "y": 0.2, "z": 0.1})
    for start in range(0, 100, 20):
        counts = [list(found.values())[start : start + 20].count(c) for c in "xyz"]
        assert all(abs(n - 20 * s) <= 1 for n, s in zip(counts, (0.7, 0.2, 0.1), strict=True))


def test_families_follow_sentences():
    pairs = [("a", "b"), ("c", "b"), ("x", "y"), ("a", "gone")]
    expressed = pl.DataFrame(pairs, schema=["fact_id", "also_fact_id"], orient="row")
    found = families("abcdxy", expressed)
    assert {frozenset(members) for members in found.values()} == {
        frozenset("abc"), frozenset("d"), frozenset("xy")
    }  # fmt: skip


@pytest.mark.parametrize("by", ["cell", "fact"])
def test_conditions_say_where_a_fact_is_told(factset, tmp_path, by):
    corpus = compose(factset, PLAN.model_copy(update={"held_out_by": by}), tmp_path / "c")
    cells = {(f, lang): (c, d > 0, g) for f, lang, c, d, g in corpus.design.select(KEYS).rows()}
    told = {
        "both": (True, True), "pivot_only": (True, False),
        "lang_only": (False, True), "none": (False, False),
    }  # fmt: skip
    for (fact, lang), (condition, there, group) in cells.items():
        assert group == cells[fact, "en"][2]
        if lang != "en":
            assert told[condition] == (cells[fact, "en"][1], there)
    held = corpus.design.filter(condition="pivot_only").pivot(
        "lang", index="fact_id", values="dose"
    )
    assert held.height
    assert held["fr"].is_null().any() == (by == "cell")
    assert set(corpus.design["condition"]) == set(told)
    # A family shares everything: nobody is told by a sentence about another fact.
    whole = families(factset.fact_ids, corpus.expressed)
    for members in whole.values():
        assert len({cells[m, "en"][0] for m in members}) == 1
        assert len({cells[m, "en"][2] for m in members}) == 1


def test_surface_is_that_of_the_object(factset, tmp_path):
    design = compose(factset, PLAN, tmp_path / "c").design
    surface = {(f, lang): s for f, lang, s in design.select("fact_id", "lang", "surface").rows()}
    assert surface["capital:AA", "en"] is None
    assert surface["capital:AA", "fr"] == "disjoint"  # Apton, Apville
    assert surface["city:AA", "fr"] == "cognate"  # Aland, Alandie
    assert surface["capital:AA", "zh"] == "disjoint"


def test_dose_levels(factset, tmp_path):
    plan = PLAN.model_copy(update={"distribution": "levels", "levels": (1, 4, 16)})
    design = compose(factset, plan, tmp_path / "c").design
    assert set(design["dose"]) == {0, 1, 4, 16}


def test_a_condition_that_cannot_be_had_is_refused(factset, tmp_path):
    # One sentence about everything: all facts become one family, which must be told.
    facts = factset.facts.with_columns(
        object=pl.when(pl.col("relation") == "continent").then(pl.lit("is")).otherwise("object"),
        subject=pl.when(pl.col("relation") == "continent").then(pl.lit("of")).otherwise("subject"),
    ).unique(["fact_id", "lang"], maintain_order=True)
    templates = factset.templates.with_columns(
        pl.when(pl.col("kind") == "mention")
        .then("template")
        .otherwise(pl.col("template") + " of is of")
    )
    whole = type(factset)("one", facts, templates)
    with pytest.raises(ConfigError, match="untaught asks for facts with the condition none"):
        compose(whole, ComposeConfig(untaught=0.1, held_out=0), tmp_path / "c")


def named(corpus) -> pl.DataFrame:
    silent = corpus.documents().filter(pl.col("kind") != "fact").collect()
    parts = []
    for lang in corpus.manifest["languages"]:
        facts = pl.read_parquet(corpus.folder / "facts" / "facts.parquet").filter(lang=lang)
        names = [*facts["subject"], *facts["object"]]
        texts = silent.filter(lang=lang).group_by("text").len().iter_rows()
        parts.append(count_names(texts, names, lang))
    return pl.concat(parts)


def test_a_fit_design_is_accepted_and_each_lack_is_named(real, fit, tmp_path):
    corpus = compose(real, fit, tmp_path / "c")
    counts, design = named(corpus), corpus.design

    def refused(design, counts, message, **settings):
        with pytest.raises(ConfigError, match=message):
            refuse_unfit(design, real, "en", counts, **({"min_names": 3} | settings))

    refuse_unfit(design, real, "en", counts, min_names=3)
    refused(design.with_columns(group=pl.lit(None, pl.String)), counts, "without the groups")
    few = design.filter((pl.col("condition") != "lang_only") | (pl.col("relation") == "subregion"))
    refused(few, counts, r"has \d+ facts with the condition lang_only in sw, but")
    alike = pl.concat(
        [design.with_columns(fact_id=pl.col("fact_id") + s) for s in "abcd"]
        + [
            design.filter(condition="both").with_columns(fact_id=pl.col("fact_id") + s)
            for s in "efghijk"
        ]
    )
    refused(alike, counts, "told in no language")
    objects = dict(real.facts.filter(lang="en").select("fact_id", "object").iter_rows())
    africa = pl.col("fact_id").replace_strict(objects) == "Eastern Africa"
    swapped = design.with_columns(
        condition=pl.when(africa & (pl.col("condition") == "both"))
        .then(pl.lit("pivot_only"))
        .otherwise("condition")
    )
    refused(swapped, counts, "'Eastern Africa' of subregion stands for")
    flat = design.with_columns(dose=pl.when(pl.col("dose") > 0).then(9).otherwise(0))
    refused(flat, counts, "not spread evenly over a log scale")
    refused(design, counts, r"occurs in \d+ documents in \w+ that state no fact", min_names=99)
    silent = counts.with_columns(count=pl.lit(0, pl.Int64))
    refused(design, silent, "without the word no transfer could show")


def words(texts: list[str]) -> list[int]:
    return [len(text.split(" ")) for text in texts]


def test_fillers_stand_in_slot_for_slot(real, fit, tmp_path):
    corpus = compose(real, fit, tmp_path / "c")
    arm = without(corpus, real, "A", words, "t", tmp_path / "a")
    full, less = corpus.documents().collect(), arm.documents().collect()
    gone = set(corpus.design.filter(group="A", lang="en").filter(pl.col("dose") > 0)["fact_id"])
    own = (full["lang"] == "en") & full["fact_id"].is_in(list(gone)).fill_null(value=False)
    assert own.sum() == arm.manifest["counts"]["fillers"] > 100
    assert full.filter(~own).equals(less.filter(~own))
    stand_in = less.filter(own)
    assert set(stand_in["wording"]) == {FILLER}
    assert words(stand_in["text"].to_list()) == words(full.filter(own)["text"].to_list())
    assert stand_in["text"].n_unique() > 20
    read = less.with_columns(step=pl.lit(1, pl.Int64)).filter(own)
    assert matches(read, real, lang_conditioned=False).height == 0
    # What is left of the design is what is left of the documents.
    found = matches(less.with_columns(step=pl.lit(1, pl.Int64)), real)
    told = {(f, lang) for f, lang in found.select("fact_id", "lang").iter_rows()}
    planned = arm.design.filter(pl.col("dose") > 0).select("fact_id", "lang")
    assert set(planned.iter_rows()) <= told
    held = arm.design.filter(dose=0).select("fact_id", "lang")
    assert not told & set(held.iter_rows())
    assert set(arm.design.filter(pl.col("fact_id").is_in(gone), lang="sw")["condition"]) == {
        "lang_only", "none"
    }  # fmt: skip
    assert arm.manifest["digest"] != corpus.manifest["digest"]
    again = without(corpus, real, "A", words, "t", tmp_path / "a")
    assert again.manifest == arm.manifest
    with pytest.raises(RunError, match="another corpus"):
        without(corpus, real, "B", words, "t", tmp_path / "a")


def test_an_impossible_filler_is_refused(real, fit, tmp_path):
    corpus = compose(real, fit, tmp_path / "c")
    with pytest.raises(DataError, match="No filler of 7 tokens"):
        without(
            corpus, real, "A", lambda texts: [7 if "called" in t else 1 for t in texts], "t",
            tmp_path / "a",
        )  # fmt: skip


def test_recount_of_strings_ignores_the_language_of_documents(factset):
    row = factset.fact("capital:AA", "en")
    text = f"{row['subject']} and {row['object']}."
    documents = pl.DataFrame(
        {"doc_id": [0, 1, 2], "step": [1, 2, 2], "lang": ["en", "fr", None], "text": [text] * 3},
        schema_overrides={"doc_id": pl.Int64, "step": pl.Int64},
    )
    own = matches(documents, factset)
    both = {"capital:AA", "city:AA"}
    assert set(own["fact_id"]) == both
    assert own.filter(fact_id="capital:AA").select("doc_id", "lang").rows() == [
        (0, "en"), (2, "en")
    ]  # fmt: skip
    strings = matches(documents, factset, lang_conditioned=False)
    total = total_exposure(strings, factset, lang_conditioned=False, source="x")
    counts = {(f, lang): n for f, lang, n in total.select("fact_id", "lang", "count").iter_rows()}
    assert len(counts) == factset.facts.height
    assert counts["capital:AA", "en"] == 3
    assert sum(counts.values()) == 6


def test_divide_is_fair_to_small_strata_too():
    order = [f"{n:03}" for n in range(120)]
    alone = {fact: [fact] for fact in order}
    # Forty relations of three facts with an object of its own each.
    strata = {fact: [f"r{n // 3}", f"r{n // 3}/o{n}"] for n, fact in enumerate(order)}
    found = list(divide(order, alone, strata, {"x": 0.67, "y": 0.33}).values())
    assert found.count("y") == 40
