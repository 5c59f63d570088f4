"""Lexicons as tables, their flags, and what the linter finds."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import ConfigError, DataError
from polylore.facts.lexicon import Lexicon, flags_table, lint_lexicon, load_lexicon
from polylore.tables.lexicon import SIMILARITY

LONG = """concept_id,lang,form,rank,sense_id
cat,en,cat,0,s1
cat,fr,chat,0,s1
dog,en,dog,0,s2
dog,fr,chien,0,s2
table,en,table,0,s3
table,fr,table,0,s3
chat,en,chat,0,s4
chat,fr,bavardage,0,s4
bank,en,bank,0,s5
bank,fr,banque,0,s5
bank,fr,rive,1,s6
shore,en,shore,0,s6
shore,fr,rive,0,s6
"""


def write(folder: Path, text: str, name: str = "words.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def lexicon(tmp_path) -> Lexicon:
    return load_lexicon(write(tmp_path, LONG))


def flags_of(lexicon: Lexicon, a: str, b: str) -> dict[str, str]:
    names = ("hom_same", "hom_false", "colex_a", "colex_b", "poly", "clean")
    rows = flags_table(lexicon, [(a, b)]).iter_rows(named=True)
    return {row["concept_id"]: " ".join(n for n in names if row[n]) for row in rows}


def test_flags_of_planted_words(lexicon) -> None:
    assert flags_of(lexicon, "en", "fr") == {
        "cat": "clean",
        "dog": "clean",
        "table": "hom_same",
        "chat": "hom_false",
        "bank": "colex_b poly",
        "shore": "colex_b",
    }
    assert flags_of(lexicon, "fr", "en") == {
        "cat": "hom_false",
        "dog": "clean",
        "table": "hom_same",
        "chat": "clean",
        "bank": "colex_a poly",
        "shore": "colex_a",
    }


def test_near_synonyms_come_from_ratings(lexicon) -> None:
    rated = SIMILARITY.build(
        [
            {"concept_a": "bank", "concept_b": "shore", "score": 4.5},
            {"concept_a": "cat", "concept_b": "dog", "score": 3.0},
            {"concept_a": "cat", "concept_b": "table", "score": 2.9},
        ]
    )
    with_ratings = Lexicon("l", lexicon.frame, similarity=rated)
    rows = {r["concept_id"]: r for r in flags_table(with_ratings, [("en", "fr")]).to_dicts()}
    assert rows["bank"]["near_synonyms"] == ["shore"]
    assert (rows["cat"]["near_synonyms"], rows["cat"]["related"]) == ([], ["dog"])


def test_accepted_forms_are_of_the_shown_sense(lexicon) -> None:
    assert [f.text for f in lexicon.accepted("bank", "fr", "en")] == ["banque"]
    assert [f.text for f in lexicon.accepted("bank", "fr")] == ["banque", "rive"]


def test_wide_tables_with_padded_headers_and_lists(tmp_path) -> None:
    text = " concept_id , en, fr \nbook,['book'],\"['livre', 'bouquin']\"\n"
    text += "sea,sea,mer|océan\nsky,sky,\n"
    lexicon = load_lexicon(write(tmp_path, text))
    assert [f.text for f in lexicon.forms("book", "fr")] == ["livre", "bouquin"]
    assert [f.text for f in lexicon.forms("sea", "fr")] == ["mer", "océan"]
    assert lexicon.forms("sky", "fr") == ()
    complete, lacking = lexicon.complete(["fr", "en"])
    assert (complete.concepts, lacking, complete.languages) == (
        ["book", "sea"],
        ["sky"],
        ["fr", "en"],
    )
    pl.DataFrame({"id": ["a"], "en": [["x", "y"]]}).write_parquet(tmp_path / "w.parquet")
    assert [f.text for f in load_lexicon(tmp_path / "w.parquet").forms("a", "en")] == ["x", "y"]


def test_export_reads_back_unchanged(lexicon, tmp_path) -> None:
    lexicon.export(tmp_path / "out")
    again = load_lexicon(tmp_path / "out")
    assert again.digest() == lexicon.digest()
    again.frame.with_columns(form=pl.lit("x")).write_parquet(tmp_path / "out" / "lexicon.parquet")
    with pytest.raises(DataError, match="was changed after it was exported"):
        load_lexicon(tmp_path / "out")


def test_pairs_are_checked_before_anything_is_printed() -> None:
    words = ["lexicon", "stats", "cldr", "--languages", "en,fr", "--pairs"]
    told = CliRunner().invoke(cli, [*words, "en-fr,en-xx"])
    assert isinstance(told.exception, ConfigError)
    assert told.output == ""
    assert CliRunner().invoke(cli, [*words, "en-fr"]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG + "cat,fr,minou,0,s1\n", r"line 15: concept 'cat' has rank 0 in fr a second time"),
        (LONG + "cow,fr,,0,s9\n", "line 15: form is empty"),
        (LONG + "cow,fr,vache,1,s9\n", "ranks 0, 1, 2"),
        (LONG + "cow,xx-qq,vache,0,s9\n", "'xx-qq' is not a language code"),
        (LONG + "cow,fr,vache,first,s9\n", "rank must be a whole number"),
        ("word,en,fr\na,b,c\n", "needs the columns concept_id, lang and form"),
        ('concept_id,en\na,"[1, 2]"\n', "en must be a list of strings"),
        ("concept_id,en\na,\"[__import__('os')]\"\n", "not a list that can be read"),
    ],
)
def test_broken_tables_are_refused(tmp_path, text, message) -> None:
    with pytest.raises(DataError, match=message):
        load_lexicon(write(tmp_path, text))


def test_missing_sources_and_languages_are_named(tmp_path, lexicon) -> None:
    with pytest.raises(ConfigError, match="There is no lexicon"):
        load_lexicon(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="is no lexicon"):
        load_lexicon(tmp_path)
    with pytest.raises(ConfigError, match="no language 'de'; it has en, fr"):
        lexicon.filter(languages=["de"])
    with pytest.raises(ConfigError, match="has 0 of 568 names in 'xx'"):
        load_lexicon("cldr", ["en", "xx"])


def test_lint_finds_what_was_planted(tmp_path) -> None:
    text = LONG + 'cow,en,"co""w",0,\nhen,en,po ule,0,\nhen,fr,e\u0301pi\u200b,0,\n'
    found = {
        (row["rule"], row["lang"]): row["count"]
        for row in lint_lexicon(load_lexicon(write(tmp_path, text))).iter_rows(named=True)
    }
    assert found[("too_few_concepts", None)] == 7
    assert found[("missing_form", "fr")] == 1
    assert found[("quote_in_form", "en")] == 1
    assert found[("multi_word", "en")] == 1
    assert found[("unnormalised", "fr")] == 1
    assert found[("invisible", "fr")] == 1
    assert found[("colexified", "fr")] == 1
    assert found[("homograph", "fr")] == 1
    assert found[("false_friend", "fr")] == 1
    assert found[("several_senses", None)] == 1
    assert ("missing_form", "en") not in found


def test_command_line(tmp_path) -> None:
    path = str(write(tmp_path, LONG))
    run = CliRunner().invoke
    shown = run(cli, ["lexicon", "stats", path, "--pairs", "en-fr"])
    assert shown.exit_code == 0, shown.output
    assert "6 concepts, 2 languages." in shown.output
    assert "hom_false" in shown.output
    assert run(cli, ["lexicon", "lint", path, "--strict"]).exit_code == 2
    exported = run(cli, ["lexicon", "export", path, str(tmp_path / "out"), "-l", "en,fr"])
    assert "Wrote 6 concepts" in exported.output
    wrong = run(cli, ["lexicon", "stats", path, "--pairs", "en-de"])
    assert isinstance(wrong.exception, ConfigError)
