"""Where training begins: weights, optimizers of our own and other people's, and learning rates."""

import os
import pickle
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import (
    BATCH,
    assert_same_weights,
    make_config,
    make_stream,
    weights,
)
from transformers import AutoModelForCausalLM, Trainer

from polylore.errors import ConfigError, ModelError
from polylore.files import read_json
from polylore.training.continued.config import RateConfig
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.rates import planned_steps, rate, resumed_rate
from polylore.training.continued.start import open_start


@pytest.fixture(scope="module")
def twelve(folder, tmp_path_factory):
    """Twelve updates at once."""
    out = tmp_path_factory.mktemp("twelve") / "run"
    return continue_training(folder, make_stream(), out, make_config())


@pytest.fixture(scope="module")
def six(folder, tmp_path_factory):
    """The first six of them, with the state of the optimizer."""
    out = tmp_path_factory.mktemp("six") / "run"
    return continue_training(folder, make_stream(), out, make_config(updates=6))


def second_half(start, out, **values):
    """Six updates more, on the rows that come next."""
    config = make_config(**{"updates": 6, "optimizer": "auto", "rate": {}} | values)
    return continue_training(start, make_stream(18, first=6 * BATCH), out, config)


def test_a_restored_optimizer_goes_on(six, twelve, tmp_path):
    for place, source in enumerate((six, six / "checkpoints" / "step-000006")):
        out = second_half(source, tmp_path / str(place))
        assert_same_weights(twelve, 12, out, 12)
        found = read_json(out / "manifest.json")["optimizer"]
        assert (found["mode"], found["made"], found["learning_rate"]) == ("restore", 6, 1e-2)
        late = read_updates(twelve).tail(6)
        assert read_updates(out)["loss"].to_list() == late["loss"].to_list()
        assert read_updates(out)["global_step"].to_list() == late["t"].to_list()
    fresh = second_half(six, tmp_path / "fresh", optimizer="fresh")
    late, other = weights(twelve, 12), weights(fresh, 12)
    assert any((late[name] != other[name]).any() for name in late)


def foreign(six, folder):
    """The moments of the first six updates by the names of weights, and the model."""
    state = load_file(six / "state" / "step-000006" / "state.safetensors")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return state, model


def by_number(state, names, groups):
    """What torch.save would write of an optimizer with such groups of weights."""
    order = [name for group in groups for name in group]
    moments = {
        n: {
            "step": torch.tensor(6.0),
            "exp_avg": state[f"exp_avg/{name}"],
            "exp_avg_sq": state[f"exp_avg_sq/{name}"],
        }
        for n, name in enumerate(order)
    }
    settings = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    said = [
        settings
        | {"params": [order.index(name) for name in group]}
        | ({"param_names": group} if names else {})
        for group in groups
    ]
    return {"state": moments, "param_groups": said}


@pytest.mark.parametrize("way", ["ours", "suffix", "flat", "trainer", "named", "in order"])
def test_other_peoples_optimizers(six, twelve, folder, tmp_path, way):
    state, model = foreign(six, folder)
    names = [name for name, _ in model.named_parameters()]
    file, rates = tmp_path / "optimizer.safetensors", {"rate": {"learning_rate": 1e-2}}
    moments = {key: value for key, value in state.items() if not key.startswith("weight/")}
    pairs = [(key.split("/", 1), value) for key, value in moments.items()]
    if way == "ours":
        save_file(moments | {"step": torch.tensor(6)}, file)
    elif way == "suffix":
        save_file({f"module.{n}.{m}": v for (m, n), v in pairs} | {"step": torch.tensor(6)}, file)
    elif way == "flat":
        steps = {f"state.{n}.step": torch.tensor(6.0) for n in names}
        save_file({f"state.{n}.{m}": v for (m, n), v in pairs} | steps, file)
    else:
        file, rates = tmp_path / "optimizer.pt", {}
        decaying = Trainer.get_decay_parameter_names(None, model)
        assert 0 < len(decaying) < len(names)
        groups = [decaying, [name for name in names if name not in decaying]]
        groups = {"trainer": groups, "named": [names[::-1]], "in order": [names]}[way]
        torch.save(by_number(state, way == "named", groups), file)
    checkpoint = tmp_path / "step-6"
    shutil.copytree(six / "checkpoints" / "step-000006", checkpoint)
    out = second_half(open_start(checkpoint, optimizer=file), tmp_path / "run", **rates)
    assert_same_weights(twelve, 12, out, 12)
    if way == "trainer":  # a Trainer leaves it in the checkpoint
        shutil.copyfile(file, checkpoint / "optimizer.pt")
        out = second_half(checkpoint, tmp_path / "beside")
        assert_same_weights(twelve, 12, out, 12)


