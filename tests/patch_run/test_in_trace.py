"""A patch run in the report of a trace of the same checkpoints."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from polylore.errors import PolyloreError, RunError
from polylore.report import Chart
from polylore.runs import RunFolder
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig
from polylore.studies.patch.running.study import run_patch
from polylore.studies.patch.scoring import score
from polylore.studies.trace.concepts import add_concepts
from polylore.studies.trace.pages import build_report


@pytest.fixture(scope="module")
def patched(
    config: Callable[..., PatchRunConfig], tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    told = config(ask={"generate": False, "init": False})
    return run_patch(told, tmp_path_factory.mktemp("patched") / "patch")


def traced(folder: Path, checkpoints: pl.DataFrame) -> RunFolder:
    """The folder of a trace, as far as it matters here."""
    run = RunFolder.open(folder, "trace", {"preset": "default"}, {})
    run.write_table("checkpoints", checkpoints)
    return run


def test_a_trace_shows_the_concepts_put_into_its_checkpoints(
    patched: RunFolder, tmp_path: Path
) -> None:
    run = traced(tmp_path / "trace", patched.table("checkpoints"))
    assert "concepts" not in [page.id for page in build_report(run).pages]
    with pytest.raises(PolyloreError, match="patch_errors"):
        add_concepts(run, patched)
    made = score(patched, PatchScoreConfig(draws=10))
    add_concepts(run, patched)
    assert run.table("patch_curves").equals(made["patch_curves"])
    built = build_report(RunFolder.load(run.path))
    page = next(page for page in built.pages if page.id == "concepts")
    charts = {block.id for block in page.blocks if isinstance(block, Chart)}
    assert {"patch-emergence", "patch-onsets", "patch-map", "patch-pairs"} <= charts
    assert any("averaged over other languages" in finding.text for finding in built.findings)


def test_a_run_of_other_checkpoints_is_refused(patched: RunFolder, tmp_path: Path) -> None:
    run = traced(tmp_path / "trace", patched.table("checkpoints").head(1))
    with pytest.raises(RunError, match=r"does not have \(step100\)"):
        add_concepts(run, patched)
