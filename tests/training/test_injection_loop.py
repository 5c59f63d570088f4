"""Passages in polylore's own loop: the right rows, the right loss, and an exact resume."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from polylore.corpus.injection import (
    STANDARD,
    Injector,
    dose,
    make_schedule,
    passage_tokens,
    place,
)
from polylore.errors import ConfigError, DataError, RunError
from polylore.tables.inject import ARMS, PASSAGES
from polylore.training.injection.loop import check_loop, encoder, loop_format
from polylore.training.loop import _Run, train
from polylore.training.model import batch_loss
from polylore.training.packing import open_packed
from polylore.training.tokenizer import open_tokenizer


@pytest.fixture(scope="module")
def made(trained, config):
    """Three items injected twice into the sequences of the trained run."""
    return injector(trained, config)


def injector(
    trained, config, *, weight=1.0, first=2, interval=9, batch=None, items=3, allow_dose=True
):
    tokenizer = open_tokenizer(trained / "tokenizer")
    names = [f"i{n}" for n in range(items)]
    passages = PASSAGES.build(
        [
            {
                "passage_id": name,
                "item_id": name,
                "lang": "en",
                "variant": 0,
                "kind": "original",
                "text": f"Velmora {name} lives in Quistan.",
                "probes_covered": [],
            }
            for name in names
        ]
    )
    arms = ARMS.build([{"item_id": n, "arm": "duplication", "inject_lang": "en"} for n in names])
    arm = STANDARD[0].model_copy(update={"n": 2, "interval": interval, "loss_weight": weight})
    tokens = passage_tokens(passages, encoder(tokenizer))
    form = loop_format(config.context, tokenizer)
    schedule = make_schedule(arms, passages, [arm], first=first)
    plan = place(schedule, passages, tokens, form, batch or config.batch_size)
    return Injector(plan, tokens, form, batch or config.batch_size, allow_dose=allow_dose)


def same_weights(one, two):
    names = sorted(path.name for path in (one / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (two / "checkpoints").iterdir())
    for name in names:
        a, b = (load_file(run / "checkpoints" / name / "model.safetensors") for run in (one, two))
        assert all(a[key].tobytes() == b[key].tobytes() for key in a), name


def failing_at(step):
    def fail(now, tokens, model):
        if now == step:
            raise InterruptedError

    return fail


def test_rows_of_two_processes_are_those_of_one(made, trained, config):
    packed = open_packed(trained / "data", config)
    changed = 0
    for step in range(1, packed.steps + 1):

        def rows(n, index, step=step):
            accelerator = SimpleNamespace(num_processes=n, process_index=index, device="cpu")
            run = SimpleNamespace(
                config=config, accelerator=accelerator, packed=packed, injector=made
            )
            return _Run._rows(run, step)[0]

        whole = rows(1, 0)
        assert torch.equal(whole, torch.cat([rows(2, 0), rows(2, 1)]))
        plain = torch.from_numpy(packed.batch(step))
        assert int((whole != packed.pad).sum()) == int((plain != packed.pad).sum())
        placed = made.plan.filter(step=step - 1)["row"].to_list()
        assert [r for r in range(len(whole)) if not torch.equal(whole[r], plain[r])] == sorted(
            placed
        )
        changed += len(placed)
    assert changed == made.plan.height == 6


def test_resume_in_the_middle_gives_the_same_weights(made, trained, corpus, config, tmp_path):
    whole = train(corpus.folder, tmp_path / "whole", config, injector=made)
    for step in (4, 12):
        with pytest.raises(InterruptedError):
            train(
                corpus.folder, tmp_path / "part", config, on_step=[failing_at(step)], injector=made
            )
    same_weights(whole, train(corpus.folder, tmp_path / "part", config, injector=made))
    assert pl.read_parquet(whole / "inject_plan.parquet").equals(made.plan)
    given = pl.read_parquet(whole / "inject_dose.parquet")
    assert given.drop("loss_share").equals(made.dose.drop("loss_share"))
    packed = open_packed(whole / "data", config)
    read = [int(np.diff(packed.tokens())[step]) for step in given["step"]]
    assert min(read) < config.batch_size * config.context  # some of it is padding
    assert given["loss_share"].to_list() == pytest.approx(
        (given["injected_tokens"] / pl.Series(read)).to_list()
    )
    first, plain = (
        load_file(run / "checkpoints" / "step-000003" / "model.safetensors")
        for run in (whole, trained)
    )
    assert any(first[key].tobytes() != plain[key].tobytes() for key in first)
    other = injector(trained, config, first=3)
    with pytest.raises(RunError, match="injection: '"):
        train(corpus.folder, whole, config, injector=other)
    with pytest.raises(RunError, match="injection: '"):
        train(corpus.folder, whole, config)


def test_plans_of_other_rows_are_refused(trained, corpus, config, tmp_path):
    with pytest.raises(ConfigError, match="made for 8 rows of RowFormat"):
        train(corpus.folder, tmp_path / "a", config, injector=injector(trained, config, batch=8))
    longer = config.model_copy(update={"context": 90})
    with pytest.raises(ConfigError, match="length=91"):
        train(corpus.folder, tmp_path / "b", config, injector=injector(trained, longer))
    late = injector(trained, config, interval=10_000)
    with pytest.raises(DataError, match="the run has"):
        train(corpus.folder, tmp_path / "c", config, injector=late)


def test_padding_does_not_hide_a_dose(trained, corpus, config, tmp_path, monkeypatch):
    """A cap between the share of whole rows and that of the tokens that are really predicted."""
    packed, loose = open_packed(trained / "data", config), injector(trained, config)
    true = check_loop(loose, packed, open_tokenizer(trained / "tokenizer"))["loss_share"].max()
    whole = loose.dose["injected_tokens"].max() / (config.batch_size * config.context)
    assert whole < true
    monkeypatch.setattr(dose, "MAX_ROW_SHARE", 1.0)
    monkeypatch.setattr(dose, "MAX_LOSS_SHARE", (whole + true) / 2)
    hidden = injector(trained, config, allow_dose=False)
    with pytest.raises(DataError, match=r"% of the loss weight injected, more than"):
        train(corpus.folder, tmp_path / "run", config, injector=hidden)


def test_weights_scale_the_loss_of_injected_tokens():
    class Uniform(torch.nn.Module):
        def forward(self, input_ids, use_cache):
            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 7))

    rows = torch.tensor([[1, 2, 3, 4, 0]])
    weights = torch.tensor([[9.0, 0.5, 0.5, 1.0, 9.0]])
    plain = batch_loss(Uniform(), rows, 0, torch.float32)
    weighted = batch_loss(Uniform(), rows, 0, torch.float32, weights)
    assert float(plain) == pytest.approx(3 * np.log(7))
    assert float(weighted) == pytest.approx(2 * np.log(7))
