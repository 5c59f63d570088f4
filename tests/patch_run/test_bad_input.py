"""What users get wrong with `polylore lexicon` and `polylore patch`: one sentence, nothing lost."""

import errno
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from polylore.cli.main import main
from polylore.facts.lexicon import Lexicon
from polylore.runs import RunFolder
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan

toys = sys.modules["toy_lexicons"]
Call = Callable[..., tuple[int, str]]
ROWS = "concept_id,lang,form\n"
FEW = ["--plan.seen", "en,fr,de,es,it", "--plan.n-shots", "1", "--plan.n-pairs", "6"]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["polylore", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().err.strip()

    return run


@pytest.fixture
def refused(call: Call) -> Callable[..., str]:
    """The one sentence that a command ends with."""

    def run(*words: str) -> str:
        code, said = call(*words)
        assert code == 2, said
        assert "Traceback" not in said
        assert said.count("polylore: ") == 1
        return said.partition("polylore: ")[2]

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Lexicon, series: Path) -> Path:
    """A folder with a model, a lexicon and files that are no lexicon."""
    monkeypatch.chdir(tmp_path)
    words.export(tmp_path / "words")
    (tmp_path / "model").symlink_to(series)
    (tmp_path / "empty.csv").touch()
    one = "".join(f"c1,{lang},{lang}word\n" for lang in toys.LANGS)
    (tmp_path / "one.csv").write_text(ROWS + one)
    (tmp_path / "twice.csv").write_text("concept_id,lang,rank,form\nc1,en,0,dog\nc1,en,0,hound\n")
    (tmp_path / "blank.csv").write_text(ROWS + "c1,en,dog\nc1,fr, \n")
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words_given", "said"),
    [
        (["lexicon", "stats", "nowhere.csv"], "There is no lexicon nowhere.csv"),
        (["lexicon", "stats", "empty.csv"], "empty.csv is empty"),
        (["lexicon", "stats", "twice.csv"], "line 3: concept 'c1' has rank 0 in en a second time"),
        (["lexicon", "lint", "blank.csv"], "blank.csv"),
        (["lexicon", "stats", "cldr", "-l", "en,qq"], "'qq'"),
        (["lexicon", "stats", "words", "-p", "en-xx"], "two of en, fr, de, es, it"),
        (["lexicon", "export", "words", "file"], "file is a file"),
    ],
)
def test_bad_lexicons(
    here: Path, refused: Callable[..., str], words_given: list[str], said: str
) -> None:
    assert said in refused(*words_given)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "plan.pairs must name the language pairs"),
        (["--plan.pairs", "fr"], "'fr' is not a pair of languages"),
        (["--plan.pairs", "fr-fr"], "no pair of two languages"),
        (["--plan.pairs", "fr-qq"], "plan.names='{qq: NAME}'"),
        (["--plan.pairs", "fr-qq", "--plan.names", "{qq: Qq}"], "no language 'qq'"),
        (["--plan.pairs", "fr-en", "--plan.seen", "en,fr,de,es"], "fewer than 6"),
        (["--plan.pairs", "fr-en", "--plan.n-shots", "30"], "need 62 concepts"),
        (["--plan.pairs", "fr-en", "--plan.n-shots", "19"], "longest prompt has"),
        (["--plan.pairs", "fr-en", "--plan.settings", "sen"], "no setting sen"),
        (["--plan.pairs", "fr-en", "--lexicon.source", "one.csv"], "there are 1"),
        (["--plan.pairs", "fr-en", "--lexicon.source", "empty.csv"], "empty.csv is empty"),
        (["--plan.pairs", "fr-en", "--out", "file"], "file is a file"),
        (["--plan.pairs", "fr-en", "--out", "file/plan"], "not a folder"),
        (["--plan.pairs", "fr-en", "--retokenise", "nowhere"], "nowhere"),
    ],
)
def test_bad_plans(here: Path, refused: Callable[..., str], flags: list[str], said: str) -> None:
    source = [] if "--lexicon.source" in flags else ["--lexicon.source", "words"]
    given = [*source, *FEW, "--out", "plan", "--quiet", *flags]
    assert said in refused("patch", "plan", "model", *given)
    assert not (here / "plan").exists()


