"""The composed corpus: deterministic, as planned, and silent about what it must not say."""

import importlib
import re
import unicodedata
from collections import Counter

import polars as pl
import pytest

from polylore.corpus import ComposeConfig, compose, open_corpus
from polylore.corpus.expressed import Finder
from polylore.errors import ConfigError, DataError, RunError

compose_module = importlib.import_module("polylore.corpus.compose")  # the name is the function
PLAN = ComposeConfig(max_dose=40, held_out=0.25, mentions=0.2)


def documents(corpus) -> pl.DataFrame:
    return corpus.documents().collect()


def says(text: str, name: str, lang: str) -> list[tuple[int, int]]:
    """Naive occurrences of a name, with word boundaries unless the language has none."""
    hits = [m.span() for m in re.finditer(f"(?={re.escape(name)})", text)]
    spans = [(start, start + len(name)) for start, _ in hits]
    if lang == "zh":
        return spans

    def letter(at: int) -> bool:
        return 0 <= at < len(text) and unicodedata.category(text[at])[0] in "LNM"

    return [(a, b) for a, b in spans if not letter(a - 1) and not letter(b)]


def expresses(text: str, row: dict, lang: str) -> bool:
    pairs = [
        (s, o) for s in says(text, row["subject"], lang) for o in says(text, row["object"], lang)
    ]
    return any(s[1] <= o[0] or o[1] <= s[0] for s, o in pairs)


def test_same_plan_same_documents(factset, tmp_path, monkeypatch):
    one = compose(factset, PLAN, tmp_path / "one")
    monkeypatch.setattr(compose_module, "PART_ROWS", 97)
    two = compose(factset, PLAN, tmp_path / "two")
    assert len(two.parts) > len(one.parts) == 1
    assert documents(one).equals(documents(two))
    assert one.manifest["digest"] == two.manifest["digest"]
    other = compose(factset, PLAN.model_copy(update={"seed": 1}), tmp_path / "three")
    assert other.manifest["digest"] != one.manifest["digest"]
    assert not other.design.equals(one.design)


def test_documents_match_the_design(factset, tmp_path):
    corpus = compose(factset, PLAN, tmp_path / "c")
    told = Counter(documents(corpus).filter(kind="fact").select("fact_id", "lang").iter_rows())
    design = {
        (f, lang): dose for f, lang, dose in corpus.design.select("fact_id", "lang", "dose").rows()
    }
    assert told == {cell: dose for cell, dose in design.items() if dose}
    assert len(design) == factset.facts.height
    frame = documents(corpus)
    assert frame["doc_id"].to_list() == list(range(corpus.manifest["counts"]["documents"]))
    share = (frame["kind"] == "mention").mean()
    assert abs(share - PLAN.mentions) < 0.01
    # Every document is its wording with the names of its fact.
    facts = {(r["fact_id"], r["lang"]): r for r in factset.facts.iter_rows(named=True)}
    for row in frame.filter(kind="fact").iter_rows(named=True):
        fact = facts[row["fact_id"], row["lang"]]
        kind, variant = row["wording"].split(":")
        template = factset.wordings(row["relation"], row["lang"], kind)[int(variant)]
        expected = template.replace("<subject>", fact["subject"]).replace("<mask>", fact["object"])
        assert row["text"] == expected


def test_held_out_cells_are_named_but_never_taught(factset, tmp_path):
    corpus = compose(factset, PLAN, tmp_path / "c")
    held = corpus.design.filter(dose=0)
    assert set(held["lang"]) == {"fr", "zh"}
    assert held.height >= 0.15 * corpus.design.filter(pl.col("lang") != "en").height
    frame = documents(corpus)
    texts = {lang: frame.filter(lang=lang)["text"].to_list() for lang in ("fr", "zh")}
    mentions = {
        lang: frame.filter(lang=lang, kind="mention")["text"].to_list() for lang in ("fr", "zh")
    }
    for cell in held.iter_rows(named=True):
        lang = cell["lang"]
        row = factset.fact(cell["fact_id"], lang)
        assert not [text for text in texts[lang] if expresses(text, row, lang)]
        for name in (row["subject"], row["object"]):
            assert sum(bool(says(t, name, lang)) for t in mentions[lang]) >= PLAN.min_mentions


