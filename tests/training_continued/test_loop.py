"""Continued training: what an update is, exact resumes, readers, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_runs import BATCH, assert_same_run, make_config, make_folder, make_stream, weights
from transformers import AutoModelForCausalLM

from polylore.corpus.injection import RowFormat
from polylore.errors import ConfigError, DataError, ModelError, RunError
from polylore.files import read_json
from polylore.training.continued import update
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.readers import at
from polylore.training.continued.streams import PackedRows
from polylore.training.continued.update import Diverged


def test_updates_are_those_of_the_recipe_as_one_writes_it_down(folder, tmp_path):
    stream, config = make_stream(), make_config(updates=4, execution={"update_norm_every": 2})
    out = continue_training(folder, stream, tmp_path / "run", config, keep=[0, 2])

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    found = read_updates(out)
    assert found["t"].to_list() == [1, 2, 3, 4]
    for row in found.iter_rows(named=True):
        rows = stream.rows(row["t"] - 1, range(BATCH))
        labels = torch.from_numpy(rows.labels)
        loss = model(input_ids=torch.from_numpy(rows.tokens), labels=labels).loss
        assert row["loss"] == pytest.approx(loss.item(), abs=1e-6)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.step()
        moved = (
            sum(((a - b) ** 2).sum() for a, b in zip(model.parameters(), before, strict=True))
            ** 0.5
        )
        if row["t"] % 2:
            assert row["update_norm"] is None
        else:
            assert row["update_norm"] == pytest.approx(moved.item(), rel=1e-4)
    for name, tensor in model.state_dict().items():
        if name in (last := weights(out, 4)):
            np.testing.assert_allclose(last[name], tensor.detach().numpy(), atol=1e-6)
    assert found["sum_lr"].to_list() == pytest.approx([0.01, 0.02, 0.03, 0.04])
    labelled = sum(
        int((stream.rows(k, range(BATCH)).labels[:, 1:] != -100).sum()) for k in range(4)
    )
    assert found["loss_tokens"][-1] == labelled
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == [
        "step-000000",
        "step-000002",
        "step-000004",
    ]


class Watcher:
    """A reader that notes every state and what the model says of a row."""

    def __init__(self, due=lambda t: True, *, disturb=True, ends=None):
        self.due, self.disturb, self.ends = due, disturb, ends
        self.rows, self.resumed = [], []

    def read(self, moment):
        assert not moment.model.training
        assert not torch.is_grad_enabled()
        if self.disturb:
            torch.rand(3)
            np.random.rand(2)
            moment.model.config.pad_token_id = 7
        logits = moment.model(input_ids=torch.arange(2, 9)[None]).logits
        self.rows.append((moment.t, moment.tokens, logits.sum().item()))
        return moment.t == self.ends

    def resume(self, t):
        self.resumed.append(t)
        self.rows = [row for row in self.rows if row[0] <= t]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted, of a model with dropout, and what was read of it."""
    folder = make_folder(tmp_path_factory.mktemp("dropout") / "tiny", dropout=0.2)
    watcher = Watcher()
    config = make_config(rate={"learning_rate": 1e-2, "schedule": "cosine", "warmup": 3})
    out = tmp_path_factory.mktemp("whole") / "run"
    continue_training(folder, make_stream(), out, config, readers=[watcher], keep=[4, 7])
    return folder, config, out, watcher


def test_reading_changes_nothing(whole, tmp_path):
    folder, config, out, watcher = whole
    assert [row[0] for row in watcher.rows] == list(range(13))
    assert watcher.resumed == [-1]
    plain = continue_training(folder, make_stream(), tmp_path / "run", config, keep=[4, 7])
    assert_same_run(out, plain)


def failing_at(step):
    def fail(done, total, what):
        if what == "training" and done == step:
            raise InterruptedError

    return fail


