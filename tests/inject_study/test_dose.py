"""What a study says of its dose and rate before it runs is what it does."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore.corpus.injection import dose
from polylore.errors import DataError
from polylore.runs import RunFolder
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.dry_run import dry_run, sentences
from polylore.studies.inject.study import Study, run_inject
from polylore.studies.inject.work import planned_row, train_config
from polylore.training.continued.rates import rate

Settings = dict[str, Any]
BATCH, LENGTH = 16, 256


@pytest.fixture(scope="module")
def padded(module_settings: Settings) -> Settings:
    """A study on documents that stay whole, so that rows end in padding."""
    module_settings["background"] |= {"rows": "padded", "length": LENGTH, "heldout": 0}
    module_settings["probes"] |= {"extras_every": 0, "ceiling": False, "at": "every:9"}
    return module_settings


@pytest.fixture(scope="module")
def run(padded: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_inject(InjectConfig.parse(padded), tmp_path_factory.mktemp("padded") / "run")


def _true(run: RunFolder) -> pl.DataFrame:
    """Injected tokens over those that were predicted: all that were read but the first of a row."""
    steps = run.read("inject_steps", ["main seed 0"]).sort("t")
    read = pl.col("tokens").diff().fill_null(pl.col("tokens")) - BATCH
    return steps.select("t", "loss_share", true=pl.col("injected_tokens") / read, read=read)


def test_shares_are_of_the_tokens_that_were_predicted(run: RunFolder) -> None:
    steps = _true(run)
    assert steps["read"].max() < BATCH * (LENGTH - 1)  # every step has padding
    assert steps["loss_share"].to_list() == pytest.approx(steps["true"].to_list())
    told = run.read("inject_dose", ["main seed 0"])
    steps = steps.filter(pl.col("true") > 0)
    assert told["loss_share"].to_list() == pytest.approx(steps["true"].to_list())


def test_the_plan_says_the_same_and_refuses_what_a_run_would(
    run: RunFolder, padded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = _true(run)["true"].max()
    (costs,), _ = dry_run(InjectConfig.parse(padded))
    assert costs["highest_loss_share"] == pytest.approx(true)
    assert f"{true:.1%} of its loss" in sentences([costs])[0]
    # A cap between the share of whole rows and that of the tokens in them.
    told = run.read("inject_dose", ["main seed 0"])
    whole = told["injected_tokens"].max() / (BATCH * (LENGTH - 1))
    assert whole < true
    monkeypatch.setattr(dose, "MAX_ROW_SHARE", 1.0)
    monkeypatch.setattr(dose, "MAX_LOSS_SHARE", (whole + true) / 2)
    strict = InjectConfig.parse(padded | {"plan": padded["plan"] | {"allow_dose": False}})
    for refused in (dry_run, lambda config: Study(config).open(tmp_path / "run")):
        with pytest.raises(DataError, match=r"of the loss weight injected, more than"):
            refused(strict)


def test_a_rate_that_follows_a_formula_grows_with_the_batch(settings: Settings) -> None:
    settings["train"] |= {"rate": {"schedule": "resume_formula", "warmup": 2}}
    settings["batch"] = {"small": 4, "large": 16, "lr": ["equal", "sqrt", "linear"],
                         "match": ["none"], "optimizer": ["fresh_burn_in"]}  # fmt: skip
    study = Study(InjectConfig.parse(settings))
    made, planned = {}, {}
    for spec in study.specs:
        if spec.config.background.batch_size == 16:
            design, basis = study.designs[spec.run_id], study.bases[spec.run_id]
            train = train_config(spec, design, basis)
            first = rate(1, train.updates, train.rate, 0.0, basis.start.step)
            made[spec.lr_rule] = first
            planned[spec.lr_rule] = planned_row(spec, design, basis)["lr"]
    assert made["sqrt"] == pytest.approx(2 * made["equal"])
    assert made["linear"] == pytest.approx(4 * made["equal"])
    assert planned == made


def test_what_is_planned_is_what_is_made(settings: Settings, tmp_path: Path) -> None:
    settings["background"]["heldout"] = 0
    settings["probes"] |= {"extras_every": 0, "ceiling": False, "at": "every:9"}
    slope = {"learning_rate": 1e-3, "schedule": "linear", "warmup": 3}
    settings["train"] |= {"beta1": 0.0, "updates": 16, "rate": slope}
    study = Study(InjectConfig.parse(settings))
    (spec,) = study.specs
    planned = planned_row(spec, study.designs[spec.run_id], study.bases[spec.run_id])
    assert planned["beta1"] == 0.0
    run = run_inject(study.config, tmp_path / "run")
    (row,) = run.table("inject_runs").to_dicts()
    assert {name: row[name] for name in planned} == planned
    assert math.isclose(row["lr"], 1e-3 / 3)
