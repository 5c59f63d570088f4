"""Exact resume: interrupted or not, the same weights bit by bit and the same log row by row."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from safetensors.numpy import load_file

from polylore.errors import RunError
from polylore.training.loop import train


def assert_same_run(one: Path, two: Path) -> None:
    names = sorted(path.name for path in (one / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (two / "checkpoints").iterdir())
    for name in names:
        a, b = (load_file(run / "checkpoints" / name / "model.safetensors") for run in (one, two))
        assert a.keys() == b.keys()
        assert all(a[key].tobytes() == b[key].tobytes() for key in a), name
    for table in ("train_log", "consumed", "exposure"):
        a, b = (pl.read_parquet(run / f"{table}.parquet") for run in (one, two))
        assert a.equals(b), table
    steps = [pl.read_parquet(run / "speed.parquet")["step"] for run in (one, two)]
    assert steps[0].equals(steps[1])


def failing_at(step: int):
    def fail(now, tokens, model):
        if now == step:
            raise InterruptedError

    return fail


def test_same_configuration_same_weights(corpus, trained, config, tmp_path):
    assert_same_run(trained, train(corpus.folder, tmp_path / "again", config))


@pytest.mark.parametrize("steps", [(1,), (10, 11, 12, 25), (21, 22)])
def test_resume_after_exceptions(corpus, trained, config, tmp_path, steps):
    out = tmp_path / "run"
    for step in steps:
        with pytest.raises(InterruptedError):
            train(corpus.folder, out, config, on_step=[failing_at(step)])
    assert_same_run(trained, train(corpus.folder, out, config))
    assert not list(out.rglob(".tmp-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_finish_the_step_and_save(corpus, trained, config, tmp_path, number):
    out = tmp_path / "run"
    seen = []

    def interrupt(step, tokens, model):
        seen.append(step)
        if step == 13:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(corpus.folder, out, config, on_step=[interrupt])
    assert signal.getsignal(number) is before
    assert seen[-1] == 13
    assert (out / "state" / "step-000013").is_dir()
    later = []
    train(corpus.folder, out, config, on_step=[lambda step, *_: later.append(step)])
    assert later[0] == 14
    assert_same_run(trained, out)


SCRIPT = """
import json, sys
from polylore.training.config import TrainConfig
from polylore.training.loop import train
train(sys.argv[1], sys.argv[2], TrainConfig.parse(json.loads(sys.argv[3])))
"""


def test_resume_after_kill(corpus, trained, config, tmp_path):
    """SIGKILL at a random moment in another process, then to the end in this one."""
    out = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(corpus.folder), str(out), config.model_dump_json()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(out.glob("state/step-*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(time.time_ns()).uniform(0, 0.8))
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert_same_run(trained, train(corpus.folder, out, config))


def interrupted(corpus, config, out: Path) -> list[Path]:
    with pytest.raises(InterruptedError):
        train(corpus.folder, out, config, on_step=[failing_at(25)])
    states = sorted((out / "state").iterdir())
    assert len(states) == 2
    return states


@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "train_log.parquet"])
def test_damaged_state_falls_back_to_the_one_before(corpus, trained, config, tmp_path, file):
    out = tmp_path / "run"
    newest = interrupted(corpus, config, out)[-1]
    (newest / file).write_bytes((newest / file).read_bytes()[:-7])
    with pytest.warns(UserWarning, match=r"is damaged .* An older one is used"):
        train(corpus.folder, out, config)
    assert_same_run(trained, out)


def test_all_states_damaged(corpus, config, tmp_path):
    out = tmp_path / "run"
    for state in interrupted(corpus, config, out):
        (state / "state.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"Every state in .* is damaged"):
        train(corpus.folder, out, config)
