"""The benchmark of training compares like with like."""

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from polylore.cli.bench import bench
from polylore.errors import ConfigError
from polylore.studies.bench import train
from polylore.studies.bench.config import TrainBenchConfig

SMALL: dict[str, Any] = {"recipe": "smoke", "vocabulary": 60, "steps": 3, "rounds": 1, "stack": 2}


def test_every_way_trains() -> None:
    config = TrainBenchConfig(recipe="smoke", vocabulary=60, steps=3)
    written = train.written_loop(config)(30)
    assert written[0] == pytest.approx(np.log(60), abs=0.05)
    bare = train.bare_loop(config)(30)
    assert bare[0] == pytest.approx(written[0], abs=1e-4)  # the same batch, the same weights
    assert bare[16] < bare[0] - 0.1  # it is the first batch again
    again = train.written_loop(config)
    assert again(10) + again(20) == written


def test_what_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def side_by_side(work: Any, arguments: list[tuple[Any, ...]]) -> tuple[float, list[float]]:
        asked.append(len(arguments))
        return 1.0 if len(arguments) == 1 else 1.25, [work(lambda: None, *arguments[0])]

    monkeypatch.setattr(train, "side_by_side", side_by_side)
    done = CliRunner().invoke(bench, ["train", *(f"--{k}={v}" for k, v in SMALL.items()), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert asked == [1, 2]
    assert found["two_processes"] == pytest.approx(1.6)
    ways = {way["name"]: way for way in found["ways"]}
    assert list(ways) == [train.BARE, train.WRITTEN, train.POLYLORE, train.STACKED]
    assert ways[train.BARE]["ratio"] == 1
    assert ways[train.BARE]["largest_difference"] is None
    assert ways[train.WRITTEN]["largest_difference"] == 0
    for name in (train.POLYLORE, train.STACKED):
        assert ways[name]["largest_difference"] < 1e-4
    stacked = ways[train.STACKED]
    tokens = 3 * 128 * 4 * stacked["runs"]
    assert stacked["tokens_per_second"] == pytest.approx(tokens / stacked["seconds_of_rounds"][0])
    shown = CliRunner().invoke(bench, ["train", *(f"--{k}={v}" for k, v in SMALL.items())])
    assert shown.exit_code == 0, shown.output
    assert "Two processes train 1.60 times as many" in shown.output


def test_a_worker_reports_its_own_seconds() -> None:
    config = TrainBenchConfig(**SMALL)
    called: list[bool] = []
    assert train._worker(lambda: called.append(True), config) > 0
    assert called == [True]


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="no recipe huge"):
        TrainBenchConfig.parse({"recipe": "huge"})
