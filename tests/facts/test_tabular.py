"""Plain tables of facts."""

import json
from pathlib import Path

import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, load, read_file

ROWS = [
    {
        "fact_id": "a",
        "relation": "capital",
        "lang": "en",
        "subject": 'Fr"ance',
        "object": "Paris, F",
    },
    {"fact_id": "a", "relation": "capital", "lang": "fr", "subject": "France", "object": "Paris"},
]
TEMPLATES = {lang: {"capital": "<subject>: <mask>"} for lang in ("en", "fr")}


def save(folder: Path, name: str, text: str, templates: object = TEMPLATES) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    (folder / "templates.json").write_text(json.dumps(templates))
    return path


def jsonl(rows: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def pairs(factset: FactSet) -> list[tuple[str, str]]:
    return list(factset.facts.select("subject", "object").iter_rows())


def test_every_file_type_reads_the_same(tmp_path: Path) -> None:
    header = ["fact_id", "relation", "lang", "subject", "object"]
    lines = [[row[key] for key in header] for row in ROWS]
    quoted = ['a,capital,en,"Fr""ance","Paris, F"', "a,capital,fr,France,Paris"]
    save(tmp_path, "x.jsonl", "\n" + jsonl(ROWS))
    save(tmp_path, "x.tsv", "\n".join("\t".join(line) for line in [header, *lines]) + "\r\n")
    save(tmp_path, "x.csv", "\ufeff" + "\n".join([",".join(header), *quoted]))
    pl.DataFrame(ROWS).write_parquet(tmp_path / "x.parquet")
    expected = [('Fr"ance', "Paris, F"), ("France", "Paris")]
    for suffix in ("jsonl", "tsv", "csv", "parquet"):
        factset = load(tmp_path / f"x.{suffix}")
        assert pairs(factset) == expected, suffix
        assert factset.fact_ids == ["a"]
        assert factset.name == "x"


def test_columns_are_mapped(tmp_path: Path) -> None:
    rows = [{"r": "capital", "lang": "en", "sub": "France", "obj": "Paris"}]
    path = save(tmp_path, "x.jsonl", jsonl(rows))
    factset = read_file(path, columns={"relation": "r", "subject": "sub", "object": "obj"})
    assert pairs(factset) == [("France", "Paris")]
    with pytest.raises(ConfigError, match="Unknown column title in the column mapping"):
        read_file(path, columns={"title": "sub"})
    with pytest.raises(DataError, match=r"line 1: the column relation, subject, object is missing"):
        read_file(path)


def test_without_ids_rows_are_parallel(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "fact_id"} for row in ROWS]
    assert load(save(tmp_path, "x.jsonl", jsonl(rows))).fact_ids == ["capital:0"]
    with pytest.raises(DataError, match="capital has en 2, fr 1 rows; add a fact_id"):
        load(save(tmp_path, "x.jsonl", jsonl([*rows, rows[0]])))
    with pytest.raises(DataError, match="line 2: there is no fact_id here"):
        load(save(tmp_path, "x.jsonl", jsonl([ROWS[0], rows[1]])))
    with pytest.raises(DataError, match="line 2: there is a fact_id here"):
        load(save(tmp_path, "x.jsonl", jsonl([rows[0], ROWS[1]])))


def test_lists_and_candidates(tmp_path: Path) -> None:
    header = "relation,lang,subject,object,aliases,candidates,gold_pos"
    row = 'capital,en,France,Paris,Lutetia | Paname,"[""Rome"", ""Paris""]",1'
    bare = "capital,en,Spain,Madrid,,Madrid|Rome,"
    factset = load(save(tmp_path, "x.csv", f"{header}\n{row}\n{bare}\n"))
    fact = factset.fact("capital:0", "en")
    assert fact["aliases"] == ["Lutetia", "Paname"]
    assert (fact["candidates"], fact["gold_pos"]) == (["Rome", "Paris"], 1)
    assert fact["candidate_ids"] == ["capital:0:0", "capital:0:1"]
    assert factset.fact("capital:1", "en")["gold_pos"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": ""}, "line 2: the subject is empty"),
        ({"object": None}, "line 2: the object is empty"),
        ({"object": 5}, "not text"),
        ({"relation": "river"}, "line 2: the fact a belongs to river here but to capital"),
        ({"lang": "en"}, "line 2: the fact a occurs twice in 'en', first at .* line 1"),
        ({"fact_id": None}, "fact_id must be a string or an integer"),
        ({"fact_id": 1.5}, "fact_id must be"),
        ({"aliases": 3}, "aliases must be a list"),
        ({"aliases": ["", "x"]}, "aliases must be a list of non-empty strings"),
        ({"aliases": "[1"}, "aliases is not a JSON array"),
        ({"candidates": ["Rome"]}, "'Paris' must be among the candidates exactly once"),
        ({"candidates": ["Rome", "Paris"], "gold_pos": 0}, "gold_pos 0 does not point at"),
        ({"candidates": ["Paris"], "gold_pos": "x"}, "gold_pos must be an integer"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = save(tmp_path, "x.jsonl", jsonl([ROWS[0], ROWS[1] | change]))
    with pytest.raises(DataError, match=rf"x\.jsonl.*{message}"):
        load(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", "", "is empty"),
        ("x.jsonl", "{", "line 1: not valid JSON"),
        ("x.jsonl", "[]", "line 1: must be one JSON object"),
        ("x.csv", "relation,lang\na,b,c\n", "line 2: 3 fields under a header of 2"),
        ("x.csv", 'relation,lang\na,"b\n', "line 2: not valid CSV"),
        ("x.csv", "relation,lang,subject,object\n", "is empty"),
        ("x.tsv", "relation\tlang\na\n", "line 2: 1 fields under a header of 2"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, name, text))


def test_templates_beside_or_given(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(jsonl(ROWS), encoding="utf-8")
    with pytest.raises(DataError, match=r"has no templates beside it; write x\.templates\.json"):
        load(path)
    table = tmp_path / "w.jsonl"
    rows = [
        {"relation": "capital", "lang": lang, "template": f"{number} <subject> <mask>"}
        for lang in ("en", "fr")
        for number in (0, 1)
    ]
    mention = {"relation": "mention", "lang": "en", "kind": "mention", "template": "On <name>."}
    table.write_text(jsonl([*rows, mention]))
    factset = load(path, templates=table)
    assert factset.wordings("capital", "fr") == ["0 <subject> <mask>", "1 <subject> <mask>"]
    assert factset.wordings("mention", "en", "mention") == ["On <name>."]
    table.write_text(jsonl([rows[0] | {"template": "<subject>"}]))
    with pytest.raises(DataError, match=r"w\.jsonl, line 1: the template '<subject>' lacks <mask>"):
        load(path, templates=table)
    (tmp_path / "x.templates.json").write_text(json.dumps({"en": {"capital": "<mask>"}}))
    with pytest.raises(DataError, match=r"x\.templates\.json, en, capital: .* lacks <subject>"):
        load(path)
