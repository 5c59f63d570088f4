"""The whole study on a real, tiny series: complete, repeatable, resumable."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import ConfigError, DataError, ModelError, RunError
from polylore.facts import FactSet
from polylore.runs import RunFolder
from polylore.studies.plan.plan import plan
from polylore.studies.trace.config import AnalyseConfig, AskConfig, ExecutionConfig, TraceConfig
from polylore.studies.trace.study import trace

Make = Callable[..., TraceConfig]

DERIVED = {
    "grades",
    "recall",
    "baselines",
    "consistency",
    "consistency_summary",
    "acquisition",
    "lag",
    "survival",
    "freq_curve",
    "freq_corr",
    "threshold",
    "cells",
    "no_donor_curve",
    "transfer_rate",
    "composition",
    "ladder",
    "hazard",
    "lag_expected",
    "transfer_controls",
    "data_report",
    "lint",
}


@pytest.fixture(scope="module")
def done(make: Make, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trace(make(), tmp_path_factory.mktemp("done") / "run")


def assert_same(one: RunFolder, two: RunFolder) -> None:
    """Both runs hold the same rows, raw and derived."""
    for name in ("answers", "candidate_scores"):
        assert one.read(name).equals(two.read(name)), name
    assert one.table_names() == two.table_names()
    for name in one.table_names():
        assert one.table(name).equals(two.table(name)), name


def test_every_table_and_the_report(done: RunFolder) -> None:
    assert set(done.table_names()) >= DERIVED
    for name in DERIVED - {"lint"}:  # a clean set has no findings
        assert done.table(name).height > 0, name
    html = (done.path / "report.html").read_text(encoding="utf-8")
    assert "What was found" in html
    assert len(list((done.path / "figures").glob("*.svg"))) >= 5
    assert {p.stem for p in (done.path / "tables").glob("*.csv")} >= DERIVED


def test_every_probe_is_answered_once(done: RunFolder) -> None:
    checkpoints = done.table("checkpoints").height
    answers = done.read("answers")
    # 14 facts x 3 languages x 2 wordings, free and among candidates
    assert answers.filter(mode="generate").height == checkpoints * 14 * 3 * 2
    assert answers.filter(mode="candidates").height == checkpoints * 14 * 3 * 2
    assert answers["error"].null_count() == answers.height
    scores = done.read("candidate_scores")
    assert (scores["logprob_sum"] < 0).all()
    assert scores["content_free_logprob"].null_count() == 0


def test_gold_logprob_is_that_of_the_gold_candidate(done: RunFolder) -> None:
    gold = done.table("facts").select(
        "fact_id",
        "lang",
        pl.col("candidate_ids").list.get(pl.col("gold_pos")).alias("candidate_id"),
    )
    scored = done.read("candidate_scores").join(gold, on=["fact_id", "lang", "candidate_id"])
    answers = done.read("answers").filter(mode="candidates")
    both = answers.join(scored, on=["ckpt_id", "fact_id", "lang", "variant"])
    assert both.height == answers.height
    assert (both["gold_logprob"] == both["logprob_sum"]).all()


def test_an_untrained_model_is_within_its_baselines(done: RunFolder) -> None:
    recall = done.table("recall").filter(
        pl.col("step") == 0, relation="all", stratum="all", matcher="candidates"
    )
    assert recall.height == 3
    for row in recall.iter_rows(named=True):
        assert row["lo"] <= row["baseline"], row


def test_exposure_zero_at_step_zero(done: RunFolder) -> None:
    curve = done.table("freq_curve").filter(pl.col("step") == 0, pl.col("n") > 0)
    assert set(curve["bin"]) == {-1}


def test_two_processes_give_the_same_rows(make: Make, done: RunFolder, tmp_path: Path) -> None:
    run = trace(make(execution=ExecutionConfig(jobs=2)), tmp_path / "two")
    assert_same(done, run)


def test_batches_of_any_size_give_the_same_answers(
    make: Make, done: RunFolder, tmp_path: Path
) -> None:
    run = trace(make(execution=ExecutionConfig(token_budget=64)), tmp_path / "r", report=False)
    keys = ["ckpt_id", "fact_id", "lang", "variant", "mode"]
    one, two = done.read("answers").sort(keys), run.read("answers").sort(keys)
    assert one["raw_text"].equals(two["raw_text"])
    gap = (one["gold_logprob"] - two["gold_logprob"]).abs().max()
    assert gap is not None
    assert gap < 1e-4


def test_finished_units_are_never_asked_again(
    make: Make, done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.studies.trace import study

    def refuse(batch: object) -> int:
        raise AssertionError("asked again")

    monkeypatch.setattr(study, "ask_batch", refuse)
    again = trace(make(), done.path)
    assert again.units() == done.units()


def test_a_lost_unit_is_made_anew(make: Make, done: RunFolder, tmp_path: Path) -> None:
    run = trace(make(), tmp_path / "r", report=False)
    part = run.unit_path(run.units()[0]) / "answers.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    run = trace(make(), tmp_path / "r")
    assert_same(done, run)


def test_paper_preset_makes_every_table(make: Make, tmp_path: Path) -> None:
    run = trace(make(preset="paper", ask=AskConfig(variants=[0])), tmp_path / "paper")
    assert set(run.table_names()) >= DERIVED | {"asked"}
    prompts = run.table("prompts")
    assert set(prompts["delimiter"]) == {" "}
    assert prompts["n_shot"].max() == 2  # the largest relation of this small set has three facts
    # One generator runs through all checkpoints, so later ones see other demonstrations.
    assert prompts.height > 14 * 3
    assert run.read("answers").filter(mode="generate")["n_new_tokens"].max() <= 10
    made = {p.name for p in (run.path / "published_form").iterdir()}
    assert made == {
        "fn_relations.json",
        "crosslingual_fn_freqs.json",
        "index_classification_by_language.json",
    }


def test_a_wording_can_be_kept_for_the_last_checkpoint(
    make: Make, done: RunFolder, tmp_path: Path
) -> None:
    ask = AskConfig(variants=[0], final_variants=[2], n_shot=1)
    run = trace(make(ask=ask, analyse={"draws": 20, "headline_variants": [0]}), tmp_path / "r")
    answers = run.read("answers")
    last = run.table("checkpoints")["ckpt_id"][-1]
    assert set(answers.filter(variant=2)["ckpt_id"]) == {last}
    usual = done.read("answers").filter((pl.col("variant") == 0) | (pl.col("ckpt_id") == last))
    keys = ["ckpt_id", "fact_id", "lang", "variant", "mode"]
    assert answers.sort(keys)["raw_text"].equals(usual.sort(keys)["raw_text"])
    strata = set(run.table("recall")["stratum"])
    assert {"wording:0", "wording:2"} <= strata


def test_more_checkpoints_are_added_to_the_same_run(
    make: Make, trained: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "series"
    names = sorted(p.name for p in (trained / "checkpoints").iterdir())
    for name in names[:2]:
        shutil.copytree(trained / "checkpoints" / name, folder / name)
    run = trace(make(model=str(folder)), tmp_path / "r", report=False)
    before = run.units()
    shutil.copytree(trained / "checkpoints" / names[2], folder / names[2])
    run = trace(make(model=str(folder)), tmp_path / "r", report=False)
    assert set(before) < set(run.units())
    assert run.table("checkpoints").height == 3


def test_changed_weights_are_refused(make: Make, trained: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "series"
    names = sorted(p.name for p in (trained / "checkpoints").iterdir())
    shutil.copytree(trained / "checkpoints" / names[0], folder / names[0])
    trace(make(model=str(folder)), tmp_path / "r", report=False)
    shutil.copy(
        trained / "checkpoints" / names[-1] / "model.safetensors",
        folder / names[0] / "model.safetensors",
    )
    with pytest.raises(RunError, match="other weights"):
        trace(make(model=str(folder)), tmp_path / "r", report=False)


def test_one_fact_one_language_one_checkpoint(make: Make, trained: Path, tmp_path: Path) -> None:
    last = max((trained / "checkpoints").iterdir())
    run = trace(
        make(
            model=str(last),
            facts={"source": "cldr", "languages": ["zh"], "limit": 1},
            ask=AskConfig(n_shot=3),
            analyse={"draws": 20},
        ),
        tmp_path / "r",
    )
    assert run.table("recall").height > 0
    assert (run.path / "report.html").is_file()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "no/such/folder"}, ModelError, "no/such/folder"),
        ({"exposure": "no/such.parquet"}, DataError, "no/such.parquet"),
        ({"facts": {"source": "no/such.jsonl"}}, DataError, "no/such.jsonl"),
        ({"facts": {"languages": ["en", "xx"]}}, ConfigError, "xx"),
        ({"facts": {"relations": ["height"], "languages": ["en"]}}, ConfigError, "height"),
        ({"ask": {"variants": [99]}}, ConfigError, "99"),
        (
            {"ask": {"n_shot": 60}, "facts": {"languages": ["en", "zh"], "limit": 500}},
            ModelError,
            "reads at most",
        ),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_written(
    make: Make, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        trace(make(**change), tmp_path / "r")
    assert "\n" not in str(caught.value)


def test_a_trace_that_asks_nothing_is_refused(make: Make, tmp_path: Path) -> None:
    nothing = {"ask": {"generate": False, "candidates": False}}
    for do in (trace, plan):
        with pytest.raises(
            ConfigError, match=r"Nothing would be asked: .* ask.candidates is false"
        ):
            do(make(**nothing), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_similarity_alone_asks_something(factset: FactSet) -> None:
    nothing = {"model": "m", "ask": {"generate": False, "candidates": False}}
    TraceConfig.parse(nothing | {"similarity": {"enabled": True}}).refuse_nothing(factset)
    ranked = TraceConfig.parse({"model": "m", "ask": {"generate": False}})
    ranked.refuse_nothing(factset)
    none = pl.lit([], pl.List(pl.String()))
    rows = factset.facts.with_columns(
        candidates=none, candidate_ids=none, gold_pos=pl.lit(None, pl.Int32())
    )
    bare = FactSet("bare", rows, factset.templates)
    with pytest.raises(ConfigError, match="the facts have no candidates"):
        ranked.refuse_nothing(bare)


def test_a_named_pivot_must_be_asked(make: Make, tmp_path: Path) -> None:
    config = make(analyse={"pivot": "fr"})
    for do in (trace, plan):
        with pytest.raises(ConfigError, match="no language 'fr', the pivot; choose one of en, ar"):
            do(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_default_pivot_may_be_absent() -> None:
    AnalyseConfig().refuse_absent_pivot(["ar", "zh"])
    AnalyseConfig(pivot="fr").refuse_absent_pivot(["ar", "zh"], before="fr")
    with pytest.raises(ConfigError, match="no language 'en'"):
        AnalyseConfig(pivot="en").refuse_absent_pivot(["ar", "zh"])


def test_a_pivot_named_afterwards_must_have_been_asked(done: RunFolder) -> None:
    before = (done.path / "manifest.json").read_bytes()
    refused = CliRunner().invoke(cli, ["report", str(done.path), "--pivot", "fr", "-q"])
    assert "no language 'fr', the pivot" in str(refused.exception)
    assert (done.path / "manifest.json").read_bytes() == before


def test_another_configuration_is_refused(make: Make, done: RunFolder) -> None:
    with pytest.raises(RunError, match=r"ask\.n_shot: 1 there, 2 here"):
        trace(make(ask=AskConfig(variants=[0, 2], n_shot=2)), done.path)


@pytest.mark.slow
def test_killed_anywhere_resumed_equal(make: Make, done: RunFolder, tmp_path: Path) -> None:
    """SIGKILL the whole process group at random moments; the resumed run equals the unbroken."""
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(make().plain()), encoding="utf-8")
    command = [sys.executable, "-m", "polylore", "trace", str(study), "--out", str(tmp_path / "r")]
    rng = random.Random(7)
    for _ in range(4):
        process = subprocess.Popen(
            command,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(3, 9))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert_same(done, RunFolder.load(tmp_path / "r"))
