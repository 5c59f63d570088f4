"""A trace of a series in two stages, in the names of OLMo 2."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.context import Context
from polylore.studies.trace.pages import build_report
from polylore.studies.trace.study import trace

NAMES = (
    "stage1-step10-tokens1B",
    "stage1-step1000-tokens3B",
    "stage2-ingredient1-step20-tokens1B",
    "stage2-ingredient2-step20-tokens1B",
)


def test_two_stages_one_course(
    make: Callable[..., TraceConfig],
    trained: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folders = sorted((trained / "checkpoints").iterdir())
    for name, folder in zip(NAMES, folders, strict=False):
        shutil.copytree(folder, tmp_path / "series" / name)
        (tmp_path / "series" / name / "polylore.json").unlink(missing_ok=True)
    config = make(
        model=str(tmp_path / "series"),
        exposure=None,
        ask={"generate": False, "n_shot": 0, "final_variants": [1]},
        analyse={"draws": 0, "sustained": 1},
    )
    run = trace(config, tmp_path / "run", report=False)
    assert "trajectories follow ingredient 1" in caplog.text
    context = Context(run, config.analyse)
    assert context.checkpoints["ckpt_id"].to_list() == list(NAMES[:3])
    assert context.checkpoints["step"].to_list() == [10, 1000, 1020]
    assert context.checkpoints["tokens"].to_list() == [10**9, 3 * 10**9, 4 * 10**9]
    assert context.axis_title == "training tokens"
    assert context.final == NAMES[2]
    assert context.final_words == "stage2-ingredient1-step20-tokens1B, 4B tokens"
    # The wordings kept for the last checkpoint went to the one that the report calls the last.
    asked = run.table("asked").join(run.table("prompts"), on="prompt_id").filter(variant=1)
    assert set(asked["ckpt_id"]) == {NAMES[2]}
    assert run.table("survival")["step"].unique().sort().to_list() == [10, 1000, 1020]
    page = next(page for page in build_report(run).pages if page.id == "method")
    assert f"followed: {NAMES[3]}" in str(page)
