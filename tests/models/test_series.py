"""Series of checkpoints in local folders."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from polylore.errors import ModelError
from polylore.models import read_series, scan_series
from polylore.models.series import mark_duplicates
from polylore.tables.raw import CHECKPOINTS

Save = Callable[..., Path]


def checkpoint(folder: Path, value: float, **files: dict[str, Any]) -> Path:
    """Just enough of a checkpoint for the series reader."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file({"w": torch.full((4, 3), value)}, folder / "model.safetensors")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_numeric_order_steps_and_tokens(tmp_path: Path) -> None:
    for step in (900, 1000, 20):
        checkpoint(tmp_path / f"step-{step}", step, polylore={"step": step, "tokens": step * 10})
    frame = read_series(tmp_path, "mine")
    assert frame.columns == list(CHECKPOINTS.schema)
    assert frame["step"].to_list() == [20, 900, 1000]
    assert frame["tokens"].to_list() == [200, 9000, 10_000]
    assert frame["tokens_exact"].all()
    assert frame["ckpt_id"].to_list() == ["step-20", "step-900", "step-1000"]
    assert set(frame["model"]) == {"mine"}
    assert frame["path"][0] == str(tmp_path / "step-20")
    assert frame["weight_hash"].n_unique() == 3
    assert not frame["suspect"].any()
    assert frame["duplicate_of"].null_count() == 3


def test_half_written_folders_are_left_out_and_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint(tmp_path / "checkpoint-5", 1)
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / ".tmp-77-checkpoint-15").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    broken = checkpoint(tmp_path / "checkpoint-20", 1)
    (broken / "model.safetensors").rename(broken / "model-00001-of-00002.safetensors")
    index = {
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002.safetensors"}
    }
    (broken / "model.safetensors.index.json").write_text(json.dumps(index))
    with caplog.at_level(logging.WARNING):
        series = scan_series(tmp_path)
    assert series.checkpoints["step"].to_list() == [5]
    assert [Path(p).name for p, _ in series.skipped] == ["checkpoint-10", "checkpoint-20"]
    assert all("no weights" in reason for _, reason in series.skipped)
    assert "checkpoint-10" in caplog.text


def test_trainer_state_gives_tokens_and_must_agree(tmp_path: Path) -> None:
    state = {"global_step": 5, "num_input_tokens_seen": 640}
    folder = checkpoint(tmp_path / "checkpoint-5", 1, trainer_state=state)
    frame = read_series(tmp_path)
    assert (frame["family"][0], frame["tokens"][0], frame["tokens_exact"][0]) == (
        "trainer",
        640,
        True,
    )
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    assert read_series(tmp_path)["tokens"].to_list() == [None]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 6}))
    with pytest.raises(ModelError, match="says step 5, but a file in it says step 6"):
        read_series(tmp_path)
    (folder / "polylore.json").write_text(json.dumps({"step": 5, "tokens": 1}))
    with pytest.raises(ModelError, match=r"trainer_state.json says step 6 and polylore.json 5"):
        read_series(tmp_path)
    (folder / "trainer_state.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        read_series(tmp_path)


def test_names_without_a_step(tmp_path: Path) -> None:
    checkpoint(tmp_path / "step-5", 1)
    checkpoint(tmp_path / "best", 2, polylore={"step": 7, "tokens": None})
    assert read_series(tmp_path)["step"].to_list() == [5, 7]
    checkpoint(tmp_path / "step5_iter9", 3)
    with pytest.raises(ModelError, match="'step5_iter9' says more than one number"):
        read_series(tmp_path)
    shutil.rmtree(tmp_path / "step5_iter9")
    shutil.rmtree(tmp_path / "best")
    frame = read_series(tmp_path, pattern=r"step-(?P<step>\d+)", tokens_per_step=100)
    assert frame["tokens"].to_list() == [500]


def test_two_folders_for_one_step_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "step-5", 1)
    checkpoint(tmp_path / "checkpoint-5", 2)
    with pytest.raises(ModelError, match="both step 5"):
        read_series(tmp_path)


def test_one_model_is_a_series_of_one(tmp_path: Path) -> None:
    checkpoint(tmp_path / "some-model", 1)
    frame = read_series(tmp_path / "some-model")
    assert frame.select("ckpt_id", "final", "step").row(0) == ("some-model", True, None)
    checkpoint(tmp_path / "step-30", 1)
    frame = read_series(tmp_path / "step-30")
    assert frame.select("ckpt_id", "final", "step").row(0) == ("step-30", False, 30)


