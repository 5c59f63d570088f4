"""`polylore checkpoints`."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from polylore.cli.checkpoints import checkpoints
from polylore.errors import ModelError


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Steps 1000 to 6000 without 3000; 5000 has the weights of 4000."""
    for step in (1000, 2000, 4000, 5000, 6000):
        folder = tmp_path / "mine" / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        value = 4000.0 if step == 5000 else float(step)
        save_file({"w": torch.full((2, 2), value)}, folder / "model.safetensors")
    (tmp_path / "mine" / "step-7000").mkdir()
    return tmp_path / "mine"


def run(*words: str) -> str:
    result = CliRunner().invoke(checkpoints, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_table_gaps_duplicates_and_schedule(series: Path) -> None:
    text = run(str(series), "--schedule", "every:3000", "--nearest")
    assert "5 checkpoints of mine." in text
    assert "gap: 1 missing (3000)" in text
    assert "equal weights: step-5000 and step-4000" in text
    assert "step-4000  4000       -  suspect" in text
    assert "step-7000, it holds no weights" in text
    assert "The schedule chooses 2: step-2000 (for step 3000), step-6000" in text
    text = run(str(series), "--schedule", "every:3000")
    assert "scheduled but missing: 3000" in text
    assert "The schedule chooses 1: step-6000" in text
    assert "The schedule" not in run(str(series))


def test_json(series: Path) -> None:
    value = json.loads(run(str(series), "--json", "-s", "1000,6000"))
    assert [row["step"] for row in value["checkpoints"]] == [1000, 2000, 4000, 5000, 6000]
    assert [row["step"] for row in value["chosen"]] == [1000, 6000]
    assert value["gaps"][0]["missing_steps"] == [3000]
    assert value["skipped"] == [
        {"name": str(series / "step-7000"), "reason": "it holds no weights"}
    ]


def test_unknown_name(series: Path) -> None:
    with pytest.raises(ModelError, match="the closest names are step-5000"):
        run(str(series), "-s", "step-500")
