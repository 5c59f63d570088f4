"""Equal weights in two number formats are found by their answers (T14, duplicates c)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from polylore.errors import ModelError
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace

Make = Callable[..., TraceConfig]
TWINS = ["step-000010", "step-000100"]


@pytest.fixture(scope="module")
def series(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints, two of them with the same weights, stored as bfloat16 and as float32."""
    folder = tmp_path_factory.mktemp("series")
    first, *_, last = sorted((trained / "checkpoints").iterdir())
    for name, source in (("step-000001", first), *((twin, last) for twin in TWINS)):
        shutil.copytree(source, folder / name)
        (folder / name / "polylore.json").unlink(missing_ok=True)
    for name, dtype in zip(TWINS, (torch.bfloat16, torch.float32), strict=True):
        path = folder / name / "model.safetensors"
        rounded = {k: v.bfloat16().to(dtype) for k, v in load_file(path).items()}
        save_file(rounded, path, metadata={"format": "pt"})
    return folder


def config(make: Make, series: Path, policy: str = "exclude", **ask: object) -> TraceConfig:
    return make(
        model=str(series),
        exposure=None,
        series={"duplicates": policy},
        ask={"n_shot": 0, "content_free": False} | ask,
        analyse={"draws": 0},
    )


def test_the_same_candidates_to_the_last_digit_are_the_same_weights(
    make: Make, series: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trace(config(make, series, generate=False), tmp_path / "run", report=False)
    table = run.table("checkpoints")
    assert table["weight_hash"].n_unique() == 3
    assert table["duplicate_of"].to_list() == [None, None, TWINS[0]]
    assert table["suspect"].to_list() == [False, True, True]
    assert table["flags"].to_list() == [None, ["same_answers"], ["same_answers"]]
    assert f"Checkpoints {', '.join(TWINS)} gave the same answers to everything" in caplog.text
    # What is suspect is in no trajectory; one checkpoint alone makes none.
    assert run.table("acquisition").height == 0
    # Again, from units that are done, and with the other policies.
    kept = trace(config(make, series, "keep", generate=False), tmp_path / "run", report=False)
    table = kept.table("checkpoints")
    assert not table["suspect"].any()
    assert table["flags"].to_list()[1] == ["same_answers", "duplicate_kept"]
    with pytest.raises(ModelError, match="have the weights of another checkpoint: step-000010"):
        trace(config(make, series, "error", generate=False), tmp_path / "run", report=False)


def test_texts_alone_may_agree_by_chance(make: Make, series: Path, tmp_path: Path) -> None:
    settings = config(make, series, candidates=False, max_new_tokens=2)
    table = trace(settings, tmp_path / "run", report=False).table("checkpoints")
    flagged = table.filter(pl.col("flags").list.contains("same_answers"))["ckpt_id"].to_list()
    assert set(TWINS) <= set(flagged)
    assert not table["suspect"].any()
    assert table["duplicate_of"].null_count() == 3