def test_a_model_that_is_not_there(here: Path, refused: Callable[..., str]) -> None:
    assert "There is no folder nowhere" in refused(
        "patch", "plan", "nowhere", "--plan.pairs", "a-b"
    )
    assert "model must be given" in refused("patch", "plan", "--plan.pairs", "fr-en")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--plan", "nowhere"], "There is no file nowhere/plan.json"),
        (["--plan", "broken"], "broken/plan.json is not valid JSON"),
        (["--plan", "cut"], "patch_items"),
        (["--plan", "changed"], "changed"),
        (["--out", "file"], "file is a file"),
        (["--out", "half"], "half/manifest.json is not valid JSON"),
        (["--ask.dtype", "int8"], "ask.dtype"),
        (["--ask.onsets", "0,3"], "layers from -1 to 2"),
        (["--ask.blocks", "model.nope"], "no list of blocks called 'model.nope'"),
    ],
)
def test_bad_runs(
    here: Path, plan_folder: Path, refused: Callable[..., str], flags: list[str], said: str
) -> None:
    for name in ("broken", "cut", "changed"):
        shutil.copytree(plan_folder, here / name)
    (here / "broken" / "plan.json").write_text("{")
    (here / "cut" / "patch_items.parquet").unlink()
    head = json.loads((here / "changed" / "plan.json").read_text())
    head["languages"] = head["languages"][:-1]
    (here / "changed" / "plan.json").write_text(json.dumps(head))
    (here / "half").mkdir()
    (here / "half" / "manifest.json").write_text('{"kind": "pa')
    given = ["--plan", str(plan_folder), "--out", "run", "--quiet", *flags]
    assert said in refused("patch", "run", "model", *given)
    assert not (here / "run").exists()


def test_a_model_of_fewer_ids_than_its_tokenizer(
    here: Path, plan_folder: Path, tokenizer: Any, refused: Callable[..., str]
) -> None:
    model = AutoModelForCausalLM.from_pretrained(here / "model" / "step10")
    model.resize_token_embeddings(len(tokenizer) - 30)
    model.save_pretrained(here / "small" / "step1")
    tokenizer.save_pretrained(here / "small" / "step1")
    said = refused("patch", "run", "small", "--plan", str(plan_folder), "-q", "-o", "run")
    assert str(len(tokenizer) - 30) in said
    assert not (here / "run" / "units").exists()


def test_numbers_that_are_none_stop_their_checkpoint_alone(
    here: Path, series: Path, plan_folder: Path, refused: Callable[..., str], call: Call
) -> None:
    shutil.copytree(series, here / "series")
    model = AutoModelForCausalLM.from_pretrained(here / "series" / "step10")
    with torch.no_grad():
        model.model.norm.weight.fill_(3e38)
    model.save_pretrained(here / "series" / "step10")
    given = ["--plan", str(plan_folder), "-q", "-o", "run", "--ask.init", "false"]
    assert "step10" in refused("patch", "run", "series", *given, "--ask.generate", "false")
    kept = RunFolder.load(here / "run")
    assert kept.read("patch_scores")["ckpt_id"].unique().to_list() == ["step100"]
    failed = kept.read("patch_selfcheck").filter(~pl.col("passed"))
    assert {"finite", "stopped"} <= set(failed["check"])
    assert call("patch", "score", "run", "--draws", "10", "-q")[0] == 0


def test_scoring_and_reporting_what_is_no_run(
    here: Path, plan_folder: Path, refused: Callable[..., str]
) -> None:
    assert "There is no run folder nowhere" in refused("patch", "score", "nowhere")
    assert "is not a run folder" in refused("patch", "report", str(plan_folder))
    RunFolder.open(here / "traced", "trace", {}, {})
    assert "is a run of `trace`" in refused("patch", "score", "traced")
    RunFolder.open(here / "begun", "patch", {}, {})
    assert "not scored yet" in refused("patch", "report", "begun")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_disk_that_takes_nothing(
    here: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, "the disk takes nothing")

    given = ["--plan.pairs", "fr-en", "--lexicon.source", "words", *FEW, "-q", "-o", "plan"]
    with monkeypatch.context() as patch:
        patch.setattr(pl.DataFrame, "write_parquet", refuse)
        said = refused("patch", "plan", "model", *given)
    assert "Cannot write plan" in said
    assert "choose another folder or make room" in said
    assert not (here / "plan" / "plan.json").exists()


def test_a_folder_in_which_nothing_was_patched_takes_another_plan(
    here: Path,
    plan_folder: Path,
    tokenizer: Any,
    words: Lexicon,
    refused: Callable[..., str],
    call: Call,
) -> None:
    values = {"pairs": ["fr-de"], "seen": list(toys.LANGS), "n_pairs": 6, "n_shots": 1}
    values |= {"allow_small_k": True}
    config = PatchConfig.parse({"model": "toy", "plan": values})
    make_plan(config, tokenizer, words).save(here / "other")
    given = ["--out", "run", "-q", "--ask.max-new-tokens", "2"]
    lost = ["--plan", str(plan_folder), "--execution.device", "cuda:99"]
    assert "no device 'cuda:99'" in refused("patch", "run", "model", *given, *lost)
    assert (here / "run" / "plan" / "plan.json").is_file()
    assert call("patch", "run", "model", *given, "--plan", "other")[0] == 0
    run = RunFolder.load(here / "run")
    assert {unit.rpartition("/")[2] for unit in run.units()} == {"fr>de"}
    kept = [(here / folder / "plan.json").read_bytes() for folder in ("run/plan", "other")]
    assert kept[0] == kept[1]
    said = refused("patch", "run", "model", *given, "--plan", str(plan_folder))
    assert "another configuration" in said
