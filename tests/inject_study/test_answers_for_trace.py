"""What `inject answers` writes is read by the commands that it is meant for."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.facts import load_facts
from polylore.files import read_parquet
from polylore.metrics import exposure_at
from polylore.runs import RunFolder
from polylore.studies.inject import as_trace
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.raw import open_inject
from polylore.studies.inject.study import run_inject
from polylore.studies.trace.config import AnalyseConfig

CELL = ["fact_id", "lang"]


def typed(*words: object) -> Any:
    done = CliRunner().invoke(
        cli, [str(word) for word in words], catch_exceptions=False, standalone_mode=False
    )
    assert done.return_value in (None, 0), done.output
    return done


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, model: Path, module_settings: dict[str, Any]
) -> RunFolder:
    """A run that goes on from step 20."""
    folder = tmp_path_factory.mktemp("told")
    shutil.copytree(model, folder / "series" / "step-20")
    module_settings |= {"model": str(folder / "series"), "revision": "20"}
    return run_inject(InjectConfig.parse(module_settings), folder / "run")


@pytest.fixture(scope="module")
def out(run: RunFolder) -> Path:
    folder = run.path.parent / "answers"
    told = typed("inject", "answers", run.path, "--out", folder)
    assert f"Trace: {folder / 'main_seed_0'}" in told.output
    return folder


def test_the_folder_is_a_fact_set(run: RunFolder, out: Path) -> None:
    factset = load_facts(out)
    probes = run.table("inject_probes").filter(depth="memorization")
    assert sorted(factset.facts.select(CELL).rows()) == sorted(probes.select(CELL).rows())
    assert factset.facts["gold_pos"].null_count() == 0
    for row in probes.iter_rows(named=True):
        fact = factset.fact(row["fact_id"], row["lang"])
        assert fact["object"] == row["target"]
        asked = {
            text.replace("<subject>", fact["subject"]).partition("<mask>")[0]
            for text in factset.wordings(fact["relation"], row["lang"])
        }
        assert row["prefix"] + row["joiner"] in asked
    assert load_facts(out / "facts.parquet").facts.drop("flags", "source").equals(
        factset.facts.drop("flags", "source")
    )  # fmt: skip
    assert "0 of them errors or warnings" in typed("facts", "lint", out).output
    assert factset.facts["subject"][0] in typed("facts", "show", out).output


def test_every_fact_is_answered_once_in_every_state(run: RunFolder, out: Path) -> None:
    answers = read_parquet(out / "answers.parquet")
    assert not answers.select("ckpt_id", *CELL).is_duplicated().any()
    log = run.read("inject_log").filter(depth="memorization")
    assert answers.height == log.height
    assert set(answers["ckpt_id"]) == set(read_parquet(out / "checkpoints.parquet")["ckpt_id"])


def test_a_trace_asks_a_checkpoint_the_same(run: RunFolder, out: Path, tmp_path: Path) -> None:
    typed(
        *("trace", run.path.parent / "series", "--facts.source", out, "--quiet"),
        *("--exposure", out / "main_seed_0", "--ask.n-shot", 0, "--analyse.draws", 0),
        *("--out", tmp_path / "trace"),
    )
    trace = RunFolder.load(tmp_path / "trace")
    said = run.read("inject_log").filter(t=0, depth="memorization")
    probes = run.table("inject_probes").filter(score_span="target")
    facts = trace.table("facts").explode("candidate_ids", "candidates", empty_as_null=True)
    golds = facts.filter(pl.col("candidates") == pl.col("object"))
    both = (
        trace.read("candidate_scores")
        .join(golds, left_on=[*CELL, "candidate_id"], right_on=[*CELL, "candidate_ids"])
        .join(trace.table("prompts").select(*CELL, "text"), on=CELL)
        .join(probes, left_on=[*CELL, "text"], right_on=[*CELL, "prefix"])
        .join(said.select("probe_id", "sum_logprob"), on="probe_id")
    )
    assert both.height >= 4  # those whose own wording is their relation's most frequent one
    assert (both["logprob_sum"] - both["sum_logprob"]).abs().max() < 1e-4
    # Step 20 is where the run begins, so nothing was shown yet.
    assert set(trace.table("freq_curve").filter(pl.col("n") > 0)["bin"]) == {-1}


def test_the_readings_are_reported_as_a_trace(run: RunFolder, out: Path) -> None:
    typed("report", out / "main_seed_0", "--draws", 0, "--quiet")
    assert (out / "main_seed_0" / "report.html").is_file()
    trace = RunFolder.load(out / "main_seed_0")
    begins = run.manifest["checkpoints"]["main"]["begin"] is not None
    assert trace.manifest["config"]["ask"]["bos"] is begins
    assert set(trace.table("prompts")["bos"]) == {begins}
    log = run.read("inject_log").filter(pl.col("depth") == "memorization")
    read = log.drop_nulls("greedy_text")
    last = read["t"].max()
    checkpoints = trace.table("checkpoints")
    assert checkpoints["step"].to_list() == [20 + t for t in read["t"].unique().sort()]
    plan = run.read("inject_plan").select("item_id", "lang", "step")
    found = exposure_at(trace.table("exposure"), checkpoints, trace.table("facts"))
    for ckpt, step in checkpoints.select("ckpt_id", "step").iter_rows():
        shown = plan.filter(pl.col("step") < step - 20)
        told = {(item, lang): n for item, lang, n in shown.group_by("item_id", "lang").len().rows()}
        for row in found.filter(ckpt_id=ckpt).iter_rows(named=True):
            item = row["fact_id"].split("/")[0]
            assert row["exposure"] == told.get((item, row["lang"]), 0), row
    recall = trace.table("recall").filter(relation="all", matcher="default", step=20 + last)
    cells = {name: recall.filter(stratum=name)["n"].sum() for name in ("taught", "held_out")}
    injected = read.filter(t=last).filter(pl.col("inject_lang") == pl.col("probe_lang"))
    assert cells["taught"] == injected.height > 0
    assert cells["taught"] + cells["held_out"] == read.filter(t=last).height


def test_a_run_without_the_usual_pivot_has_another(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    languages = set(run.table("inject_probes")["lang"])
    assert as_trace.AnalyseConfig().pivot in languages
    monkeypatch.setattr(as_trace, "AnalyseConfig", lambda: AnalyseConfig(pivot="ja"))
    as_trace.export_answers(open_inject(run.path), tmp_path)
    analysis = RunFolder.load(tmp_path / "main_seed_0").manifest["analysis"]
    assert analysis["analyse"]["pivot"] in languages


def test_other_depths_stand_for_the_facts_if_asked(run: RunFolder, tmp_path: Path) -> None:
    probes = run.table("inject_probes")
    for depth in ("semantic", "all"):
        typed("inject", "answers", run.path, "--out", tmp_path / depth, "--depth", depth)
        answers = read_parquet(tmp_path / depth / "answers.parquet")
        own = probes if depth == "all" else probes.filter(depth=depth)
        assert set(answers["prompt_id"]) <= set(own["probe_id"])
        n = own.height if depth == "all" else own.select(CELL).n_unique()
        assert answers["prompt_id"].n_unique() == n
        assert not answers.select("ckpt_id", *CELL, "variant").is_duplicated().any()
        assert load_facts(tmp_path / depth).facts.height
