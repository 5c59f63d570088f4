"""An export never takes the place of another one; the same one may be written again."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from polylore.cli.main import cli
from polylore.errors import RunError

FICTION = ["inject", "make-items", "--n", "2", "--n-control", "2", "--facts", "1", "-o"]


def typed(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (["facts", "export", "cldr", "OUT", "-l", "en,de", "--limit", "1"],
         ["facts", "export", "cldr", "OUT", "-l", "en", "--limit", "2"], "another fact set"),
        (["lexicon", "export", "cldr", "OUT", "-l", "en,fr"],
         ["lexicon", "export", "cldr", "OUT", "-l", "en,de"], "another lexicon"),
        ([*FICTION, "OUT", "--languages", "en"], [*FICTION, "OUT", "--languages", "de"],
         "other items"),
    ],
)  # fmt: skip
def test_another_export_is_kept(
    tmp_path: Path, first: list[str], second: list[str], what: str
) -> None:
    out = tmp_path / "out"

    def run(words: list[str]) -> Result:
        return typed(*(out if word == "OUT" else word for word in words))

    assert run(first).exit_code == 0
    before = files(out)
    assert run(first).exit_code == 0
    refused = run(second)
    assert isinstance(refused.exception, RunError)
    assert f"{out} holds {what}; choose another folder or delete it." in str(refused.exception)
    assert files(out) == before


def test_a_damaged_manifest_is_no_leave_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "factset.json").write_text("{")
    refused = typed("facts", "export", "cldr", tmp_path, "-l", "en", "--limit", "1")
    assert isinstance(refused.exception, RunError)
    assert [path.name for path in tmp_path.iterdir()] == ["factset.json"]
