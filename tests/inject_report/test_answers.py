"""Readings as answer rows: the metrics of `trace` run on them."""

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.inject import inject
from polylore.errors import ConfigError
from polylore.facts import load_facts
from polylore.files import read_parquet
from polylore.metrics.grade import grade_answers
from polylore.metrics.recall import recall
from polylore.studies.inject.answers import answers_of
from polylore.studies.inject.raw import open_inject


@pytest.fixture(scope="module")
def run(tmp_path_factory, made):
    study = made.small(seeds=1, facts=2, states=60, per_arm=3, controls=3)
    return made.write(tmp_path_factory.mktemp("answers") / "run", study).path


def test_recall_of_trace_is_the_share_of_free_answers_that_are_right(run):
    raw = open_inject(run)
    made = answers_of(raw, depth="all")
    log = raw.table("inject_log", ["main seed 0"])
    assert made.answers.height == log.height
    assert made.checkpoints["step"].to_list() == [1200 + t for t in log["t"].unique().sort()]
    facts = made.factset.facts
    grades = grade_answers(made.answers, facts)
    found = recall(grades, facts, made.checkpoints)
    late = log.filter(pl.col("t") == log["t"].max(), probe_lang="en")
    row = found.filter(
        ckpt_id=f"main seed 0 t{log['t'].max()}", lang="en", matcher="default", stratum="all",
        relation="all",
    )  # fmt: skip
    right = late.join(raw.probes.select("probe_id", "target"), on="probe_id")
    share = (right["greedy_text"] == right["target"]).mean()
    assert 0.1 < share < 1
    assert row["acc"].item() == pytest.approx(share)
    wordings = made.answers.group_by("fact_id", "lang").agg(pl.col("variant").n_unique())
    assert set(wordings["variant"]) == {3}
    first = made.answers.filter(variant=0)["prompt_id"]
    assert first.str.ends_with("/mem").all()


def test_items_that_say_no_name_are_asked_by_their_prefix(run):
    raw = open_inject(run)
    made = answers_of(raw, depth="semantic")
    probes = raw.probes.filter(depth="semantic")
    facts = made.factset.facts
    assert sorted(facts.select("fact_id", "lang", "subject").rows()) == sorted(
        probes.select("fact_id", "lang", "prefix").rows()
    )
    assert set(facts["flags"].explode()) == {"subject_is_prefix"}
    assert set(made.factset.templates["template"]) == {"<subject> <mask>"}
    assert "stands for it" in made.factset.notes[0]


def test_the_command_writes_facts_and_tables(run, tmp_path):
    done = CliRunner().invoke(inject, ["answers", str(run), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    made = answers_of(open_inject(run))
    for name in ("checkpoints", "answers"):
        assert read_parquet(tmp_path / "out" / f"{name}.parquet").equals(getattr(made, name))
    assert load_facts(tmp_path / "out").digest() == made.factset.digest()


def test_a_depth_that_nothing_has_is_refused(run):
    with pytest.raises(ConfigError, match="No probe of this run has the depth 'deep'"):
        answers_of(open_inject(run), depth="deep")
