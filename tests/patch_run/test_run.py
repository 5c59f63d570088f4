"""`patch run`, `score` and `report` on a toy series."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import DataError, RunError, SelfCheckError
from polylore.models import load_model
from polylore.runs import RunFolder
from polylore.studies.patch.running import unit, work
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig
from polylore.studies.patch.running.study import run_patch
from polylore.studies.patch.scoring import open_patch_run, report, score

Make = Callable[..., PatchRunConfig]


@pytest.fixture(scope="module")
def run(config: Make, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_patch(config(), tmp_path_factory.mktemp("run") / "run")


def test_every_unit_is_asked_and_checked(run: RunFolder) -> None:
    assert run.units() == sorted(
        f"{c}/{p}" for c in ("init", "step10", "step100") for p in ("fr>en", "de>fr")
    )
    checks = run.read("patch_selfcheck")
    assert checks["passed"].all()
    assert checks["check"].n_unique() == 6
    first = run.table("checkpoints").row(0, named=True)
    assert (first["ckpt_id"], first["step"], first["tokens"]) == ("init", 0, 0)


def test_scores_hold_every_setting_onset_and_cell(run: RunFolder) -> None:
    scores = run.read("patch_scores")
    whole = scores.filter(
        (pl.col("ckpt_id") == "step10") & (pl.col("lang_a") == "de") & (pl.col("setting") == "tgt")
    )
    assert whole.height == 6 * 4 * 2 * 5
    assert sorted(whole["onset"].unique()) == [-1, 0, 1, 2]
    asked = whole.filter(pl.col("logp_full").is_not_null())["cell_lang"].unique()
    assert sorted(asked) == ["de", "en", "fr"]
    assert whole["p_first"].null_count() == 0
    samek = scores.filter(pl.col("setting") == "samek")
    assert (samek["cell_lang"] == samek["lang_b"]).all()
    assert sorted(scores["setting"].unique()) == [
        "en_en", "full_replace", "full_replace_unpatched", "gauss", "grand_mean", "identity",
        "norm_matched", "random_concept", "samek", "seen", "self", "shots_shuffled",
        "shuffled_mean", "src_unpatched", "tgt", "tgt_unpatched",
    ]  # fmt: skip


def side(scores: pl.DataFrame, setting: str, onset: int | None) -> pl.DataFrame:
    here = pl.col("onset").is_null() if onset is None else pl.col("onset") == onset
    return scores.filter((pl.col("setting") == setting) & here).sort(
        "ckpt_id", "lang_a", "pair_id", "cell_concept", "cell_lang"
    )


@pytest.mark.parametrize("metric", ["p_first", "logp_full"])
def test_exact_no_ops_change_nothing(run: RunFolder, metric: str) -> None:
    scores = run.read("patch_scores")
    clean = side(scores, "tgt_unpatched", None)[metric].drop_nulls().to_numpy()
    for setting, onset in (("identity", -1), ("identity", 1), ("seen", 2), ("gauss", 2)):
        found = side(scores, setting, onset)[metric].drop_nulls().to_numpy()
        np.testing.assert_allclose(found, clean, rtol=1e-4, atol=1e-6)
    moved = side(scores, "seen", 0)[metric].drop_nulls().to_numpy()
    assert np.abs(moved - clean).max() > 1e-3


def test_probabilities_are_those_of_one_plain_forward_pass(run: RunFolder, series: Path) -> None:
    """A whole word and its closing quote, token by token, as the definition says."""
    lm = load_model(series / "step10")
    plan_prompts = pl.read_parquet(run.path / "plan" / "patch_prompts.parquet")
    scores = run.read("patch_scores").filter(
        (pl.col("ckpt_id") == "step10") & (pl.col("setting") == "src_unpatched")
        & (pl.col("lang_a") == "fr") & (pl.col("cell_concept") == "src")
        & (pl.col("cell_lang") == "en")
    )  # fmt: skip
    row = scores.sort("pair_id").row(3, named=True)
    prompt = plan_prompts.row(
        by_predicate=pl.col("prompt_id") == f"{row['pair_id']}.source.fr>en", named=True
    )
    number = int(row["fact_id"][1:])
    word = f"{chr(0x4E00 + number)}en"
    ids = lm.tokenizer(prompt["text"] + word + '"')["input_ids"]
    assert ids[: len(prompt["token_ids"])] == prompt["token_ids"]
    with torch.no_grad():
        logp = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    start = len(prompt["token_ids"])
    expected = sum(float(logp[k - 1, ids[k]]) for k in range(start, len(ids)))
    assert row["logp_full"] == pytest.approx(expected, abs=1e-4)
    assert row["p_first"] == pytest.approx(float(logp[start - 1, ids[start]].exp()), rel=1e-3)


def test_replacing_everything_is_the_other_prompt(run: RunFolder) -> None:
    scores = run.read("patch_scores")
    patched = side(scores, "full_replace", -1)["logp_full"].drop_nulls().to_numpy()
    other = side(scores, "full_replace_unpatched", None)["logp_full"].drop_nulls().to_numpy()
    assert len(patched) > 0
    np.testing.assert_allclose(patched, other, rtol=1e-4, atol=1e-5)


def test_answers_are_written_at_the_listed_onsets(run: RunFolder) -> None:
    answers = run.read("patch_answers")
    assert "samek" not in answers["setting"].unique()
    assert {-1, 0} <= set(answers.filter(pl.col("setting") == "seen")["onset"])
    same = side(answers.with_columns(cell_concept=pl.lit("a"), cell_lang=pl.lit("b")),
                "identity", 0)  # fmt: skip
    free = side(answers.with_columns(cell_concept=pl.lit("a"), cell_lang=pl.lit("b")),
                "tgt_unpatched", None)  # fmt: skip
    assert same["raw_text"].to_list() == free["raw_text"].to_list()
    assert answers["n_new_tokens"].max() <= 4


def units_of(run: RunFolder) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in sorted((run.path / "units").rglob("*.parquet"))
    }


def test_an_interrupted_run_ends_with_the_same_bytes(
    run: RunFolder, config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    right = RunFolder.write_unit

    def stop_after_three(self: RunFolder, name: str, parts: Any) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(name)
        right(self, name, parts)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_unit", stop_after_three)
        with pytest.raises(KeyboardInterrupt):
            run_patch(config(), tmp_path / "again")
    work._DESKS.clear()  # as in a new process
    again = run_patch(config(), tmp_path / "again")
    assert len(written) == 3
    assert units_of(again) == units_of(run)
    done = {path: path.stat().st_mtime_ns for path in again.path.rglob("*.parquet")}
    run_patch(config(), tmp_path / "again")
    assert all(path.stat().st_mtime_ns == at for path, at in done.items() if "units" in str(path))


def test_a_run_is_scored_and_reported_without_a_model(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("polylore.models.loading.load_model", no_model)
    opened = open_patch_run(run.path)
    with pytest.raises(DataError, match="not scored yet"):
        report(opened)
    small = PatchScoreConfig(draws=20)
    tables = score(opened, small)
    assert tables["patch_curves"].height
    assert set(tables["patch_contrasts"]["contrast"]) >= {"seen-random_concept", "samek1-tgt"}
    assert tables["patch_emergence"].height
    coded = run.path / "coding" / "annotator_1.csv"
    head, first, *rest = coded.read_bytes().decode().split("\r\n")
    filled = "\r\n".join([head, first.replace(',"",""', ',"other","mine"'), *rest])
    coded.write_bytes(filled.encode())
    again = CliRunner().invoke(cli, ["patch", "score", str(run.path), "--draws", "20", "--quiet"])
    assert again.exit_code == 0, again.output
    assert all(run.table(name).equals(frame) for name, frame in tables.items())
    written = CliRunner().invoke(cli, ["patch", "report", str(run.path), "--quiet"])
    assert written.exit_code == 0, written.output
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Concepts inside" in page
    assert "confirmed" in page
    assert "Patches are exact" in page
    assert coded.read_bytes() == filled.encode()
    assert list((run.path / "figures").iterdir())


def test_other_settings_and_other_plans_are_refused(run: RunFolder, config: Make) -> None:
    with pytest.raises(RunError, match="another configuration"):
        run_patch(config(ask={"max_new_tokens": 5}), run.path)


def test_a_model_with_another_tokenizer_is_refused(
    config: Make, save: Any, other_tokenizer: Any, tmp_path: Path
) -> None:
    save(tmp_path / "model" / "step1", other_tokenizer, 0)
    with pytest.raises(DataError, match="another tokenizer"):
        run_patch(config(model=str(tmp_path / "model")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_asked_is_recorded_and_the_others_go_on(
    series: Path, config: Make, tmp_path: Path
) -> None:
    shutil.copytree(series, tmp_path / "series")
    weights = tmp_path / "series" / "step10" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    told = config(model=str(tmp_path / "series"), ask={"generate": False, "init": False})
    with pytest.raises(SelfCheckError, match=r"1 of the checkpoints .*: step10"):
        run_patch(told, tmp_path / "run")
    opened = open_patch_run(tmp_path / "run")
    assert set(opened.read("patch_scores")["ckpt_id"]) == {"step100"}
    checks = opened.read("patch_selfcheck").filter(~pl.col("passed"))
    assert checks["check"].to_list() == ["loads", "loads"]
    made = score(opened, PatchScoreConfig(draws=10))
    assert set(made["patch_curves"]["ckpt_id"]) == {"step100"}
    weights.write_bytes(whole)
    healed = run_patch(told, tmp_path / "run")
    assert set(healed.read("patch_scores")["ckpt_id"]) == {"step10", "step100"}


def test_a_failed_self_check_stops_its_checkpoint(
    config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = unit.self_check

    def wrong(lm: Any, *args: Any, **kwargs: Any) -> Any:
        found = right(lm, *args, **kwargs)
        bad = unit.Check("identity", 1.0, 1e-5, False)
        return [bad, *found[2:]] if lm.name.endswith("step10") else found

    monkeypatch.setattr(unit, "self_check", wrong)
    with pytest.raises(SelfCheckError, match=r"step10: identity is 1 with a tolerance"):
        run_patch(config(ask={"generate": False, "init": False}), tmp_path / "run")
    opened = RunFolder.load(tmp_path / "run")
    checks = opened.read("patch_selfcheck").filter(~pl.col("passed"))
    assert sorted(checks["check"]) == ["identity", "stopped"]
    assert opened.read("patch_scores")["ckpt_id"].unique().to_list() == ["step100"]
