"""The benchmark of patching compares like with like."""

import importlib.util
import json
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from polylore.cli.bench import bench
from polylore.errors import ConfigError
from polylore.models import LanguageModel
from polylore.models.patching import find_blocks
from polylore.studies.bench import patch, sweeps
from polylore.studies.bench.config import SIZES, PatchBenchConfig, Size
from polylore.studies.bench.patch import FRUGAL, NNSIGHT, PLAIN, POLYLORE, SUFFIX, make_work
from polylore.studies.bench.workload import make_model

MICRO = Size(64, 96, 3, 4, 2, 300)
SMALL: dict[str, Any] = {"size": "micro", "prompts": 3, "tokens": 20, "suffix": 4, "rounds": 1}


@pytest.fixture(autouse=True)
def micro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "micro", MICRO)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return make_model("micro", MICRO, "float32", "cpu")


def test_every_way_finds_the_same_and_the_patch_matters(lm: LanguageModel) -> None:
    blocks = find_blocks(lm.model)
    work = make_work(PatchBenchConfig(**SMALL), lm, blocks)
    assert work.ids_NT.shape == (3, 20)
    assert work.place == 15
    expected = sweeps.plain_hooks(lm.model, blocks.modules, 3)(work)
    assert expected.shape == (1 + 4, 3, 300)
    clean = lm.model(work.ids_NT).logits[:, -1]
    torch.testing.assert_close(expected[0], clean, atol=1e-6, rtol=0)
    moved = (expected[1:] - expected[0]).abs().amax(dim=(1, 2))
    assert float(moved[:-1].min()) > 1e-4
    assert float(moved[-1]) == 0  # nobody reads the last layer at the patched token
    for engine in ("hooks", "suffix", "packed"):
        for batch in (1, 2):
            found = sweeps.engine_sweep(lm, blocks, engine, batch)(work)
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_what_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "find_spec", lambda name: None)
    done = CliRunner().invoke(bench, ["patch", *(f"--{k}={v}" for k, v in SMALL.items()), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["forwards"] == 3 * 5
    assert found["engine"] == "packed"
    ways = {way["name"]: way for way in found["ways"]}
    assert list(ways) == [PLAIN, FRUGAL, NNSIGHT, SUFFIX, POLYLORE]
    assert ways[NNSIGHT]["seconds"] is None
    assert "polylore[bench]" in ways[NNSIGHT]["note"]
    assert ways[POLYLORE]["speedup"] == 1
    assert ways[PLAIN]["largest_difference"] == 0
    for name in (FRUGAL, SUFFIX, POLYLORE):
        assert ways[name]["largest_difference"] < 1e-5
    shown = CliRunner().invoke(bench, ["patch", *(f"--{k}={v}" for k, v in SMALL.items())])
    assert shown.exit_code == 0, shown.output
    assert "15 forward passes" in " ".join(shown.output.split())


def test_nnsight_writes_the_same_sweep(lm: LanguageModel) -> None:
    if importlib.util.find_spec("nnsight") is None:
        pytest.skip("nnsight is not installed (pip install 'polylore[bench]')")
    blocks = find_blocks(lm.model)
    work = make_work(PatchBenchConfig(**SMALL), lm, blocks)
    expected = sweeps.plain_hooks(lm.model, blocks.modules, 3)(work)
    found = sweeps.nnsight_traces(lm.model, 2)(work)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_bad_settings(monkeypatch: pytest.MonkeyPatch, lm: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="no size 3m"):
        PatchBenchConfig.parse({"size": "3m"})
    with pytest.raises(ConfigError, match="no prompt of 5 tokens has 4 behind"):
        PatchBenchConfig.parse({"tokens": 5, "suffix": 4})
    monkeypatch.setattr(sweeps, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="nnsight is not installed"):
        sweeps.nnsight_traces(lm.model, 1)


def test_the_trial_is_a_part_of_the_work(lm: LanguageModel) -> None:
    blocks = find_blocks(lm.model)
    work = make_work(PatchBenchConfig(**SMALL), lm, blocks)
    part = work.part(2, 1)
    assert part.ids_NT.tolist() == work.ids_NT[:2].tolist()
    assert list(part.onsets) == [1]
    assert part.vectors_LND.shape == (4, 2, 64)
    assert patch.BATCHES["cpu"] == (1, 2, 4)