class Evil:
    """Would run a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_optimizers_that_cannot_be_meant(six, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, model = foreign(six, folder)
    names = [name for name, _ in model.named_parameters()]
    checkpoint = six / "checkpoints" / "step-000006"

    def refused(message, file):
        with pytest.raises(ModelError, match=message):
            second_half(open_start(checkpoint, optimizer=file), tmp_path / "run")

    (tmp_path / "optimizer.pt").write_bytes(pickle.dumps({"state": Evil()}))
    refused("holds more than tensors", tmp_path / "optimizer.pt")
    assert not Path("evil").exists()
    torch.save(by_number(state, False, [names[1:]]), tmp_path / "few.pt")
    refused("in an order that is not that of this model", tmp_path / "few.pt")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    refused("cannot be read", tmp_path / "broken.safetensors")
    save_file({"exp_avg/x": torch.zeros(3)}, tmp_path / "other.safetensors")
    refused("lacks exp_avg/.*belongs to another model", tmp_path / "other.safetensors")
    wrong = {k: v for k, v in state.items() if not k.startswith("weight/")}
    wrong[f"exp_avg/{names[0]}"] = torch.zeros(3)
    save_file(wrong, tmp_path / "wrong.safetensors")
    refused("in another shape", tmp_path / "wrong.safetensors")
    with pytest.raises(ModelError, match="There is no optimizer state"):
        open_start(checkpoint, optimizer=tmp_path / "nothing.pt")


def test_a_burn_in_is_a_warm_up_on_the_background(folder, tmp_path):
    warm = make_config(updates=7, rate={"learning_rate": 1e-2, "warmup": 3})
    one = continue_training(folder, make_stream(), tmp_path / "one", warm, keep=[3])
    config = make_config(updates=4, optimizer="auto", burn_in=3)
    stream = make_stream(21, first=3 * BATCH)
    two = continue_training(folder, stream, tmp_path / "two", config, keep=[0])
    assert_same_weights(one, 3, two, 0)
    assert_same_weights(one, 7, two, 4)
    found = read_json(two / "manifest.json")["optimizer"]
    assert (found["mode"], found["made"]) == ("fresh_burn_in", 3)
    assert read_updates(two)["sum_lr"].to_list() == pytest.approx([0.01, 0.02, 0.03, 0.04])
    # Its moments have seen all seven updates.
    three = continue_training(
        two, make_stream(17, first=7 * BATCH), tmp_path / "three",
        make_config(updates=2, optimizer="restore"),
    )  # fmt: skip
    assert read_json(three / "manifest.json")["optimizer"]["made"] == 7


def test_a_model_of_the_hub(folder, tmp_path, monkeypatch):
    """From the hub library's own cache, with no network."""
    root, commit = tmp_path / "hub" / "models--lab--tiny", "0" * 40
    shutil.copytree(folder, root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    start = open_start("lab/tiny", cache_dir=str(tmp_path / "hub"))
    assert start.digest == open_start(folder).digest
    assert (start.step, start.optimizer) == (0, None)
    one = continue_training(start, make_stream(), tmp_path / "one", make_config(updates=2))
    two = continue_training(folder, make_stream(), tmp_path / "two", make_config(updates=2))
    assert_same_weights(one, 2, two, 2)
    with pytest.raises(ModelError, match="There is no folder"):
        open_start(tmp_path / "nothing")


def test_published_rates():
    """Golden numbers of the specification of `inject`, section 9.2."""
    linear = {
        40_000: (474_649, 2.7987859018117786e-4),
        113_000: (470_657, 2.3737880027573942e-4),
        339_000: (458_298, 1.0105802364007786e-4),
    }
    for step, (planned, expected) in linear.items():
        assert planned_steps(step) == planned
        assert resumed_rate(step, step, "linear") == pytest.approx(expected, rel=1e-12)
    mean = sum(resumed_rate(step, step, "linear") for step in linear) / 3
    assert mean == pytest.approx(2.061051380e-4, rel=1e-9)
    assert resumed_rate(40_000, 40_000, "cosine") == pytest.approx(3.976458e-4, rel=1e-6)
    assert resumed_rate(117_850, 117_850, "cosine") == pytest.approx(3.785129e-4, rel=1e-6)
    config = RateConfig(schedule="resume_formula")
    assert rate(1, 10, config, 0.0, 40_000) == resumed_rate(40_000, 40_000, "linear")
    fourfold = RateConfig(schedule="resume_formula", factor=4)
    assert rate(1, 10, fourfold, 0.0, 40_000) == pytest.approx(4 * 2.7987859018117786e-4)
    slope = rate(2, 10, config, 0.0, 40_000) - rate(1, 10, config, 0.0, 40_000)
    assert slope == pytest.approx(-2.7e-4 / (474_649 - 5000), rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 0.8, 0.6, 0.4, 0.2]),
        ("cosine", [0.5, 1, 0.8828427, 0.6, 0.3171573, 0.2]),
    ],
)
def test_rates(schedule, expected):
    config = RateConfig(schedule=schedule, warmup=2, final=0.2)
    assert [rate(t, 6, config, 1.0, 0) for t in range(1, 7)] == pytest.approx(expected)
    whole = RateConfig(schedule=schedule, final=0.2)
    assert rate(6, 6, whole, 1.0, 0) == pytest.approx(expected[-1])
    fourfold = config.model_copy(update={"factor": 4.0})
    assert [rate(t, 6, fourfold, 1.0, 0) for t in range(1, 7)] == pytest.approx(
        [4 * share for share in expected]
    )


def test_settings_that_cannot_be_meant(six, tmp_path):
    with pytest.raises(ConfigError, match="resume_formula gives the rate"):
        make_config(rate={"schedule": "resume_formula", "learning_rate": 0.1})
    with pytest.raises(ConfigError, match="optimizer"):
        make_config(optimizer="muon")
