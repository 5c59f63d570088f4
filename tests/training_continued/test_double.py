"""Training in float64: nothing is rounded to float32 on the way, and resumes are exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_runs import Sums, assert_same_run, make_config, make_stream, weights

from polylore.errors import ConfigError
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.settings import weights_format


def run(folder, out, *, stream=None, **values):
    reader = Sums(out.with_suffix(".json"))
    config = make_config(**values)
    continue_training(folder, stream or make_stream(), out, config, readers=[reader])
    return out, np.array(reader.found)


class Weighted:
    """The same rows, some of whose tokens weigh less."""

    def __init__(self):
        self.stream = make_stream()
        self.form, self.batch_size = self.stream.form, self.stream.batch_size
        self.steps, self.before = self.stream.steps, self.stream.before
        self.digest = "weighted"

    def rows(self, step, rows):
        found = self.stream.rows(step, rows)
        weight = found.loss_weight.copy()
        weight[found.rows % 2 == 0, :5] = 0.25
        return replace(found, loss_weight=weight)


@pytest.mark.parametrize("stream", [make_stream, Weighted])
def test_parts_of_a_step_are_the_step_to_the_last_digits(folder, tmp_path, stream):
    made = {
        (precision, parts): run(
            folder, tmp_path / f"{precision}-{parts}", stream=stream(), precision=precision,
            execution={"per_device": 8 // parts},
        )
        for precision in ("float32", "float64")
        for parts in (1, 4)
    }  # fmt: skip
    apart = {}
    for precision in ("float32", "float64"):
        (one, reads), (two, again) = (made[precision, parts] for parts in (1, 4))
        losses = [read_updates(out)["loss"].to_numpy() for out in (one, two)]
        assert np.abs(losses[0] - losses[1]).max() < (1e-13 if precision == "float64" else 1e-5)
        apart[precision] = np.abs(reads - again).max()
    # What float32 rounds is there, and it is gone in float64: only the format differs.
    assert 1e-8 < apart["float32"] < 1e-4
    assert apart["float64"] < 1e-12
    single, double = (made[precision, 1][1] for precision in ("float32", "float64"))
    np.testing.assert_allclose(single, double, atol=1e-4)
    assert (single != double).any()


def test_a_killed_run_ends_the_same_bit_by_bit(folder, tmp_path):
    whole, _ = run(folder, tmp_path / "whole", precision="float64")

    def fail(done, total, what):
        if done == 8:
            raise InterruptedError

    config = make_config(precision="float64")
    with pytest.raises(InterruptedError):
        continue_training(folder, make_stream(), tmp_path / "again", config, progress=fail)
    continue_training(folder, make_stream(), tmp_path / "again", config)
    assert_same_run(whole, tmp_path / "again")
    state = load_file(whole / "state" / "step-000012" / "state.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {np.dtype(np.float64)}


def test_an_optimizer_in_float32_goes_on_in_float64(folder, tmp_path):
    first, _ = run(folder, tmp_path / "first", updates=6)
    rest = {"updates": 6, "optimizer": "restore", "rate": {}}
    ends = [
        run(first, tmp_path / name, stream=make_stream(18, first=48), precision=name, **rest)[0]
        for name in ("float32", "float64")
    ]
    state = load_file(ends[1] / "state" / "step-000006" / "state.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {np.dtype(np.float64)}
    single, double = (weights(end, 12) for end in ends)
    for name in single:
        np.testing.assert_allclose(single[name], double[name], atol=1e-4)


def test_a_device_without_float64_is_refused():
    mps, config = torch.device("mps"), make_config(precision="float64")
    with pytest.raises(ConfigError, match="mps does not calculate in float64; set precision to"):
        weights_format(config, mps)
    assert weights_format(config, torch.device("cpu")) == "float64"
    for name in ("auto", "float32", "bfloat16"):
        assert weights_format(make_config(precision=name), mps) == "float32"
