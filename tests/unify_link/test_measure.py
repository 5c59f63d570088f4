"""Checkpoint folders measured afterwards give the numbers of the run that saved them."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.unify import unify
from polylore.errors import ModelError
from polylore.facts.worlds import WorldConfig, make_world, save_world
from polylore.files import read_json, write_json
from polylore.models.weights import weight_files
from polylore.runs import RunFolder
from polylore.studies.unify.config import MeasureConfig
from polylore.studies.unify.measuring import measure_folders

MEASURE = MeasureConfig(items=256, fresh=1, edits=2, patches=2, states=2, codelength=False)


@pytest.fixture(scope="module")
def measured(
    series: Path, world_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    run, refused = measure_folders(
        [series], world_folder, MEASURE, tmp_path_factory.mktemp("measured") / "run"
    )
    assert refused == {}
    return run


def test_numbers_are_those_of_training(measured: RunFolder, trained: RunFolder) -> None:
    key = ["run_hash", "step"]
    ours, theirs = measured.table("unify_course"), trained.read("unify_course")
    assert ours.select(key).equals(theirs.select(key))
    for name in ("acc_train", "acc_x", "loss_train"):
        assert (ours[name] - theirs[name]).abs().max() < 1e-5
    place = [*key, "item_kind", "items", "pair", "layer", "position", "center", "standardize",
             "distractors"]  # fmt: skip
    both = trained.read("unify_unification").join(
        measured.table("unify_unification"), on=place, suffix="_here"
    )
    assert both.height == trained.read("unify_unification").height
    for name in ("u_norm", "u_step0", "u_fresh"):
        known = both.drop_nulls(name)
        assert known.height
        assert known[f"{name}_here"].null_count() == 0
        assert (known[name] - known[f"{name}_here"]).abs().max() < 1e-4
    edits = [run.read("unify_edits").filter(pl.col("step") == 5) for run in (measured, trained)]
    assert edits[0].equals(edits[1])


def test_folders_that_do_not_belong_are_refused_and_the_others_measured(
    series: Path, world_folder: Path, tmp_path: Path
) -> None:
    last = sorted(series.iterdir())[-1]
    empty, other, nameless = (tmp_path / name for name in ("empty", "other", "nameless"))
    for folder in (empty, other, nameless):
        shutil.copytree(last, folder)
    for file in weight_files(empty):
        file.unlink()
    write_json(
        read_json(other / "polylore.json") | {"world_hash": "0" * 64}, other / "polylore.json"
    )
    (nameless / "polylore.json").unlink()
    out = tmp_path / "run"
    words = ["measure", *map(str, (empty, other, nameless, tmp_path / "absent", last)), "--world",
             str(world_folder), "--out", str(out), "--quiet", "--items", "32", "--fresh", "0",
             "--edits", "0", "--patches", "0", "--codelength", "false"]  # fmt: skip
    done = CliRunner().invoke(unify, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == 3
    refused = RunFolder.load(out).manifest["folders"]["refused"]
    assert [Path(name).name for name in refused] == ["empty", "other", "nameless", "absent"]
    assert "trained on world 000000000000" in refused[str(other)]
    assert "at which step" in refused[str(nameless)]
    assert "weights" in refused[str(empty)]
    assert RunFolder.load(out).table("unify_course")["step"].to_list() == [5]


def test_a_model_of_other_words_is_refused(series: Path, tmp_path: Path) -> None:
    small = make_world(WorldConfig(entities=8, relations=1, values=4, share={"names": 1}))
    save_world(small, tmp_path / "world")
    last = sorted(series.iterdir())[-1]
    shutil.copytree(last, tmp_path / "step-5")
    (tmp_path / "step-5" / "polylore.json").unlink()
    with pytest.raises(ModelError, match="other words than the world"):
        measure_folders([tmp_path / "step-5"], tmp_path / "world", MEASURE, tmp_path / "run")
