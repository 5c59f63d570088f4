"""Readings as answer rows: the metrics of `trace` run on them."""

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.inject import inject
from polylore.files import read_parquet
from polylore.metrics.grade import grade_answers
from polylore.metrics.recall import recall
from polylore.studies.inject.answers import answer_tables
from polylore.studies.inject.raw import open_inject


@pytest.fixture(scope="module")
def run(tmp_path_factory, made):
    study = made.small(seeds=1, facts=2, states=60, per_arm=3, controls=3)
    return made.write(tmp_path_factory.mktemp("answers") / "run", study).path


def test_recall_of_trace_is_the_share_of_free_answers_that_are_right(run):
    raw = open_inject(run)
    made = answer_tables(raw)
    log = raw.table("inject_log", ["main seed 0"])
    assert made["answers"].height == log.height
    assert made["checkpoints"]["step"].to_list() == [1200 + t for t in log["t"].unique().sort()]
    grades = grade_answers(made["answers"], made["facts"])
    found = recall(grades, made["facts"], made["checkpoints"])
    late = log.filter(pl.col("t") == log["t"].max(), probe_lang="en")
    row = found.filter(
        ckpt_id=f"main seed 0 t{log['t'].max()}", lang="en", matcher="default", stratum="all",
        relation="all",
    )  # fmt: skip
    right = late.join(raw.probes.select("probe_id", "target"), on="probe_id")
    share = (right["greedy_text"] == right["target"]).mean()
    assert 0.1 < share < 1
    assert row["acc"].item() == pytest.approx(share)
    wordings = made["answers"].group_by("fact_id", "lang").agg(pl.col("variant").n_unique())
    assert set(wordings["variant"]) == {3}


def test_the_command_writes_the_three_tables(run, tmp_path):
    done = CliRunner().invoke(inject, ["answers", str(run), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    for name, frame in answer_tables(open_inject(run)).items():
        assert read_parquet(tmp_path / "out" / f"{name}.parquet").equals(frame)
