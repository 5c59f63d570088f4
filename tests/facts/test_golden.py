"""Golden numbers of the published data: specification of `trace`, section 9.1 (T1, T2, T3)."""

from pathlib import Path

import polars as pl
import pytest

from polylore.facts import FactSet, load
from polylore.facts.bmlama import read_file
from polylore.facts.klar_text import read_text_files
from polylore.files import sha256_file
from polylore.metrics.data_report import data_report

LANGUAGES = ["en", "fr", "es", "ar", "zh", "ru", "ja", "tr", "uk", "ca", "ko", "el"]
SIZES = {
    "capital_of": 212,
    "continent": 212,
    "country_of_citizenship": 60,
    "headquarters_location": 51,
    "instrument": 46,
    "language_of_work_or_name": 108,
    "languages_spoken": 104,
    "manufacturer": 35,
    "native_language": 130,
    "place_of_birth": 35,
    "place_of_death": 79,
    "religion": 125,
}
# lang: same_object, cf, same_pair, cf, answer_in_subject, prefix_conflicts, over 20, one character
T3 = {
    "en": (1197, 1197, 1197, 1197, 75, 7, 0, 0.334169),
    "fr": (341, 415, 196, 213, 89, 5, 3, 0.335004),
    "ar": (0, 0, 0, 0, 87, 18, 41, 0.551378),
    "zh": (1, 1, 1, 1, 54, 8, 3, 0.301587),
    "ru": (17, 17, 13, 13, 45, 8, 407, 0.360067),
    "ja": (1, 1, 0, 0, 60, 8, 89, 0.319967),
    "ko": (1, 1, 1, 1, 71, 8, 18, 0.304929),
}
LEAKS = {
    "continent": 0.6086,
    "religion": 0.6010,
    "instrument": 0.5791,
    "native_language": 0.5050,
    "capital_of": 0.0021,
}


def test_t1_sizes_and_order(klar: FactSet) -> None:
    assert klar.languages == LANGUAGES
    assert klar.facts.height == 14364
    first = None
    for lang in LANGUAGES:
        rows = klar.facts.filter(pl.col("lang") == lang)
        counts = rows.group_by("relation", maintain_order=True).len()
        assert dict(counts.iter_rows()) == SIZES
        ids = rows["fact_id"].to_list()
        first = first or ids
        assert ids == first
    assert first is not None
    numbers = [int(one) for one in first]
    assert (min(numbers), max(numbers), sum(numbers)) == (0, 6151, 4_403_554)


def test_t1_strings(klar: FactSet) -> None:
    assert klar.facts.select("subject", "object").n_unique() == 13255
    assert len({*klar.facts["subject"], *klar.facts["object"]}) == 12683


def test_t1_files(published: Path) -> None:
    digest = sha256_file(published / "klar" / "wimbd_frequencies.json")
    assert digest.startswith("0ea61cb834e9c106")
    assert sha256_file(published / "klar" / "templates.json").startswith("784091982c88ec6c")


def test_t1_filled_sentences_give_the_same_facts(klar: FactSet, published: Path) -> None:
    text = read_text_files(published / "klar")
    columns = ("lang", "relation", "subject", "object")
    assert text.facts.select(columns).equals(klar.facts.select(columns))
    keys = ["relation", "lang"]
    assert text.templates.sort(keys).equals(klar.templates.sort(keys))
    assert klar.templates.height == 144


def test_t2_join(klar: FactSet, published: Path) -> None:
    for lang, expected in {
        **dict.fromkeys(("en", "fr", "ar", "ru", "ja", "ko"), (1197, 1197, 1197)),
        "zh": (921, 1075, 830),
    }.items():
        entries = read_file(published / "bmlama17" / f"{lang}.tsv").entries
        subjects, objects, both = 0, 0, 0
        rows = klar.facts.filter(pl.col("lang") == lang).select("fact_id", "subject", "object")
        for fact_id, subject, gold in rows.iter_rows():
            entry = entries[int(fact_id)]
            subjects += entry.subject == subject
            objects += entry.gold == gold
            both += entry.subject == subject and entry.gold == gold
        assert (subjects, objects, both) == expected, lang