def test_mentions_state_no_fact(factset, tmp_path):
    frame = documents(compose(factset, PLAN, tmp_path / "c")).filter(kind="mention")
    assert frame["fact_id"].null_count() == frame.height > 0
    for lang in factset.languages:
        finder = Finder(factset.facts.filter(pl.col("lang") == lang), lang)
        assert not any(finder(frame.filter(lang=lang)["text"].to_list()))


def test_expressed_equals_a_naive_search(factset, tmp_path):
    corpus = compose(factset, PLAN, tmp_path / "c")
    found = set(corpus.expressed.iter_rows())
    naive = set()
    for row in factset.facts.iter_rows(named=True):
        lang = row["lang"]
        for n, template in enumerate(factset.wordings(row["relation"], lang, "statement")):
            text = template.replace("<subject>", row["subject"]).replace("<mask>", row["object"])
            for other in factset.facts.filter(lang=lang).iter_rows(named=True):
                if other["fact_id"] != row["fact_id"] and expresses(text, other, lang):
                    naive.add((row["fact_id"], lang, f"statement:{n}", other["fact_id"]))
    assert found == naive
    assert ("capital:AA", "en", "statement:0", "city:AA") in found
    assert ("subregion:BB", "zh", "statement:1", "continent:BB") in found
    assert ("subregion:AA", "en", "statement:0", "continent:AA") not in found  # Southiaern


def test_doses_follow_the_distribution(factset, tmp_path):
    flat = ComposeConfig(held_out=0, min_dose=5, max_dose=200)
    doses = compose(factset, flat, tmp_path / "a").design.filter(lang="fr")["dose"].sort()
    n = doses.len()
    expected = [round(5 * 40 ** ((i + 0.5) / n)) for i in range(n)]
    assert doses.to_list() == expected
    zipf = ComposeConfig(held_out=0, distribution="zipf", zipf_exponent=1.5, min_dose=2)
    doses = compose(factset, zipf, tmp_path / "b").design.filter(lang="zh")["dose"].sort()
    assert doses.to_list() == sorted(max(2, round(200 / (r + 1) ** 1.5)) for r in range(n))


def test_doses_by_cell_or_by_fact(factset, tmp_path):
    by_fact = compose(factset, ComposeConfig(held_out=0, dose_by="fact"), tmp_path / "a").design
    wide = by_fact.pivot("lang", index="fact_id", values="dose")
    assert wide["en"].equals(wide["fr"], check_names=False)
    by_cell = compose(factset, ComposeConfig(held_out=0), tmp_path / "b").design
    wide = by_cell.pivot("lang", index="fact_id", values="dose")
    assert not wide["en"].equals(wide["fr"], check_names=False)
    assert wide["en"].sort().equals(wide["fr"].sort(), check_names=False)


def test_language_shares(factset, tmp_path):
    plan = ComposeConfig(held_out=0, min_dose=50, max_dose=50, shares={"en": 4, "fr": 1})
    doses = (
        compose(factset, plan, tmp_path / "c").design.group_by("lang").agg(pl.col("dose").mean())
    )
    assert dict(doses.iter_rows()) == {"en": 100.0, "fr": 25.0, "zh": 25.0}


def test_wordings_limit_and_balance(factset, tmp_path):
    one = compose(factset, PLAN.model_copy(update={"wordings": 1}), tmp_path / "a")
    assert set(documents(one).filter(kind="fact")["wording"]) == {"statement:0"}
    every = documents(compose(factset, PLAN, tmp_path / "b")).filter(kind="fact")
    used = every.group_by("fact_id", "lang", "wording").len()
    spread = used.group_by("fact_id", "lang").agg(pl.col("len").max() - pl.col("len").min())
    assert spread["len"].max() <= 1


