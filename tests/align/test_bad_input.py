"""Bad input one by one through the command line (specification of `align`, sections 4.7 and 9.7).

Each is refused in one sentence that says where; what is complete is scored all the same.
"""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import PolyloreError
from polylore.runs import RunFolder

LANGS = ("en", "de")
Rows = list[dict[str, Any]]


def questions(lang: str) -> Rows:
    return [
        {"id": item, "questions": f"{lang} {item}?", "label": item % 4,
         "answers": [f"{lang}{(item + at) % 7}" for at in range(4)]}
        for item in range(12)
    ]  # fmt: skip


def write_sets(folder: Path, change: Callable[[str, Rows], None] | None = None) -> Path:
    folder.mkdir()
    for lang in LANGS:
        rows = questions(lang)
        if change is not None:
            change(lang, rows)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"city.{lang}.jsonl").write_text(text)
    return folder


def outputs(**changes: Any) -> pl.DataFrame:
    rows = [
        {"model": "m", "task": "city", "lang": lang, "item": item, "output": "ABCD"[item % 4],
         "gold": "ABCD"[item % 4]}
        for lang in LANGS for item in range(12)
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(**changes)


def run(*wanted: object) -> Any:
    return CliRunner().invoke(cli, ["align", *map(str, wanted)])


def refused(*wanted: object) -> str:
    """The sentence with which a command refuses."""
    result = run(*wanted)
    assert isinstance(result.exception, PolyloreError), (result.output, result.exception)
    assert "\n" not in str(result.exception)
    return str(result.exception)


FIRST = (pl.col("lang") == "de") & (pl.col("item") == 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": pl.lit("atlantis")}, "set 'atlantis' is unknown; known are city"),
        ({"item": pl.when(FIRST).then(99).otherwise("item")}, "1 items are unknown: city item 99"),
        ({"item": pl.when(FIRST).then(4).otherwise("item")}, "given more than once: city item 4"),
        ({"gold": pl.when(FIRST).then(pl.lit("E")).otherwise("gold")}, r"no option \(E\)"),
        ({"gold": pl.when(FIRST).then(pl.lit("A")).otherwise("gold")}, "1 golds differ from the"),
        ({"output": pl.when(FIRST).then(None).otherwise("output")}, "1 rows have no output"),
    ],
)
def test_answers(tmp_path: Path, changes: dict[str, pl.Expr], message: str) -> None:
    sets = write_sets(tmp_path / "sets")
    outputs(**changes).write_parquet(tmp_path / "a.parquet")
    said = refused("rescore", tmp_path / "a.parquet", "--tests", sets, "--out", tmp_path / "run")
    assert re.search(message, said), said
    assert not (tmp_path / "run").exists()


def test_unknown_language_of_the_published_sets(tmp_path: Path) -> None:
    rows = outputs(task=pl.lit("xgeo"), lang=pl.lit("tlh")).unique(["lang", "item"])
    rows.write_parquet(tmp_path / "a.parquet")
    assert "no language 'tlh'" in refused(
        "rescore", tmp_path / "a.parquet", "--out", tmp_path / "r"
    )


def test_missing_rows_are_listed_and_the_rest_is_scored(tmp_path: Path) -> None:
    sets = write_sets(tmp_path / "sets")
    outputs().filter(~FIRST).write_parquet(tmp_path / "a.parquet")
    result = run(
        "rescore", tmp_path / "a.parquet", "--tests", sets, "--out", tmp_path / "run", "-q"
    )
    assert result.exit_code == 0, result.output
    assert "left out: m, city, de: 11 of 12 items" in result.output
    made = RunFolder.load(tmp_path / "run")
    assert made.table("align_cells")["lang"].unique().to_list() == ["en"]
    lost = made.table("align_incomplete")
    assert lost.select("lang", "n", "expected", "first_missing").row(0) == ("de", 11, 12, [3])