def test_t2_candidates(klar_with_candidates: FactSet) -> None:
    facts = klar_with_candidates.facts
    for lang in LANGUAGES:
        rows = facts.filter(pl.col("lang") == lang)
        sizes = rows["candidates"].list.len()
        assert dict(sizes.value_counts().iter_rows()) == {10: 789, 8: 150, 6: 258}
        assert (1 / sizes).mean() == pytest.approx(0.117502, abs=1e-6)
        assert (sizes == rows["candidates"].list.n_unique()).all()
        assert (rows["gold_pos"] == sizes.cast(pl.Int32) - 1).all()
        assert (rows["candidates"].list.last() == rows["object"]).all()
    flagged = facts.filter(pl.col("flags").list.contains("gold_text_differs"))
    assert set(flagged["lang"]) == {"zh"}
    assert flagged.height == 1197 - 1075
    assert (flagged["aliases"].list.len() == 1).all()
    assert not flagged.filter(pl.col("aliases").list.contains(pl.col("object"))).height


def test_t2_candidate_ids_are_parallel(klar_with_candidates: FactSet) -> None:
    ids = klar_with_candidates.facts.group_by("fact_id").agg(pl.col("candidate_ids").unique())
    assert (ids["candidate_ids"].list.len() == 1).all()


def test_t2_other_golds_among_the_distractors(klar_with_candidates: FactSet) -> None:
    from polylore.facts import lint

    found = lint(klar_with_candidates).filter(pl.col("rule") == "gold_among_distractors")
    counts = dict(found.group_by("lang").agg(pl.col("count").sum()).iter_rows())
    assert counts == dict.fromkeys(LANGUAGES, 20)


def test_t2_broken_header_is_read_by_position_and_noted(published: Path) -> None:
    file = read_file(published / "bmlama17" / "zh.tsv")
    assert len(file.entries) == 6792
    assert "zh.tsv: the header has the 5 fields" in file.notes[0]
    assert not read_file(published / "bmlama17" / "en.tsv").notes


def test_bmlama_alone(published: Path) -> None:
    factset = load(published / "bmlama17", languages=["zh", "en"])
    assert factset.languages == ["zh", "en"]
    assert len(factset.fact_ids) == 6792
    assert len(factset.relations) == 41
    assert factset.fact("3750", "en")["relation"] == "is_the_capital_of"
    assert factset.wordings("was_born_in", "zh") == ["<subject>出生于<mask>。"]


@pytest.fixture(scope="module")
def report(klar_with_candidates: FactSet) -> pl.DataFrame:
    return data_report(klar_with_candidates.facts)


@pytest.mark.parametrize("lang", T3)
def test_t3_table(report: pl.DataFrame, lang: str) -> None:
    row = report.filter((pl.col("lang") == lang) & (pl.col("relation") == "all")).row(0, named=True)
    counts = (
        "same_object",
        "same_object_cf",
        "same_pair",
        "same_pair_cf",
        "answer_in_subject",
        "prefix_conflicts",
        "object_bytes_over_20",
    )
    assert tuple(row[name] for name in counts) == T3[lang][:7]
    assert row["one_char_baseline"] == pytest.approx(T3[lang][7], abs=1e-6)
    assert row["majority_share"] == pytest.approx(0.296575, abs=1e-6)
    assert row["copy_demo"] == pytest.approx(0.167609, abs=1e-6)
    assert row["demo_leak_probability"] == pytest.approx(0.352190, abs=1e-6)
    assert row["multi_gold"] == 37
    assert row["distinct_objects"] == 414
    assert row["duplicate_triples"] == (6 if lang in {"fr", "ru"} else 5)
    assert row["chance"] == pytest.approx(0.117502, abs=1e-6)
    assert row["gold_last_share"] == 1
    for relation, expected in LEAKS.items():
        value = report.filter((pl.col("lang") == lang) & (pl.col("relation") == relation))
        assert value["demo_leak_probability"][0] == pytest.approx(expected, abs=5e-5)


def test_t3_runs_for_all_languages(report: pl.DataFrame) -> None:
    assert report["lang"].unique(maintain_order=True).to_list() == LANGUAGES
    assert report.height == 12 * 13
    assert (report["missing_languages"].list.len() == 0).all()
