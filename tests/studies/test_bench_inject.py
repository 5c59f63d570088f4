"""The benchmark of injection times the same step with and without it."""

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from polylore.cli.bench import bench
from polylore.errors import ConfigError
from polylore.studies.bench import inject
from polylore.studies.bench.config import InjectBenchConfig

SMALL: dict[str, Any] = {
    "width": 16,
    "layers": 1,
    "vocabulary": 64,
    "batch": 4,
    "length": 16,
    "share": 0.5,
    "steps": 2,
    "rounds": 1,
}


def test_passages_are_where_the_share_says() -> None:
    config = InjectBenchConfig(**SMALL)
    plain = inject._rows(config)
    injector = inject._injector(config, 0.5)
    for step in range(config.steps):
        found = injector.rows(step, range(4), plain.rows(step, range(4)).tokens)
        carries = (found.tokens[:, :8] == np.arange(2, 10)).all(axis=1)
        assert carries.tolist() == [True, True, False, False]
        assert (found.loss_weight == 0.5).sum() == 2 * 9


def test_what_is_reported() -> None:
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    done = CliRunner().invoke(bench, ["inject", *flags, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    ways = {way["name"]: way for way in found["ways"]}
    assert list(ways) == [inject.PLAIN, inject.INJECTED, inject.WEIGHTED, inject.ALONE]
    assert ways[inject.PLAIN]["ratio"] == 1
    assert 0 < ways[inject.ALONE]["milliseconds"] < ways[inject.INJECTED]["milliseconds"]
    assert found["injected_rows"] == 2
    shown = CliRunner().invoke(bench, ["inject", *flags])
    assert shown.exit_code == 0, shown.output
    assert "2 of them with a passage" in shown.output


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        InjectBenchConfig.parse({"width": 20})