def test_no_shuffle_keeps_languages_together(factset, tmp_path):
    frame = documents(compose(factset, PLAN.model_copy(update={"shuffle": False}), tmp_path / "c"))
    langs = frame.filter(kind="fact").filter(relation="city")["lang"].rle()
    assert langs.len() == 3
    shuffled = documents(compose(factset, PLAN, tmp_path / "d"))
    assert shuffled["text"].sort().equals(frame["text"].sort())


def test_prompts_stand_in_for_missing_statements(factset, tmp_path):
    prompts = type(factset)(
        "prompts", factset.facts, factset.templates.filter(pl.col("kind") == "prompt")
    )
    frame = documents(compose(prompts, PLAN, tmp_path / "c"))
    assert set(frame.filter(kind="fact")["wording"]) == {"prompt:0"}
    mention = frame.filter(kind="mention", lang="en").row(0, named=True)
    assert mention["wording"] == "mention:bare"
    assert mention["text"] in {*factset.facts["subject"], *factset.facts["object"]}


def test_finished_corpus_is_opened_and_another_plan_refused(factset, tmp_path):
    first = compose(factset, PLAN, tmp_path / "c")
    stamp = first.parts[0].stat().st_mtime_ns
    assert compose(factset, PLAN, tmp_path / "c").parts[0].stat().st_mtime_ns == stamp
    assert open_corpus(tmp_path / "c").manifest == first.manifest
    with pytest.raises(RunError, match=r"config\.max_dose: 40 there, 41 here"):
        compose(factset, PLAN.model_copy(update={"max_dose": 41}), tmp_path / "c")
    with pytest.raises(RunError, match="factset"):
        compose(factset.filter(languages=["en", "fr"]), PLAN, tmp_path / "c")


def test_interrupted_composition_starts_over(factset, tmp_path, monkeypatch):
    whole = documents(compose(factset, PLAN, tmp_path / "whole"))
    monkeypatch.setattr(compose_module, "PART_ROWS", 50)

    def stop(done: int, total: int, what: str) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compose(factset, PLAN, tmp_path / "c", progress=stop)
    with pytest.raises(DataError, match="no finished corpus"):
        open_corpus(tmp_path / "c")
    monkeypatch.setattr(compose_module, "PART_ROWS", 5000)
    assert documents(compose(factset, PLAN, tmp_path / "c")).equals(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pivot": "de"}, "pivot 'de' is not a language"),
        ({"shares": {"xx": 2.0}}, "shares names xx"),
        ({"mentions": 0.01}, "raise mentions"),
    ],
)
def test_plans_that_do_not_fit_are_refused(factset, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        compose(factset, PLAN.model_copy(update=change), tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_dose": 9, "max_dose": 3}, "max_dose must not be smaller"),
        ({"background": ["x.txt"]}, "given together"),
        ({"mentions": 0.6, "background_share": 0.5, "background": ["x.txt"]}, "leave documents"),
        ({"shares": {"en": 0}}, "positive"),
        ({"dosis": 3}, "dosis is not a known setting"),
    ],
)
def test_impossible_plans_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ComposeConfig.parse(values)


def test_unusable_wording_is_refused(factset, tmp_path):
    twice = pl.col("template").str.replace("<subject>", "<subject>, <subject>", literal=True)
    broken = type(factset)("broken", factset.facts, factset.templates.with_columns(twice))
    with pytest.raises(DataError, match=r"must contain <subject> exactly once"):
        compose(broken, PLAN, tmp_path / "c")


def test_unwritable_folder(factset, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="choose another folder"):
        compose(factset, PLAN, tmp_path / "file" / "c")