def test_a_final_model_beside_its_checkpoints(tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", 3)
    for step in (1, 2, 3):
        checkpoint(tmp_path / "run" / f"checkpoint-{step}", step)
    frame = read_series(tmp_path / "run")
    assert frame["ckpt_id"].to_list() == ["checkpoint-1", "checkpoint-2", "checkpoint-3", "main"]
    assert frame["final"].to_list() == [False, False, False, True]
    # Equal weights of the final model and the highest step are normal.
    assert frame["duplicate_of"].to_list() == [None, None, None, "checkpoint-3"]
    assert not frame["suspect"].any()


def test_a_run_folder_with_checkpoints_inside(tmp_path: Path) -> None:
    checkpoint(tmp_path / "run" / "checkpoints" / "step-000001", 1)
    frame = read_series(tmp_path / "run")
    assert frame.select("ckpt_id", "model", "step").row(0) == ("step-000001", "run", 1)


def test_phase_folders(tmp_path: Path) -> None:
    checkpoint(tmp_path / "warm" / "iter_0010", 1)
    checkpoint(tmp_path / "warm" / "iter_0020", 2)
    checkpoint(tmp_path / "cool" / "iter_0010", 3)
    frame = read_series(tmp_path, phases={"warm": 1, "cool": 2})
    assert frame["step"].to_list() == [10, 20, 30]
    assert frame["stage"].to_list() == [1, 1, 2]


def test_stages_add_their_tokens(tmp_path: Path) -> None:
    checkpoint(tmp_path / "stage1-step10-tokens4B", 1)
    checkpoint(tmp_path / "stage2-ingredient1-step3-tokens2B", 2)
    frame = read_series(tmp_path)
    assert frame["tokens"].to_list() == [4 * 10**9, 6 * 10**9]
    shutil.rmtree(tmp_path / "stage1-step10-tokens4B")
    assert read_series(tmp_path)["tokens"].to_list() == [None]


def test_stages_of_a_pattern_count_on(tmp_path: Path) -> None:
    for number, name in enumerate(("s1-20", "s2-5", "s1-10", "s2-10")):
        checkpoint(tmp_path / name, number)
    pattern = r"s(?P<stage>\d)-(?P<step>\d+)"
    frame = read_series(tmp_path, pattern=pattern, tokens_per_step=100)
    assert frame["ckpt_id"].to_list() == ["s1-10", "s1-20", "s2-5", "s2-10"]
    assert frame["step"].to_list() == [10, 20, 5, 10]
    assert frame["total_step"].to_list() == [10, 20, 25, 30]
    assert frame["tokens"].to_list() == [1000, 2000, 2500, 3000]
    assert read_series(tmp_path, pattern=pattern)["tokens"].null_count() == 4


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        read_series(tmp_path / "absent")
    with pytest.raises(ModelError, match="no checkpoint with weights"):
        read_series(tmp_path)
    (tmp_path / "step-4").mkdir()
    with pytest.raises(ModelError, match="left out: step-4"):
        read_series(tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "step-4", 1)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-5])
    with pytest.raises(ModelError, match=r"step-4/model.safetensors is damaged or cut short"):
        read_series(tmp_path)


def marked(rows: list[tuple[str, int | None, str]]) -> dict[str, tuple[str | None, bool]]:
    made = [
        {"ckpt_id": name, "step": step, "final": step is None, "weight_hash": weights}
        for name, step, weights in rows
    ]
    mark_duplicates(made)
    return {str(r["ckpt_id"]): (r["duplicate_of"], r["suspect"]) for r in made}  # type: ignore[misc]


def test_final_equal_to_the_highest_step_is_normal() -> None:
    found = marked([("step1000", 1000, "a"), ("step143000", 143_000, "b"), ("main", None, "b")])
    assert found == {
        "step1000": (None, False),
        "step143000": (None, False),
        "main": ("step143000", False),
    }


def test_final_equal_to_an_inner_step_makes_that_step_suspect() -> None:
    found = marked(
        [("step200000", 200_000, "m"), ("step300000", 300_000, "b"), ("main", None, "m")]
    )
    assert found == {
        "step200000": ("main", True),
        "step300000": (None, False),
        "main": (None, False),
    }
    found = marked([("a", 1, "m"), ("b", 2, "m"), ("main", None, "m")])
    assert found == {"a": ("b", True), "b": (None, False), "main": ("b", False)}


def test_equal_steps_without_a_final_model_are_all_suspect() -> None:
    found = marked([("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y"), ("main", None, "z")])
    assert found == {
        "a": (None, True),
        "b": ("a", True),
        "c": (None, False),
        "main": (None, False),
    }
