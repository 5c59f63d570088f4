"""BMLAMA files: position, no quotes, candidates."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet, join_candidates, load
from polylore.facts.bmlama import read_file

HEADER = "Prompt\tAns\tCandidate Ans\tSubject"
ROWS = [
    'The "capital" of France is <mask>.\tParis\tRome, Oslo, Paris\tFrance',
    'The "capital" of Spain is <mask>.\tMadrid\tRome, Madrid\tSpain',
    "Köln lies on the <mask>.\tRhine\tDon, Rhine\tKöln",
]


def save(
    folder: Path, lang: str, rows: Sequence[str], header: str = HEADER, end: str = "\r\n"
) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{lang}.tsv"
    path.write_bytes((end.join([header, *rows]) + end).encode())
    return path


def test_quotes_and_commas_are_text(tmp_path: Path) -> None:
    row = 'He "ran, <mask>.\tParis\tRome, "Os lo", Paris\t"ran'
    entry = read_file(save(tmp_path, "en", [row])).entries[0]
    assert entry.candidates == ("Rome", '"Os lo"', "Paris")
    assert entry.subject == '"ran'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_do_not_matter(tmp_path: Path, end: str) -> None:
    assert read_file(save(tmp_path, "en", ROWS, end=end)).entries[2].subject == "Köln"


def test_folder_as_a_set_of_its_own(tmp_path: Path) -> None:
    save(tmp_path, "en", ROWS)
    french = [
        "<mask> est la capitale de France.\tParis\tRome, Oslo, Paris\tFrance",
        "<mask> est la capitale de Espagne.\tMadrid\tRome, Madrid\tEspagne",
        "Cologne est au bord du <mask>.\tRhin\tDon, Rhin\tCologne",
    ]
    save(tmp_path, "fr", french, header="A\tB\tC\tD\tE")
    factset = load(tmp_path)
    assert factset.languages == ["en", "fr"]
    assert factset.relations == ["the_capital_of_is", "lies_on_the"]
    assert factset.wordings("the_capital_of_is", "fr") == ["<mask> est la capitale de <subject>."]
    fact = factset.fact("1", "fr")
    assert (fact["candidates"], fact["gold_pos"]) == (["Rome", "Madrid"], 1)
    assert fact["candidate_ids"] == factset.fact("1", "en")["candidate_ids"] == ["1:0", "1:1"]
    assert any("fr.tsv: the header has the 5 fields" in note for note in factset.notes)


def test_odd_prompts_use_the_commonest_template(tmp_path: Path) -> None:
    save(tmp_path, "en", ROWS)
    odd = ['Of """Espagne""" <mask>\tMadrid\tRome, Madrid\tEspagne ', ROWS[1], ROWS[2]]
    save(tmp_path, "fr", odd)
    factset = load(tmp_path)
    assert factset.wordings("the_capital_of_is", "fr") == ['The "capital" of <subject> is <mask>.']
    assert any("1 of 2 prompts of the_capital_of_is differ" in note for note in factset.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a\tb\tc", "line 3: 3 fields instead of 4"),
        ("a\tb\tc\td\te", "line 3: 5 fields instead of 4"),
        ("x <mask>\t\tRome\tx", "the answer is empty"),
        ("x <mask>\tRome\tRome\t ", "the subject is empty"),
        ("x <mask>\tRome\t\tx", "candidate list is empty"),
        ("x <mask>\tRome\tOslo, , Rome\tx", "has an empty candidate"),
        ("x <mask>\tRome\tRome, Oslo\tx", "must be the last candidate"),
    ],
)
def test_broken_rows(tmp_path: Path, row: str, message: str) -> None:
    path = save(tmp_path, "en", [ROWS[0], row])
    with pytest.raises(DataError, match=message):
        read_file(path)


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_file(tmp_path / "en.tsv")
    with pytest.raises(DataError, match="is empty"):
        read_file(save(tmp_path, "en", []))
    save(tmp_path, "en", ROWS)
    save(tmp_path, "fr", ROWS[:2])
    with pytest.raises(DataError, match="has 2 rows, but 3 are needed"):
        load(tmp_path)
    (tmp_path / "fr.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        load(tmp_path)


@pytest.fixture
def two(make) -> FactSet:
    rows = [
        ("0", "capital", "en", "France", "Paris"),
        ("1", "capital", "en", "Kingdom of Spain", "Madrid City"),
    ]
    return make(rows, aliases=[[], ["Madrid"]])


def test_join_keeps_the_sets_own_spelling(two: FactSet, tmp_path: Path) -> None:
    save(tmp_path / "b", "en", ROWS)
    joined = join_candidates(two, tmp_path / "b")
    fact = joined.fact("1", "en")
    assert fact["candidates"] == ["Rome", "Madrid City"]
    assert fact["aliases"] == ["Madrid"]
    assert fact["flags"] == ["gold_text_differs", "subject_text_differs"]
    assert joined.fact("0", "en")["flags"] == []
    assert joined.fact("0", "en")["candidates"] == ["Rome", "Oslo", "Paris"]


def test_join_refuses_what_does_not_fit(two: FactSet, make, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    with pytest.raises(DataError, match="There is no folder"):
        join_candidates(two, folder)
    save(folder, "fr", ROWS)
    with pytest.raises(ConfigError, match="has no language 'en'; it has fr"):
        join_candidates(two, folder)
    save(folder, "en", ROWS)
    for fact_id in ("9", "FR", "-1"):
        with pytest.raises(DataError, match="is not one of the rows 0 to 2"):
            join_candidates(make([(fact_id, "capital", "en", "France", "Paris")]), folder)
