"""Several processes, several parts, weights in one place or spread: the same training."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_runs import Sums, make_config, make_stream, weights

from polylore.training.continued.loop import continue_training, read_updates

SCRIPT = Path(__file__).parent / "two_processes.py"
WAYS = {
    "copies": {"updates": 6},
    "parts": {"updates": 6, "execution": {"per_device": 1, "update_norm_every": 1}},
    "spread": {
        "updates": 6,
        "execution": {"shard": True, "per_device": 2, "update_norm_every": 1},
    },
}
DOUBLE = {f"{name} in double": values | {"precision": "float64"} for name, values in WAYS.items()}


@pytest.fixture(scope="module")
def two_processes(run_two, folder):
    """Train in all these ways with two processes."""

    def run(out: Path, ways: dict, **environment: str) -> None:
        words = ["2", str(out / "store"), str(folder), str(out), json.dumps(ways)]
        run_two(SCRIPT, lambda rank: [str(rank), *words], **environment)

    return run


@pytest.fixture(scope="module")
def runs(folder, two_processes, tmp_path_factory):
    """The run of one process, and those of two."""
    out = tmp_path_factory.mktemp("runs")
    values = WAYS["parts"] | {"execution": {"update_norm_every": 1}}
    reader = Sums(out / "alone.json")
    continue_training(folder, make_stream(), out / "alone", make_config(**values), readers=[reader])
    reader, config = Sums(out / "double.json"), make_config(**values, precision="float64")
    continue_training(folder, make_stream(), out / "double", config, readers=[reader])
    two_processes(out, WAYS | DOUBLE)
    return out


@pytest.mark.parametrize("way", list(WAYS))
def test_two_processes_are_one(runs, way):
    one, two = read_updates(runs / "alone"), read_updates(runs / way)
    for column in ("tokens", "loss_tokens", "lr"):
        assert one[column].equals(two[column])
    np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-5)
    np.testing.assert_allclose(one["grad_norm"], two["grad_norm"], rtol=1e-4)
    if way != "copies":
        np.testing.assert_allclose(one["update_norm"], two["update_norm"], rtol=1e-3)
    readings = [json.loads((runs / f"{name}.json").read_text()) for name in ("alone", way)]
    np.testing.assert_allclose(*readings, atol=1e-5)
    assert len(readings[0]) == 3
    a, b = weights(runs / "alone", 6), weights(runs / way, 6)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-3)


@pytest.mark.parametrize("way", list(DOUBLE))
def test_in_float64_two_processes_are_one_to_the_last_digits(runs, way):
    one, two = read_updates(runs / "double"), read_updates(runs / way)
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=0, atol=1e-13)
    np.testing.assert_allclose(one["grad_norm"], two["grad_norm"], rtol=1e-12)
    readings = [json.loads((runs / f"{name}.json").read_text()) for name in ("double", way)]
    np.testing.assert_allclose(*readings, rtol=0, atol=1e-12)
    a, b = weights(runs / "double", 6), weights(runs / way, 6)
    for name in a:
        assert a[name].dtype == b[name].dtype == np.float64
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-11)


def test_accumulation_changes_nothing(runs, folder, tmp_path):
    config = make_config(updates=6, execution={"per_device": 2})
    out = continue_training(folder, make_stream(), tmp_path / "run", config)
    one, two = read_updates(runs / "alone"), read_updates(out)
    np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-5)
    assert one["loss_tokens"].equals(two["loss_tokens"])


def test_processes_wait_for_one_that_reads_longer_than_an_exchange_may_take(
    two_processes, tmp_path
):
    # An exchange may take 8 seconds, and the first process reads alone for 10.
    two_processes(tmp_path, {"run": {"updates": 3}}, TIMEOUT="8", SLOW="10")
    assert read_updates(tmp_path / "run").height == 3
