"""`align conduct`: checkpoints in, raw units and tables out."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import ConfigError, DataError
from polylore.models import wrap
from polylore.runs import RunFolder
from polylore.studies.align.conducting.config import AlignConductConfig
from polylore.studies.align.conducting.plan import plan
from polylore.studies.align.conducting.sheet import ConductSheet
from polylore.studies.align.conducting.study import conduct
from polylore.studies.align.world import load_worlds

from .conftest import fresh


@pytest.fixture(scope="module")
def series(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untaught, then taught."""
    own = request.getfixturevalue("taught")
    folder = tmp_path_factory.mktemp("series") / "tiny"
    for step, model in ((0, fresh(own.tokenizer)), (150, own.model)):
        model.save_pretrained(folder / f"step_{step}")
        own.tokenizer.save_pretrained(folder / f"step_{step}")
    return folder


def config(series: Path, world: Path, **changes: Any) -> AlignConductConfig:
    values = {"models": [str(series)], "world": str(world), "score": {"draws": 50}}
    return AlignConductConfig.parse(values | changes)


@pytest.fixture(scope="module")
def done(series: Path, world_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return conduct(config(series, world_folder), tmp_path_factory.mktemp("out") / "run")


def test_checkpoints_are_asked_as_models_in_memory(done: RunFolder, taught: Any) -> None:
    run = {"run_id": "tiny", "arm": "tiny", "seed": 0, "step": 150, "design": "pair"}
    alone = ConductSheet(taught.world).ask(wrap(taught.model, taught.tokenizer), run)
    saved = done.read("fiction_answers").filter(step=150)
    keys = ["probe", "lang", "fact_id", "answer"]
    assert saved.sort(keys).equals(alone.sort(keys))


def test_learning_is_a_curve_over_checkpoints(done: RunFolder) -> None:
    table = done.table("align_conductivity").filter(subset="valid", scoring="default")
    assert table["step"].to_list() == [0, 150]
    assert table["gate_pass"].to_list()[0] is False
    assert table["acc_t"].to_list()[0] < 0.5 < table["acc_t"].to_list()[1]
    gates = done.table("align_gates").filter(component="source_1")
    assert gates["passed"].to_list() == [False, True]


def test_scoring_again_gives_the_same_bytes(done: RunFolder) -> None:
    names = ("align_conductivity", "align_gates")
    before = {name: (done.path / "tables" / f"{name}.parquet").read_bytes() for name in names}
    for name in names:
        (done.path / "tables" / f"{name}.parquet").unlink()
    result = CliRunner().invoke(cli, ["align", "report", str(done.path), "-q"])
    assert result.exit_code == 0, result.output
    after = {name: (done.path / "tables" / f"{name}.parquet").read_bytes() for name in names}
    assert after == before


def test_more_checkpoints_join_a_run(
    series: Path, world_folder: Path, done: RunFolder, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first = conduct(config(series / "step_0", world_folder, names=["a"]), out, report=False)
    unit = next(first.path.glob("units/**/fiction_answers.parquet"))
    stamp = unit.stat().st_mtime_ns
    both = [str(series / "step_0"), str(series / "step_150")]
    changed = config(series, world_folder, models=both, names=["a", "b"])
    run = conduct(changed, out, report=False)
    assert unit.stat().st_mtime_ns == stamp
    made = run.table("align_conductivity").filter(subset="all", scoring="default")
    assert made["arm"].to_list() == ["a", "b"]
    expected = done.table("align_conductivity").filter(subset="all", scoring="default")
    assert made["cd"].to_list() == expected["cd"].to_list()


def test_command(series: Path, world_folder: Path, tmp_path: Path) -> None:
    wanted = ["align", "conduct", str(series), "--world", str(world_folder), "-q"]
    wanted += ["--out", str(tmp_path / "run"), "--score.draws", "20"]
    result = CliRunner().invoke(cli, wanted, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "qaa" in result.output
    assert "qab" in result.output
    assert (tmp_path / "run" / "report.html").is_file()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["kind"] == "align-conduct"


def test_costs_are_said_before(
    series: Path, world_folder: Path, done: RunFolder, tmp_path: Path
) -> None:
    rows = plan(config(series, world_folder), tmp_path / "run")
    said = dict(zip(rows["name"], rows["value"], strict=True))
    assert (said["units"], said["tiny: checkpoints"]) == (2, 2)
    assert said["tiny: scored"] > 0
    assert said["tiny: answers"] > 72 * 2
    assert not (tmp_path / "run").exists()
    left = plan(config(series, world_folder), done.path)
    assert left.filter(name="units")["value"].item() == 0


def test_plain_refusals(series: Path, world_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no invented worlds"):
        conduct(config(series, tmp_path), tmp_path / "a")
    with pytest.raises(ConfigError, match="target de"):
        load_worlds(world_folder, ["de"])
    result = CliRunner().invoke(
        cli, ["align", "conduct", str(series), "--world", str(tmp_path), "--out", str(tmp_path)]
    )
    assert isinstance(result.exception, DataError)


def test_worlds_are_read_as_written(world_folder: Path, world: Any) -> None:
    assert load_worlds(world_folder)["qab"].digest() == world.digest()
    made = pl.read_parquet(world_folder / "qab" / "fiction_valid.parquet")
    assert made.height == 8
