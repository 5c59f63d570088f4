"""Passages in the Hugging Face Trainer: the same rows, and a guard that stops on others."""

import numpy as np
import pytest
import torch
from trainer_runs import (
    BACKGROUND,
    BATCH,
    LENGTH,
    TOKENS,
    VOCAB,
    InOrder,
    Run,
    expected,
    injector,
)

from polylore.corpus.injection import Injector, RowFormat, dose
from polylore.errors import ConfigError, DataError, RunError
from polylore.training.injection.trainer import InjectedDataset, InjectedRows, InjectionGuard


def test_the_same_rows_for_any_accumulation(tmp_path):
    made = injector()
    whole = Run(tmp_path / "1", made).train()
    parts = Run(tmp_path / "4", made, per_device=1).train()
    mapped = Run(tmp_path / "map", made, kind=InjectedDataset, trainer=InOrder).train()
    for run in (whole, parts, mapped):
        assert run.seen == expected(made)
    assert torch.allclose(whole.weights(), parts.weights(), atol=1e-5)
    assert torch.equal(whole.weights(), mapped.weights())


def test_resume_reads_on_and_ends_the_same(tmp_path):
    made = injector()
    options = {"kind": InjectedDataset, "trainer": InOrder}
    whole = Run(tmp_path / "whole", made, **options).train()
    saved = {"save_strategy": "steps", "save_steps": 2, "logging_steps": 1}
    Run(tmp_path / "part", made, **options, **saved).train()
    again = Run(tmp_path / "part", made, **options, **saved)
    again.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    assert again.seen == [row for row in expected(made) if row[0] >= 2]
    assert torch.allclose(again.weights(), whole.weights(), atol=1e-6)
    restarted = Run(tmp_path / "part", made, **options, **saved, ignore_data_skip=True)
    with pytest.raises(RunError, match=r"Step 2 should read .* read rows of step 0"):
        restarted.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))


def test_shuffled_rows_stop_before_the_update(tmp_path):
    run = Run(tmp_path, injector(), kind=InjectedDataset)
    before = run.weights().clone()
    with pytest.raises(RunError, match="the data are shuffled"):
        run.train()
    assert torch.equal(run.weights(), before)


def test_another_batch_size_is_refused(tmp_path):
    run = Run(tmp_path, injector(), gradient_accumulation_steps=2)
    with pytest.raises(ConfigError, match="4 rows per device x 1 processes x 2"):
        run.train()
    assert run.seen == []
    with pytest.raises(ConfigError, match="9 steps of 4 rows need more than the 20 rows"):
        InjectedDataset(BACKGROUND, injector(), steps=9)


def test_a_dose_that_padding_hides_is_refused_before_training(monkeypatch):
    form = RowFormat(LENGTH, 0, pad=VOCAB)
    rows = np.where(np.arange(LENGTH) < 9, BACKGROUND, VOCAB)
    plan = injector().plan
    allowed = Injector(plan, TOKENS, form, BATCH, allow_dose=True)
    read = InjectedDataset(rows, allowed)
    # Passages have 4 and 3 tokens with their boundary, of which one opens the row.
    shares = {0: 3 / 32, 2: (3 + 2) / 32, 4: 2 / 32}
    assert dict(read.dose.select("step", "loss_share").iter_rows()) == pytest.approx(shares)
    monkeypatch.setattr(dose, "MAX_ROW_SHARE", 1.0)
    monkeypatch.setattr(dose, "MAX_LOSS_SHARE", 0.14)
    hidden = Injector(plan, TOKENS, form, BATCH)
    with pytest.raises(DataError, match=r"Step 2 would have 15\.62% of the loss weight injected"):
        InjectedDataset(rows, hidden)
    with pytest.raises(DataError, match=r"Rows of step 0 have the shape \(1, 11\)"):
        InjectedRows(rows[:, :-1], allowed)
    short = np.where(np.arange(LENGTH) < 3, BACKGROUND, VOCAB)
    with pytest.raises(DataError, match=r"4 tokens with its boundaries, but the row holds 3"):
        InjectedDataset(short, allowed)


def test_weighted_losses(tmp_path):
    made = injector(weight=0.25)
    guard = InjectionGuard(made)
    assert InjectionGuard(injector()).loss_function is None
    run = Run(tmp_path / "weighted", made, per_device=2).train()
    plain = Run(tmp_path / "plain", injector()).train()
    assert run.seen == plain.seen
    assert not torch.allclose(run.weights(), plain.weights(), atol=1e-5)
    labels = torch.randint(1, VOCAB, (2, LENGTH))
    logits = torch.randn(2, LENGTH, VOCAB)
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none"
    )
    found = guard._loss({"logits": logits}, labels)
    assert float(found) == pytest.approx(float(losses.mean()))
    weights = torch.rand(2, LENGTH)
    guard._weights = weights
    found = guard._loss({"logits": logits}, labels, 44)
    assert float(found) == pytest.approx(float((losses * weights[:, 1:]).sum()) / 44)