def german(change: Callable[[Rows], None]) -> Callable[[str, Rows], None]:
    return lambda lang, rows: change(rows) if lang == "de" else None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (german(lambda rows: rows[3].update(id=77)), "different ids in city item 3"),
        (german(lambda rows: rows[3].update(label=0)), "different golds in city item 3"),
        (german(lambda rows: [row.update(label=(row["label"] + 1) % 4) for row in rows]),
         "city item 0, city item 1, city item 2, city item 3, city item 4"),
        (german(lambda rows: rows[3].update(label=4)), "label"),
    ],
)  # fmt: skip
def test_sets(tmp_path: Path, change: Callable[[str, Rows], None], message: str) -> None:
    sets = write_sets(tmp_path / "sets", change)
    said = refused("evaluate", tmp_path, "--sets.sources", sets, "--out", tmp_path / "run")
    assert message in said
    assert not (tmp_path / "run").exists()


def test_invented_worlds_are_not_asked_as_sets(tmp_path: Path) -> None:
    few = ("--answers", 2, "--subjects", 2, "--parts", 4, "--out", tmp_path / "w")
    assert run("world", *few).exit_code == 0
    said = refused("evaluate", tmp_path, "--sets.sources", tmp_path / "w", "--out", tmp_path / "r")
    assert "polylore align conduct" in said


def test_absent_pivot(tmp_path: Path) -> None:
    sets = write_sets(tmp_path / "sets")
    said = refused("evaluate", tmp_path, "--sets.sources", sets, "--score.pivot", "fr")
    assert "no language 'fr', the pivot; choose one of en, de" in said
    assert "no language 'fr'" in refused("lint", sets, "--pivot", "fr")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("human:20", "does not exceed chance"),
        ("model:m:fr", "stands for 0 cells"),
        ("genius", "is no reference"),
    ],
)
def test_references(tmp_path: Path, reference: str, message: str) -> None:
    sets = write_sets(tmp_path / "sets")
    outputs().write_parquet(tmp_path / "a.parquet")
    wanted = ("--tests", sets, "--out", tmp_path / "run", "--score.reference", reference)
    assert message in refused("rescore", tmp_path / "a.parquet", *wanted)


def test_an_empty_option_is_found(tmp_path: Path) -> None:
    sets = write_sets(
        tmp_path / "sets", german(lambda rows: rows[3]["answers"].__setitem__(1, "  "))
    )
    result = run("lint", sets, "--strict")
    assert result.exit_code == 2
    assert "empty_option" in result.output


def copied(clika: Path, folder: Path, lang: str) -> Path:
    for part in (f"train/{lang}.json", "test/target/testEN.jsonl", f"test/target/test{lang}.jsonl",
                 f"test/Translate/translate{lang}.jsonl"):  # fmt: skip
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clika / "fictional" / part, folder / part)
    return folder


@pytest.mark.parametrize("cut", ["[[type:", "[[continent:"])
def test_a_test_row_without_its_tags(clika: Path, tmp_path: Path, cut: str) -> None:
    folder = copied(clika, tmp_path / "fictional", "DE")
    path = folder / "test/target/testDE.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[5])
    lines[5] = json.dumps(row | {"answer": row["answer"].split(cut)[0]})
    path.write_text("\n".join(lines), encoding="utf-8")
    said = refused("world", "--published", folder, "--targets", "[{lang: de}]",
                   "--out", tmp_path / "w")  # fmt: skip
    assert "has no tags for continent, city and type" in said
    assert "testDE.jsonl" in said


def test_answers_that_were_never_taught(clika: Path, tmp_path: Path) -> None:
    folder = copied(clika, tmp_path / "fictional", "ZH")
    world = tmp_path / "w"
    wanted: Sequence[object] = ("world", "--published", folder, "--targets", "[{lang: zh}]")
    assert run(*wanted, "--out", world).exit_code == 0
    said = refused("conduct", tmp_path, "--world", world, "--out", tmp_path / "run")
    assert "never teaches" in said
    assert "--repair zh_continents" in said
    assert run(*wanted, "--repair", "zh_continents", "--out", tmp_path / "mended").exit_code == 0
    # Now it is the model that is missing.
    for more in (("--world", tmp_path / "mended"), ("--world", world, "--allow-defect", "true")):
        said = refused("conduct", tmp_path, *more, "--out", tmp_path / "run")
        assert "never teaches" not in said
