"""Choices by measurement, and what happens where they cannot be made."""

import copy

import pytest
import torch

from polylore.errors import ConfigError
from polylore.training import machine, precision
from polylore.training.model import new_model
from polylore.training.packing import open_packed
from polylore.training.tokenizer import open_tokenizer


@pytest.fixture
def job(trained, config):
    """Model, batch and id of padding."""
    packed = open_packed(trained / "data", config)
    model = new_model(config, open_tokenizer(trained / "tokenizer"))
    return model, torch.from_numpy(packed.batch(1)), packed.pad


def choose(job, config, steps=10, **changes):
    return precision.choose(*job, steps, config.model_copy(update=changes))


def test_nothing_to_choose(job, config):
    choice = choose(job, config)
    assert (choice.dtype, choice.attention, choice.compiled) == ("bfloat16", "eager", False)
    assert (choice.threads, choice.milliseconds) == (1, {})


def test_fastest_is_taken(job, config, monkeypatch):
    speed = {"float32": 3.0, "bfloat16": 4.0, "eager": 0.5, "sdpa": 0.1, 1: 0.0, 8: 0.9}

    def timed(model, rows, pad, candidate, call):
        return speed[candidate.dtype] + speed[candidate.attention] + speed[candidate.threads]

    monkeypatch.setattr(precision, "_time", timed)
    monkeypatch.setattr(machine, "thread_choices", lambda device: [1, 8])
    choice = choose(job, config, precision="auto", attention="auto", threads=None)
    assert (choice.dtype, choice.attention, choice.threads) == ("float32", "sdpa", 1)
    assert choice.milliseconds["float32-eager-threads8"] == 4400
    assert choice.note == "fastest of 4"


def test_hopeless_candidates_are_timed_once(job, config, monkeypatch):
    calls = []

    def timed(model, rows, pad, candidate, call):
        calls.append(candidate.dtype)
        return {"float32": 1.0, "bfloat16": 5.0}[candidate.dtype]

    monkeypatch.setattr(precision, "_time", timed)
    choice = choose(job, config, precision="auto")
    assert choice.dtype == "float32"
    assert (calls.count("bfloat16"), calls.count("float32")) == (1, 5)


def test_measuring_changes_no_weight_and_leaves_no_gradient(job, config):
    before = copy.deepcopy(job[0].state_dict())
    choose(job, config, precision="auto", attention="auto", threads=1)
    after = job[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in job[0].parameters())


def test_short_jobs_are_not_compiled(job, config, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: pytest.fail("compiled"))
    choice = choose(job, config, compile="auto")
    assert not choice.compiled
    assert "not compiled, since the job was predicted to take" in choice.note


def test_long_jobs_try_compiling_and_keep_it_if_faster(job, config, monkeypatch):
    monkeypatch.setattr(precision, "LONG_JOB", 1.0)
    monkeypatch.setattr(torch, "compile", lambda model: model)
    for ratio, expected in ((0.5, True), (2.0, False)):
        times = {True: ratio, False: 1.0}
        monkeypatch.setattr(precision, "_time", lambda *job, t=times: t[job[3].compiled])
        assert choose(job, config, compile="auto").compiled is expected


def test_a_machine_without_compiler(job, config, monkeypatch):
    def fail(model):
        raise RuntimeError("no C++ compiler\nlong story")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr(precision, "LONG_JOB", 0.0)
    choice = choose(job, config, compile="auto")
    assert not choice.compiled
    assert "compiling failed (RuntimeError)" in choice.note
    with pytest.raises(ConfigError, match=r"compile is 'always', .* no C\+\+ compiler"):
        choose(job, config, compile="always")


def test_equal_seeds_give_equal_models(trained, config):
    tokenizer = open_tokenizer(trained / "tokenizer")
    models = [
        new_model(config.model_copy(update={"seed": seed}), tokenizer).lm_head.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert machine.keep_large_blocks() is False
