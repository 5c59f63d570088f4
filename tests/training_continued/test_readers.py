"""Held-out loss, adapters, and what readers are told."""

import copy

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_runs import BATCH, FORM, assert_same_run, make_config, make_rows, make_stream, weights
from transformers import AutoModelForCausalLM

from polylore.corpus.injection import Injector
from polylore.errors import ConfigError, RunError
from polylore.files import read_parquet
from polylore.tables.inject import PLAN
from polylore.training.continued.held_out import HeldOut
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.readers import at, every
from polylore.training.continued.streams import Injected, PackedRows


def failing_at(step):
    def fail(done, total, what):
        if done == step:
            raise InterruptedError

    return fail


def test_held_out_loss(folder, tmp_path):
    sets = {lang: PackedRows(make_rows(12, seed=n), 4, FORM) for n, lang in enumerate("ab", 7)}
    out = continue_training(
        folder, make_stream(), tmp_path / "one", make_config(), keep=[4],
        readers=[HeldOut(sets, every(4), tmp_path / "one.parquet")],
    )  # fmt: skip
    found = read_parquet(tmp_path / "one.parquet")
    assert found.select("t", "set").rows() == [(t, s) for t in (0, 4, 8, 12) for s in "ab"]
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "step-000004")
    rows = make_rows(12, seed=8)
    labels = torch.from_numpy(np.where(rows == 1, -100, rows))
    with torch.no_grad():
        expected = model(input_ids=torch.from_numpy(rows), labels=labels).loss.item()
    row = found.row(3, named=True)
    assert row["loss"] == pytest.approx(expected, abs=1e-5)
    assert row["n_tokens"] == int((labels[:, 1:] != -100).sum())
    # Interrupted, it writes the same table.
    reader = HeldOut(sets, every(4), tmp_path / "two.parquet")
    with pytest.raises(InterruptedError):
        continue_training(
            folder, make_stream(), tmp_path / "two", make_config(), readers=[reader], keep=[4],
            progress=failing_at(9),
        )  # fmt: skip
    assert reader.table().height == 6
    reader = HeldOut(sets, every(4), tmp_path / "two.parquet")
    continue_training(
        folder, make_stream(), tmp_path / "two", make_config(), readers=[reader], keep=[4]
    )
    assert read_parquet(tmp_path / "two.parquet").equals(found)
    assert_same_run(out, tmp_path / "two")


class LastLayer:
    """Trains a matrix that is added to the last layer's down projection, as LoRA does."""

    digest = "last layer"

    def adapt(self, model):
        for weight in model.parameters():
            weight.requires_grad_(False)
        down = model.model.layers[-1].mlp.down_proj
        a = torch.nn.Parameter(torch.randn(4, down.in_features) * 0.1)
        b = torch.nn.Parameter(torch.zeros(down.out_features, 4))
        down.register_parameter("lora_a", a)
        down.register_parameter("lora_b", b)
        plain = type(down).forward
        down.forward = lambda x: plain(down, x) + x @ a.T @ b.T
        return model

    def merged(self, model):
        down = model.model.layers[-1].mlp.down_proj
        with torch.no_grad():
            change = down.lora_b @ down.lora_a
        held = down.__dict__.pop("forward")
        try:
            whole = copy.deepcopy(model)
        finally:
            down.forward = held
        other = whole.model.layers[-1].mlp.down_proj
        del other.lora_a, other.lora_b
        with torch.no_grad():
            other.weight += change
        return whole


def test_adapters(folder, tmp_path):
    seen = []

    class Logits:
        due = staticmethod(at([12]))

        def read(self, moment):
            seen.append(moment.model(input_ids=torch.arange(2, 9)[None]).logits)

        def resume(self, t):
            pass

    out = continue_training(
        folder, make_stream(), tmp_path / "one", make_config(), adapt=LastLayer(), keep=[0, 5],
        readers=[Logits()],
    )  # fmt: skip
    state = load_file(out / "state" / "step-000012" / "state.safetensors")
    assert {name.split("/")[1].split(".")[-1] for name in state} == {"lora_a", "lora_b"}
    start, last = weights(out, 0), weights(out, 12)
    changed = [name for name in start if (start[name] != last[name]).any()]
    assert changed == ["model.layers.1.mlp.down_proj.weight"]
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "step-000012")
    with torch.no_grad():
        logits = model(input_ids=torch.arange(2, 9)[None]).logits
    torch.testing.assert_close(logits, seen[0], atol=1e-5, rtol=0)
    losses = read_updates(out)["loss"]
    assert losses.n_unique() == 12

    two = tmp_path / "two"
    with pytest.raises(InterruptedError):
        continue_training(
            folder, make_stream(), two, make_config(), adapt=LastLayer(), keep=[0, 5],
            progress=failing_at(7),
        )  # fmt: skip
    with pytest.raises(RunError, match="adapter: 'last layer' there, None here"):
        continue_training(folder, make_stream(), two, make_config())
    continue_training(folder, make_stream(), two, make_config(), adapt=LastLayer(), keep=[0, 5])
    assert_same_run(out, two)

    class Nothing(LastLayer):
        def adapt(self, model):
            return model.requires_grad_(False)

    with pytest.raises(ConfigError, match="leaves no weight to be trained"):
        continue_training(folder, make_stream(), tmp_path / "no", make_config(), adapt=Nothing())


def test_passages_are_learned_and_weights_count(folder, tmp_path):
    """Injected passages have their weight in the loss, over the number of labelled tokens."""
    passage = np.arange(20, 30)
    rows = [
        {
            "step": step,
            "row": row,
            "slot": 0,
            "item_id": "i",
            "passage_id": "p",
            "lang": "en",
            "exposure": step,
            "arm": "duplication",
            "mode": "prepend",
            "n_tokens": 10,
            "offset": 0,
            "loss_weight": 2.0,
        }
        for step in (1, 2, 3)
        for row in (1, 4)
    ]
    injector = Injector(PLAN.build(rows), {"p": passage}, FORM, BATCH, allow_dose=True)
    full = np.where(make_rows(24 * BATCH) == 1, 9, make_rows(24 * BATCH))  # no padding
    background = PackedRows(full, BATCH, FORM)
    stream = Injected(background, injector)
    read = []

    class Passage:
        due = staticmethod(every(1))

        def read(self, moment):
            ids = torch.from_numpy(passage)[None]
            read.append(moment.model(input_ids=ids, labels=ids).loss.item())

        def resume(self, t):
            pass

    config = make_config(updates=4)
    out = continue_training(folder, stream, tmp_path / "one", config, keep=[1], readers=[Passage()])
    assert read[2] < read[1] - 0.02
    assert read[4] < read[2]
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "step-000001")
    found = stream.rows(1, range(BATCH))
    ids = torch.from_numpy(found.tokens)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    weighted = (losses * torch.from_numpy(found.loss_weight)[:, 1:].flatten()).sum()
    assert read_updates(out)["loss"][1] == pytest.approx(weighted.item() / losses.numel(), abs=1e-5)