@pytest.mark.parametrize("steps", [(1,), (5, 6, 11), (10,)])
def test_resume_after_exceptions(whole, tmp_path, steps):
    folder, config, out, watcher = whole
    again = Watcher()
    for step in steps:
        with pytest.raises(InterruptedError):
            continue_training(
                folder, make_stream(), tmp_path / "run", config,
                readers=[again], keep=[4, 7], progress=failing_at(step),
            )  # fmt: skip
    continue_training(folder, make_stream(), tmp_path / "run", config, readers=[again], keep=[4, 7])
    assert_same_run(out, tmp_path / "run")
    assert again.rows == watcher.rows
    assert len(again.resumed) == len(steps) + 1
    assert not list(tmp_path.rglob(".tmp-*"))
    before = list(again.resumed)
    continue_training(folder, make_stream(), tmp_path / "run", config, readers=[again])
    assert again.resumed == before  # a finished run is left as it is


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_signals_finish_the_update_and_save(whole, tmp_path, name):
    folder, config, out, _ = whole
    out_two, seen = tmp_path / "run", []

    def interrupt(done, total, what):
        seen.append(done)
        if done == 3:
            os.kill(os.getpid(), name)

    with pytest.raises(KeyboardInterrupt):
        continue_training(folder, make_stream(), out_two, config, keep=[4, 7], progress=interrupt)
    assert seen[-1] == 3
    assert (out_two / "state" / "step-000004").is_dir()
    continue_training(folder, make_stream(), out_two, config, keep=[4, 7])
    assert_same_run(out, out_two)


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from small_runs import make_stream
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.loop import continue_training
config = ContinueConfig.parse(json.loads(sys.argv[4]))
continue_training(sys.argv[2], make_stream(), sys.argv[3], config, keep=[4, 7])
"""


def test_resume_after_kill(whole, tmp_path):
    """SIGKILL at some moment of training in another process, then to the end in this one."""
    folder, config, out, _ = whole
    here = str(Path(__file__).parent)
    words = [here, str(folder), str(tmp_path / "run"), config.model_dump_json()]
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *words], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/state/step-*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    continue_training(folder, make_stream(), tmp_path / "run", config, keep=[4, 7])
    assert_same_run(out, tmp_path / "run")


def test_a_reader_ends_training(folder, tmp_path):
    watcher = Watcher(at([0, 3, 6, 9]), ends=6)
    out = continue_training(
        folder, make_stream(), tmp_path / "run", make_config(), readers=[watcher]
    )
    assert [row[0] for row in watcher.rows] == [0, 3, 6]
    assert read_updates(out)["t"].to_list() == [1, 2, 3, 4, 5, 6]
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step-000006"]
    manifest = read_json(out / "manifest.json")
    assert (manifest["finished"], manifest["last"], manifest["ended"]) == (True, 6, 6)
    # Killed right after that, the run ends there as well.
    Path(out / "manifest.json").write_text(json.dumps(manifest | {"finished": False}))
    continue_training(folder, make_stream(), out, make_config(), readers=[watcher])
    assert read_updates(out).height == 6


def test_no_update_leaves_the_weights_as_they_are(folder, tmp_path):
    out = continue_training(folder, make_stream(), tmp_path / "run", make_config(updates=0))
    start = load_file(folder / "model.safetensors")
    last = weights(out, 0)
    assert all(last[name].tobytes() == tensor.tobytes() for name, tensor in start.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": make_config(seed=1)}, r"config.seed: 0 there, 1 here"),
        ({"stream": make_stream(seed=1)}, "stream: "),
        ({"start": 1}, "start.weights: "),
    ],
)
def test_another_run_is_refused(folder, tmp_path, change, message):
    usual = {"start": folder, "stream": make_stream(), "config": make_config()}
    with pytest.raises(InterruptedError):
        continue_training(**usual, out=tmp_path / "run", progress=failing_at(6))
    if "start" in change:
        change = {"start": make_folder(tmp_path / "other", seed=1)}
    with pytest.raises(RunError, match=message):
        continue_training(**usual | change, out=tmp_path / "run")


def test_speed_settings_may_change(folder, tmp_path):
    with pytest.raises(InterruptedError):
        continue_training(
            folder, make_stream(), tmp_path / "run", make_config(), progress=failing_at(6)
        )
    other = make_config(execution={"per_device": 2, "state_every": 1})
    out = continue_training(folder, make_stream(), tmp_path / "run", other)
    assert read_updates(out).height == 12


class Broken:
    """A stream with something wrong from step 2 on."""

    def __init__(self, how):
        self.inner, self.how = make_stream(), how
        self.batch_size, self.form = self.inner.batch_size, self.inner.form
        self.steps, self.before, self.digest = 24, 0, how

    def rows(self, step, rows):
        found = self.inner.rows(step, rows)
        if step < 2:
            return found
        if self.how == "shuffled":
            return self.inner.rows(step, np.random.default_rng(step).integers(0, BATCH, len(rows)))
        if self.how == "restarted":
            return self.inner.rows(step - 2, rows)
        if self.how == "cut":
            return replace(found, tokens=found.tokens[:, :-1])
        if self.how == "foreign":
            return replace(found, tokens=found.tokens + 1000)
        return replace(found, labels=np.full_like(found.labels, -100))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("shuffled", RunError, "Step 2 should read each of its 8 rows once"),
        ("restarted", RunError, "read rows of step 0"),
        ("cut", DataError, r"rows of the shape \(8, 16\) in step 2"),
        ("foreign", DataError, "the model knows 60"),
        ("unlabelled", DataError, "No token of step 2 is labelled"),
    ],
)
def test_bad_streams_are_caught_before_the_update(folder, tmp_path, how, error, message):
    config = make_config(execution={"state_every": 1})
    with pytest.raises(error, match=message):
        continue_training(folder, Broken(how), tmp_path / "run", config)
    assert read_updates(tmp_path / "run").height == 2


def test_a_loss_that_is_no_number_stops_the_run(folder, tmp_path):
    config = make_config(rate={"learning_rate": 1e30})
    with pytest.raises(Diverged, match=r"of update \d+ is .*, so training stopped before it"):
        continue_training(folder, make_stream(), tmp_path / "run", config)
    done = read_updates(tmp_path / "run").height
    assert 1 <= done < 12
    assert (tmp_path / "run" / "checkpoints" / f"step-{done:06d}").is_dir()
    assert (tmp_path / "run" / "state" / f"step-{done:06d}").is_dir()


def test_fewer_rows_at_once_when_memory_runs_out(folder, tmp_path, monkeypatch):
    asked, real = [], update.labelled_loss

    def small(call, tokens, *others, **options):
        asked.append(len(tokens))
        if len(tokens) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(call, tokens, *others, **options)

    usual = continue_training(folder, make_stream(), tmp_path / "one", make_config(updates=3))
    monkeypatch.setattr(update, "labelled_loss", small)
    with pytest.warns(UserWarning, match="Memory ran out with"):
        out = continue_training(folder, make_stream(), tmp_path / "two", make_config(updates=3))
    assert asked == [8, 4, *[2] * 12]
    one, two = (read_updates(run)["loss"].to_numpy() for run in (usual, out))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_half_precision_keeps_weights_whole(folder, tmp_path):
    runs = [
        continue_training(
            folder, make_stream(), tmp_path / name, make_config(updates=2, precision=name)
        )
        for name in ("float32", "bfloat16")
    ]
    one, two = (read_updates(run)["loss"].to_numpy() for run in runs)
    assert (one != two).any()
    np.testing.assert_allclose(one, two, atol=0.02)
    state = load_file(runs[1] / "state" / "step-000002" / "state.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {np.dtype(np.float32)}


def test_what_cannot_be_meant(folder, tmp_path):
    def fails(message, error=ConfigError, **values):
        stream = values.pop("stream", make_stream())
        with pytest.raises(error, match=message):
            continue_training(folder, stream, tmp_path / "run", make_config(**values))

    fails("25 updates need more than the 24 steps", updates=25)
    fails("cannot be divided into parts of 3 rows on 1 processes", execution={"per_device": 3})
    fails("was trained is unknown; give rate.learning_rate", rate={})
    fails("has no optimizer state", ModelError, optimizer="restore")
    fails("A burn-in of 100 updates needs as many steps before", optimizer="auto")
    long = RowFormat(40, eos=0)
    fails("40 tokens are longer", stream=PackedRows(np.full((96, 40), 5), BATCH, long))
