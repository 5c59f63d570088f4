"""A whole study on a tiny model: what is written, resumed, and the same whatever happens."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore import tables
from polylore.config import digest
from polylore.errors import RunError
from polylore.facts.people import FictionConfig, load_pack, make_fiction
from polylore.files import read_json
from polylore.metrics.injection.trajectories import read_cells
from polylore.runs import RunFolder
from polylore.studies.inject import design
from polylore.studies.inject.analysis_config import InjectAnalyseConfig
from polylore.studies.inject.answers import answers_of
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.raw import open_inject
from polylore.studies.inject.report import _losses, report
from polylore.studies.inject.study import run_inject

UNIT_TABLES = (
    "inject_arms",
    "inject_background",
    "inject_ceiling",
    "inject_dose",
    "inject_eval_loss",
    "inject_log",
    "inject_plan",
    "inject_probes",
    "inject_runs",
    "inject_schedule",
    "inject_steps",
    "exposure",
)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, module_settings: dict[str, Any]
) -> tuple[RunFolder, InjectConfig]:
    """A study with both control runs, held-out rows and a plan."""
    settings = module_settings
    settings["controls"] |= {"sham": True, "background_only": True}
    settings["background"]["heldout"] = 8
    settings["execution"]["calibrate"] = True
    config = InjectConfig.parse(settings)
    return run_inject(config, tmp_path_factory.mktemp("study") / "run"), config


def test_every_run_writes_its_tables(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    assert run.units() == ["background seed 0", "main seed 0", "sham seed 0"]
    for unit in run.units():
        for name in UNIT_TABLES:
            tables.ALL[name].validate(run.read(name, [unit]))
    assert run.table("inject_runs")["role"].to_list() == ["main", "sham", "background"]
    assert not (run.path / "unfinished").is_dir() or not any((run.path / "unfinished").iterdir())


def test_suffixes_that_are_scored_are_marked_from_the_log_to_the_page(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """German sentences that end in a verb: subject, object, verb."""
    made = FictionConfig.model_validate(settings["items"]["made"])
    fiction = make_fiction([load_pack(lang) for lang in ("en", "de")], made)
    ends = pl.col("lang") == "de"
    probes = fiction.probes.with_columns(
        suffix=pl.when(ends).then(pl.lit(" ist")).otherwise("suffix"),
        score_span=pl.when(ends).then(pl.lit("target_suffix")).otherwise("score_span"),
    )
    settings["probes"]["depths"] = ["memorization"]
    run = run_inject(
        InjectConfig.parse(settings), tmp_path / "run", fiction=replace(fiction, probes=probes)
    )
    log = run.read("inject_log")
    marked = log.group_by("probe_lang").agg(
        pl.col("flags").list.contains("target_suffix").mean().alias("share"),
        bytes=pl.col("n_target_bytes").min(),
        margins=pl.col("margin").count(),
    )
    by = marked.rows_by_key("probe_lang", named=True, unique=True)
    assert (by["de"]["share"], by["en"]["share"]) == (1.0, 0.0)
    assert by["de"]["margins"] == by["en"]["margins"] > 0
    path = report(run.path, InjectAnalyseConfig(resamples=0, form_resamples=0, shuffles=1))
    found = run.table("inject_effectivity")
    assert set(found.filter(probe_lang="de")["suffixed"]) == {1.0}
    assert set(found.filter(probe_lang="en")["suffixed"]) == {0.0}
    assert "(asked in de) hold probes whose target is scored" in path.read_text(encoding="utf-8")


def test_every_due_state_is_read_of_every_probe(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    log = run.read("inject_log", ["main seed 0"])
    probes = run.table("inject_probes")
    assert log["t"].unique().sort().to_list() == [*range(0, 20, 2)]
    assert log.height == 10 * probes.height
    read = log.filter(pl.col("swap_mean_logprob").is_not_null() | pl.col("margin").is_not_null())
    assert read["t"].unique().sort().to_list() == [0, 6, 12, 18]
    assert log.filter(t=6)["greedy_text"].null_count() == 0
    assert log.filter(t=8)["greedy_text"].null_count() == probes.height
    swapped = log.filter(t=6).filter(pl.col("swap_mean_logprob").is_not_null())
    assert (swapped["swap_mean_logprob"] != swapped["mean_logprob"]).all()


def test_the_log_is_what_metrics_read(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    plan = run.read("inject_plan", ["main seed 0"])
    exposures = plan.select("item_id", "exposure", "step").with_columns(
        run_id=pl.lit("main seed 0")
    )
    cells = list(read_cells(run.read("inject_log", ["main seed 0"]), exposures))
    assert {cell.key["arm"] for cell in cells} == {"duplication", "paraphrase"}
    assert all(cell.control is not None and cell.control.n == 4 for cell in cells)


def test_training_moves_injected_items_and_not_the_controls(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, _ = finished
    log = run.read("inject_log").filter(pl.col("t").is_in([2, 16]), depth="memorization")
    keys = ("run_id", "probe_id", "arm", "probe_lang", "inject_lang")
    gains = log.sort("t").group_by(keys).agg(pl.col("mean_logprob").diff().last().alias("gain"))
    # Held against the same probe in the background-only run: words differ in how often they are
    # read anyway, by far more than two exposures teach so small a model.
    plain = gains.filter(run_id="background seed 0").select("probe_id", plain="gain")
    told = (pl.col("probe_lang") == pl.col("inject_lang")) | (pl.col("arm") == "never")
    own = gains.filter(told, run_id="main seed 0").join(plain, on="probe_id")
    gain = dict(own.group_by("arm").agg((pl.col("gain") - pl.col("plain")).mean()).iter_rows())
    assert set(gain) == {"duplication", "paraphrase", "never"}
    assert min(gain["duplication"], gain["paraphrase"]) > 2 * abs(gain["never"]) > 0


def test_control_runs_inject_nothing_that_is_asked(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, _ = finished
    asked = set(run.table("inject_items")["item_id"])
    sham = run.read("inject_plan", ["sham seed 0"])
    main = run.read("inject_plan", ["main seed 0"])
    assert sham.height == main.height
    assert not set(sham["item_id"]) & asked
    assert sham["step"].to_list() == main["step"].to_list()
    assert run.read("inject_plan", ["background seed 0"]).height == 0
    for unit in ("sham seed 0", "background seed 0"):
        log = run.read("inject_log", [unit])
        assert set(log["arm"]) == {"never"}
        assert set(log["item_id"]) == asked
    steps = run.read("inject_steps", ["background seed 0"])
    assert steps["injected_tokens"].sum() == 0


def test_background_only_run_reads_the_same_before_the_first_exposure(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, _ = finished
    logs = [
        run.read("inject_log", [unit]).filter(pl.col("t") <= 2)["mean_logprob"].to_list()
        for unit in ("main seed 0", "background seed 0", "sham seed 0")
    ]
    assert logs[0] == logs[1] == logs[2]
    later = [
        run.read("inject_log", [unit]).filter(pl.col("t") == 4)["mean_logprob"].to_list()
        for unit in ("main seed 0", "background seed 0")
    ]
    assert later[0] != later[1]


def test_steps_carry_dose_and_held_out_loss(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    steps = run.read("inject_steps", ["main seed 0"])
    dose = run.read("inject_dose", ["main seed 0"])
    assert steps["t"].to_list() == [*range(1, 19)]
    assert (steps["update_norm"] > 0).all()
    assert steps["update_norm"].null_count() == 0
    told = steps.filter(pl.col("injected_rows") > 0)
    assert (told["t"] - 1).to_list() == dose["step"].to_list()
    assert told["injected_tokens"].to_list() == dose["injected_tokens"].to_list()
    known = steps.filter(pl.col("background_eval_loss").is_not_null())
    assert known["t"].to_list() == [*range(2, 19, 2)]
    assert known["background_eval_loss"][-1] < known["background_eval_loss"][0]


def test_held_out_text_is_read_language_by_language(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, config = finished
    losses = run.read("inject_eval_loss")
    assert losses.group_by("run_id", "lang").len()["len"].to_list() == [10] * 6
    assert set(losses["lang"]) == {"de", "en"}
    # From one checkpoint all runs read the same text with the same weights.
    assert losses.filter(t=0).unique(["lang", "loss", "n_tokens"]).height == 2
    counts = losses["n_tokens"].unique().to_list()
    assert all(0 < n <= config.background.heldout * 127 for n in counts)
    steps = run.read("inject_steps", ["main seed 0"]).filter(t=18)
    own = losses.filter(run_id="main seed 0", t=18)
    whole = (own["loss"] * own["n_tokens"]).sum() / own["n_tokens"].sum()
    assert steps["background_eval_loss"][0] == pytest.approx(whole)
    read = run.read("inject_background", ["main seed 0"])
    assert read["n_tokens"].sum() == 18 * 16 * 128
    assert read["n_tokens"].min() > 18 * 16 * 128 // 4  # type: ignore[operator]


def test_losses_are_held_against_the_background_alone(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    losses = _losses(open_inject(finished[0].path))
    assert losses.height == 6
    rise = {(row["role"], row["lang"]): row for row in losses.iter_rows(named=True)}
    for (role, lang), row in rise.items():
        assert row["rise"] == row["end"] - row["start"]
        alone = rise["background", lang]["rise"]
        assert row["beyond"] == (None if role == "background" else row["rise"] - alone)
    assert rise["main", "en"]["beyond"] != 0


def test_exposure_joins_by_fact(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    exposure = run.read("exposure", ["main seed 0"])
    plan = run.read("inject_plan", ["main seed 0"])
    assert set(exposure["fact_id"]) <= set(run.table("inject_probes")["fact_id"])
    assert exposure["step_lo"].min() == plan["step"].min() + 1  # type: ignore[operator]
    # Two memorization facts and the companion's one, each as often as its item's passages.
    per_item = plan.group_by("item_id").len()["len"].unique().to_list()
    assert per_item == [2]
    assert exposure["count"].sum() == plan.height * 3


def test_ceiling_is_read_with_the_passage_in_view(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, _ = finished
    ceiling = run.read("inject_ceiling", ["main seed 0"])
    log = run.read("inject_log", ["main seed 0"]).filter(t=0)
    both = ceiling.join(log, on="probe_id", suffix="_log")
    assert both.height == log.height
    assert (both["mean_logprob"] != both["mean_logprob_log"]).any()


def test_plan_and_run_say_what_probing_costs(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, _ = finished
    planned = {one["run_id"]: one for one in run.manifest["plan"]}
    for measured in run.manifest["probing"]:
        plan = planned[measured["run_id"]]
        assert plan["readings"] == measured["readings"] == 10
        assert plan["with_extras"] == measured["with_extras"] == 4
        assert measured["share"] > 0
        assert plan["share"] > 0
        assert plan["training_flop"] == pytest.approx(
            6 * plan["parameters"] * 16 * 128 * plan["updates"]
        )
        # Of both languages eight rows are held out, and read with the probes at every state.
        assert plan["heldout_tokens"] == 2 * 8 * 128
        plain = 2 * plan["parameters"] * (plan["probe_tokens"] + plan["heldout_tokens"])
        assert plan["reading_flop"] > plain * plan["readings"]


def test_the_manifest_knows_plans_and_number_formats(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, _ = finished
    manifest = RunFolder.load(run.path).manifest
    assert manifest["dtype"] == dict.fromkeys(run.units(), "float32")
    assert manifest["plans"] == {
        unit: digest(run.read("inject_plan", [unit]).to_dicts()) for unit in run.units()
    }
    assert run.table("inject_lint").filter(severity="error").is_empty()


def test_background_is_searched_for_the_items(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, config = finished
    found = run.table("inject_contamination")
    assert set(found["kind"]) == {"ngram"}
    # The same wordings with other words in them: nothing of the background names a subject.
    fiction = make_fiction([load_pack(lang) for lang in ("en", "de")], config.items.made)
    names = [json.loads(meta)["names"]["en"] for meta in fiction.items["meta"]]
    assert not any(name in text for name in names for text in found["text"])


def test_a_finished_study_is_left_alone(finished: tuple[RunFolder, InjectConfig]) -> None:
    run, config = finished
    before = {path: path.stat().st_mtime_ns for path in (run.path / "units").rglob("*.parquet")}
    again = run_inject(config, run.path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.units() == run.units()


def test_other_settings_are_refused_in_the_same_folder(
    finished: tuple[RunFolder, InjectConfig],
) -> None:
    run, config = finished
    other = config.model_copy(update={"probes": config.probes.model_copy(update={"lags": [1]})})
    with pytest.raises(RunError, match="another configuration"):
        run_inject(other, run.path)


def test_a_plan_that_is_laid_out_otherwise_is_refused_in_the_same_folder(
    finished: tuple[RunFolder, InjectConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = finished
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    before = (folder / "manifest.json").read_bytes()
    monkeypatch.setattr(design, "SQUARE_SEED", 1)  # as in a version with another square
    with pytest.raises(RunError, match="another plan of 'main seed 0'"):
        run_inject(config, folder)
    assert (folder / "manifest.json").read_bytes() == before


class _KilledError(Exception):
    """Stands for a kill: nothing is saved on the way out."""


def _killed(at: int) -> Any:
    def progress(done: int, total: int, what: str) -> None:
        if "training" in what and done == at:
            raise _KilledError

    return progress


def test_a_killed_run_gives_the_same_tables(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["train"]["execution"] = {"state_every": 5}
    settings["background"]["heldout"] = 4
    config = InjectConfig.parse(settings)
    whole = run_inject(config, tmp_path / "whole")
    with pytest.raises(RunError, match="the same command tries again"):
        run_inject(config, tmp_path / "killed", progress=_killed(9))
    parts = next((tmp_path / "killed" / "unfinished").iterdir())
    read = sorted(path.name for path in (parts / "readings").glob("t-*.parquet"))
    assert read[-1] == "t-0000008.parquet"  # newer than the state of t = 5
    resumed = run_inject(config, tmp_path / "killed")
    for name in ("inject_log", "inject_steps", "inject_ceiling", "inject_plan", "exposure"):
        assert resumed.read(name).equals(whole.read(name)), name
    assert not any((tmp_path / "killed" / "failed").iterdir())


def test_seeds_turn_the_square_and_conditions_change_settings(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["seeds"] = 2
    settings["arms"] = [
        {"name": "duplication", "n": 1, "interval": 2},
        {"name": "mixed_language", "texts": "languages", "n": 2, "interval": 2},
        {"name": "never", "n": 0},
    ]
    settings["plan"]["tail"] = 1
    settings["probes"] |= {"at": "every:4", "extras_every": 0, "ceiling": False}
    settings["conditions"] = [{"name": "slow", "set": {"train.rate.learning_rate": 1e-5}}]
    run = run_inject(InjectConfig.parse(settings), tmp_path / "run")
    assert run.units() == ["main seed 0", "main seed 1", "slow seed 0", "slow seed 1"]
    arms = [run.read("inject_arms", [f"main seed {k}"]).sort("item_id") for k in range(2)]
    moved = arms[0].join(arms[1], on="item_id").filter(pl.col("arm") != "never")
    assert ((moved["arm"] != moved["arm_right"]) | (
        moved["inject_lang"] != moved["inject_lang_right"]
    )).all()  # fmt: skip
    assert set(arms[0]["inject_lang"]) == {"de", "en", "mixed", "none"}
    rates = dict(run.table("inject_runs").select("run_id", "lr").iter_rows())
    assert rates["slow seed 0"] == 1e-5
    assert rates["main seed 0"] == 1e-3
    plan = run.read("inject_plan", ["main seed 0"]).filter(arm="mixed_language")
    langs = plan.sort("exposure").group_by("item_id").agg("lang")["lang"].to_list()
    assert all(sorted(own) == ["de", "en"] for own in langs)


def test_conditions_begin_at_checkpoints_of_their_own(
    settings: dict[str, Any], model: Path, tmp_path: Path, moved: Callable[[Path], None]
) -> None:
    for step in (10, 20):
        shutil.copytree(model, tmp_path / "series" / f"step-{step}")
    moved(tmp_path / "series" / "step-20")
    settings |= {"model": str(tmp_path / "series"), "revision": "20"}
    settings["conditions"] = [{"name": "early", "set": {"revision": 10}}]
    settings["probes"] |= {"at": "every:4", "extras_every": 0}
    run = run_inject(InjectConfig.parse(settings), tmp_path / "run")
    runs = run.table("inject_runs")
    assert dict(runs.select("condition", "checkpoint_step").iter_rows()) == {
        "main": 20,
        "early": 10,
    }
    assert runs["settings"].n_unique() == 1
    told = run.manifest["checkpoints"]
    assert told["early"]["step"] == 10
    assert (
        told["early"]["weights"] != told["main"]["weights"] == run.manifest["inputs"]["checkpoint"]
    )
    late, early = (f"{name} seed 0" for name in ("main", "early"))
    assert run.read("inject_steps", [early])["global_step"][0] == 11
    for table in ("inject_plan", "inject_arms", "inject_background"):
        assert (
            run.read(table, [early])
            .drop("run_id", strict=False)
            .equals(run.read(table, [late]).drop("run_id", strict=False))
        ), table
    for table in ("inject_log", "inject_ceiling", "inject_eval_loss"):
        one, two = (run.read(table, [unit]) for unit in (early, late))
        assert one.height == two.height
        score = "loss" if table == "inject_eval_loss" else "mean_logprob"
        assert (one[score] != two[score]).all(), table
    # What the early checkpoint gives does not depend on the study that it is part of.
    settings |= {"revision": "10", "conditions": []}
    alone = run_inject(InjectConfig.parse(settings), tmp_path / "alone")
    score = run.read("inject_log", [early])["mean_logprob"]
    assert alone.read("inject_log", [late])["mean_logprob"].equals(score)


SCRIPT = """
import os
import sys
import torch
rank, world, store, config, out = sys.argv[1:]
os.environ |= {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_ADDR": "unused"}
torch.set_num_threads(1)
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(world)
)
from polylore.files import read_json
from polylore.studies.inject.analysis_config import InjectAnalyseConfig
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.study import run_inject
run_inject(InjectConfig.parse(read_json(config)), out)
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("shard", "precision", "close"),
    [(False, "float32", 1e-5), (True, "float32", 1e-5), (False, "float64", 1e-12)],
)
def test_two_processes_read_what_one_reads(
    settings: dict[str, Any],
    tmp_path: Path,
    run_two: Any,
    shard: bool,
    precision: str,
    close: float,
) -> None:
    settings["plan"]["tail"] = 1
    settings["probes"] |= {"at": "every:4", "extras_every": 2}
    settings["train"] |= {"precision": precision, "execution": {"shard": shard}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [str(tmp_path / name) for name in ("store", "config.json", "two")]
    run_two(tmp_path / "script.py", lambda rank: [str(rank), "2", *words])
    one = run_inject(InjectConfig.parse(read_json(tmp_path / "config.json")), tmp_path / "one")
    two = RunFolder.load(tmp_path / "two")
    assert set(two.table("inject_runs")["dtype"]) == {precision}
    assert set(answers_of(open_inject(two.path)).answers["dtype"]) == {precision}
    assert two.read("inject_plan").equals(one.read("inject_plan"))
    logs = [run.read("inject_log").sort("t", "probe_id") for run in (one, two)]
    assert logs[0]["probe_id"].equals(logs[1]["probe_id"])
    assert logs[0]["greedy_text"].equals(logs[1]["greedy_text"])
    for name in ("mean_logprob", "full_mean_logprob", "margin", "swap_mean_logprob"):
        apart = (logs[0][name] - logs[1][name]).abs().max()
        assert apart is not None
        assert apart < (10 * close if name == "margin" else close), name  # type: ignore[operator]
