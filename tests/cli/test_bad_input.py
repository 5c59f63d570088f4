"""Bad input: one clear sentence on standard error, exit code 2, nothing written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from polylore.cli.main import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["polylore", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().err.strip()

    return call


def fact(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "fact_id": "1",
        "relation": "capital",
        "lang": "en",
        "subject": "France",
        "object": "Paris",
    }
    return row | changes


def write(path: Path, rows: list[dict[str, object]], template: str = "<subject>: <mask>") -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    templates = [
        {"relation": "capital", "lang": lang, "kind": "prompt", "variant": 0, "template": template}
        for lang in sorted({str(row["lang"]) for row in rows})
    ]
    path.with_name("templates.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in templates), encoding="utf-8"
    )
    return str(path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["facts", "lint", "nowhere.jsonl"], "nowhere.jsonl"),
        (["facts", "list", "cldr", "-l", "en,qq"], "qq"),
        (["trace", "nowhere"], "nowhere"),
        (["trace", "lab/tiny@step5"], "choose with series.schedule=step5"),
        (["checkpoints", "gpt2"], "a model on the hub is called ORG/NAME"),
        (["trace"], "model"),
        (["train", "nowhere"], "polylore compose"),
        (["report", "nowhere"], "nowhere"),
        (["runs", "show", "nowhere"], "nowhere"),
        (["tables", "nonsense"], "nonsense"),
        (["compose", "--compose.max-dose", "1"], "max_dose"),
        (["compose", "--compose.pivot", "xx", "--facts.languages", "en,fr"], "xx"),
        (["compose", "--compose.background", "none/*.txt"], "background"),
    ],
)
def test_one_sentence_and_exit_code_2(
    run: Run, tmp_path: Path, words: list[str], named: str
) -> None:
    code, text = run(*words)
    assert code == 2
    assert text.startswith("polylore: ")
    assert named in text
    assert "Traceback" not in text
    assert "\n" not in text
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_unknown_command_and_flag(run: Run) -> None:
    assert run("trase")[0] == 2
    assert "Did you mean 'trace'?" in run("trase")[1]
    assert run("trace", "--no-such-flag", "1")[0] == 2


@pytest.mark.parametrize(
    ("rows", "template", "named"),
    [
        ([fact()], "The capital of <subject> is", "<mask>"),
        ([fact()], "The capital is <mask>", "<subject>"),
        ([fact(object="")], "<subject>: <mask>", "object"),
        ([fact(subject=" ")], "<subject>: <mask>", "subject"),
        ([fact(), fact()], "<subject>: <mask>", "1"),
        ([], "<subject>: <mask>", "empty"),
    ],
)
def test_broken_fact_files(
    run: Run, tmp_path: Path, rows: list[dict[str, object]], template: str, named: str
) -> None:
    path = write(tmp_path / "facts.jsonl", rows, template)
    code, text = run("facts", "list", path)
    assert code == 2
    assert named in text
    assert "Traceback" not in text


def test_non_parallel_set_is_refused_only_if_asked(run: Run, tmp_path: Path) -> None:
    rows = [fact(), fact(lang="fr"), fact(fact_id="2", subject="Japan", object="Tokyo")]
    path = write(tmp_path / "facts.jsonl", rows)
    assert run("facts", "list", path)[0] == 0
    code, text = run("trace", "nowhere", "--facts.source", path, "--facts.strict", "true")
    assert code == 2
    assert "not parallel" in text


def test_control_characters_do_not_reach_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "facts.jsonl", [fact(subject="Fr\x1b[31mance")])
    monkeypatch.setattr("sys.argv", ["polylore", "facts", "show", path])
    with pytest.raises(SystemExit):
        main()
    assert "\x1b" not in capsys.readouterr().out
