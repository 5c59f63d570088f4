"""What `align run` refuses before anything is trained (`align`, 4.7)."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import ConfigError, RunError
from polylore.studies.align.arms.material import gather
from polylore.studies.align.arms.study import plan, prepare, run_arms


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eval": {"langs": ["xx"]}}, "eval.langs has xx, .* the sets have qaa, qab, qac"),
        ({"eval": {"langs": ["qaa", "zzz"]}}, "eval.langs has zzz, in which"),
        ({"eval": {"langs": ["qab", "qac"]}}, "The pivot 'qaa' is none of .* one of qab, qac"),
        ({"pivot": "en"}, "The pivot 'en' is none of .* one of qaa, qab, qac"),
    ],
)
def test_languages_that_cannot_be_asked(small, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        gather(small(**changes))


def test_some_languages_can_be_asked(small) -> None:
    material = gather(small(eval={"langs": ["qaa", "qac"]}))
    assert material.prompts is not None
    assert set(material.prompts["lang"]) == {"qaa", "qac"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"compare": [{"arm": "nope", "minus": "none"}]}, "arm 'nope', .* there are start, none"),
        ({"compare": [{"arm": "inj", "minus": "none"}]}, "arm 'inj', .*inj/qab"),
        ({"arms": [{"name": "it", "kind": "itune", "lang": "qzz"}]},
         "Arm it reads 'qzz', but questions .* are in qaa"),
        ({"arms": [{"name": "m", "kind": "mix", "ratio": {"qaa": 1, "qzz": 1}}]},
         "Arm m reads 'qzz', but texts to go on with .* are in qaa, qab, qac"),
        ({"start": {"ratio": {"qaa": 1, "qzz": 1}}}, "Arm start reads 'qzz', .* start mixture"),
        ({"start": {"ratio": {"qaa": 1}}, "arms": [{"name": "c", "kind": "cpt", "lang": "qxx"}]},
         "Arm c reads 'qxx'"),
    ],
)  # fmt: skip
def test_what_would_fail_after_training_fails_before(
    small, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    prepared = prepare(small(**changes), tmp_path / "run")
    with pytest.raises(ConfigError, match=says):
        plan(prepared)


def test_a_start_mixture_that_was_refused_can_be_mended(small, tmp_path: Path) -> None:
    sizes = {"hidden_size": 24}
    with pytest.raises(ConfigError, match="Arm start reads 'qzz'"):
        plan(prepare(small(start={"ratio": {"qaa": 1, "qzz": 1}}), tmp_path / "run"))
    prepared = prepare(small(start={"fresh": sizes}), tmp_path / "run")
    plan(prepared)
    first = tmp_path / "run" / "arms" / "init" / "seed-0" / "config.json"
    assert json.loads(first.read_text())["hidden_size"] == 24
    assert prepared.run.manifest["config"]["start"]["fresh"]["hidden_size"] == 24


def test_a_seed_counts_once(small) -> None:
    with pytest.raises(ConfigError, match="different seeds"):
        small(train={"seeds": [0, 0]})


def test_a_folder_that_nobody_knows_what_it_was_trained_as(finished, tmp_path: Path) -> None:
    _, config, out = finished
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    known = copy / "arms" / "cpt_B" / "seed-0" / "identity.json"
    for damage in (lambda: known.write_text("{"), known.unlink):
        damage()
        with pytest.raises(
            RunError, match=r"identity.json, .* missing or damaged; delete .*seed-0"
        ):
            prepare(config, copy)


def test_a_damaged_manifest_is_made_again_without_training(
    finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config, out = finished
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    for arm in ("none", "cpt_B"):
        (copy / "arms" / arm / "seed-0" / "arm.json").write_text('{"run_id": ')

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("polylore.training.continued.loop._Run.go", never)
    again = run_arms(config, copy, report=False)
    for name in ("align_cells", "align_claims", "align_siblings"):
        assert again.table(name).equals(run.table(name)), name
    kept = pl.exclude("seconds")
    assert again.table("align_arms").select(kept).equals(run.table("align_arms").select(kept))


def test_without_a_report_none_is_named_and_few_draws_are_said(finished, tmp_path: Path) -> None:
    _, config, out = finished
    copy, asked = tmp_path / "run", tmp_path / "arms.yaml"
    shutil.copytree(out, copy)
    asked.write_text(json.dumps(config.plain()))  # JSON is YAML
    words = ["align", "run", str(asked), "--out", str(copy), "--no-report", "-q"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert f"Tables: {copy / 'tables'}; 16 trainings." in done.output
    assert "Report" not in done.output
    assert "50 draws are too few for" in done.output
    again = CliRunner().invoke(cli, ["align", "report", str(copy), "--draws", "40", "-q"])
    assert again.exit_code == 0, again.output
    assert "40 draws are too few for" in again.output
