"""Names that are not known: the nearest ones, and where all of them stand."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import DataError, RunError
from polylore.runs import RunFolder
from polylore.tables import raw


def refused(*words: str) -> Exception:
    told = CliRunner().invoke(cli, words)
    assert told.exception is not None
    return told.exception  # type: ignore[return-value]


def test_an_unknown_table_has_near_ones() -> None:
    error = refused("tables", "recal")
    assert isinstance(error, DataError)
    assert "There is no table recal; near it" in str(error)
    assert "recall" in str(error)
    assert "`polylore tables` prints all" in str(error)
    assert len(str(refused("tables", "nosuch"))) < 100


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = RunFolder.open(tmp_path / "run", "trace", {}, {})
    row = {"ckpt_id": "c", "fact_id": "f", "lang": "en", "variant": 0, "mode": "generate"}
    row |= {"prompt_id": "p", "raw_text": "x", "dtype": "float32"}
    folder.write_unit("c/en", {"answers": raw.ANSWERS.build([row])})
    folder.write_table("prompts", raw.PROMPTS.empty())
    return folder.path


def test_a_run_shows_its_own_tables_only(run: Path) -> None:
    told = CliRunner().invoke(cli, ["runs", "show", str(run)])
    assert "tables of units: answers\ntables: prompts\n" in told.output
    assert "1 rows" in CliRunner().invoke(cli, ["runs", "show", str(run), "-t", "answers"]).output
    error = refused("runs", "show", str(run), "--table", "answer")
    assert isinstance(error, RunError)
    assert f"The run {run} has no table answer; near it is answers; `polylore runs show" in str(
        error
    )
    # There is such a table, but not in this run.
    assert "has no table recall;" in str(refused("runs", "show", str(run), "--table", "recall"))


def test_a_refused_run_is_told_from_one_that_made_something(run: Path) -> None:
    RunFolder.open(run.parent / "refused", "trace", {}, {})
    told = CliRunner().invoke(cli, ["runs", "list", str(run.parent)])
    blank, made = sorted(told.output.splitlines()[1:])
    assert blank.startswith(str(run.parent / "refused"))
    assert blank.endswith("nothing made yet")
    assert made.endswith(" no")
    said = {name: CliRunner().invoke(cli, ["runs", "show", str(run.parent / name)]).output
            for name in ("run", "refused")}  # fmt: skip
    assert "nothing made yet: this folder still takes any settings\n" in said["refused"]
    assert "nothing made yet" not in said["run"]
