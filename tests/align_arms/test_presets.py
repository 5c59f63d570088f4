"""The built-in runs are configurations that fit together (`align`, 9.6)."""

import pytest

from polylore.cli.options import read_config
from polylore.errors import ConfigError
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.tree import grow
from polylore.studies.built_in import ALIGN_RUNS


@pytest.mark.parametrize("name", [name for name, _ in ALIGN_RUNS.purposes()])
def test_built_in_runs_have_every_kind_of_arm(name: str) -> None:
    for study in (name, f"presets/{name}.yaml"):
        config = read_config(ArmsConfig, ALIGN_RUNS.file(study), (), {})
        assert config.data.world is not None
        targets = [target.lang for target in config.data.world.targets]
        nodes = grow(config, config.data.world.source, targets)
        kinds = {node.kind for node in nodes}
        assert kinds == {"none", "mix", "cpt", "itune", "inject"}
        assert any(">" in node.name for node in nodes)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="align_cpu, align_cpu_tiny"):
        ALIGN_RUNS.file("align_gpu")
    assert ALIGN_RUNS.file("my.yaml") == "my.yaml"


def test_spread_weights_cannot_wait_for_a_gate(small, tmp_path) -> None:
    from polylore.studies.align.arms import study

    arm = {"name": "inj", "kind": "inject", "targets": "qab"}
    config = small(arms=[arm], execution={"shard": True})
    with pytest.raises(ConfigError, match="give the arm updates or epochs"):
        study.plan(study.prepare(config, tmp_path / "run"))
