"""Passages in the Hugging Face Trainer: the same rows, and a guard that stops on others."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from polylore.corpus.injection import Injector, RowFormat
from polylore.errors import ConfigError, RunError
from polylore.tables.inject import PLAN
from polylore.training.injection.trainer import (
    InjectedDataset,
    InjectedRows,
    InjectionGuard,
    SequentialSampling,
    collate,
)

BATCH, STEPS, LENGTH, VOCAB = 4, 5, 12, 50
TOKENS = {"a": np.array([40, 41, 42]), "b": np.array([43, 44])}
BACKGROUND = np.random.default_rng(0).integers(1, 40, (BATCH * STEPS, LENGTH))


def injector(weight=1.0):
    rows = [(0, 1, "a"), (2, 0, "b"), (2, 3, "a"), (4, 2, "b")]
    plan = [
        {
            "step": step,
            "row": row,
            "slot": 0,
            "item_id": name,
            "passage_id": name,
            "lang": "en",
            "exposure": 0,
            "arm": "once",
            "mode": "prepend",
            "n_tokens": len(TOKENS[name]),
            "offset": 0,
            "loss_weight": weight,
        }
        for step, row, name in rows
    ]
    return Injector(PLAN.build(plan), TOKENS, RowFormat(LENGTH, 0), BATCH, allow_dose=True)


def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            pad_token_id=None,
        )
    )


class InOrder(SequentialSampling, Trainer):
    """Trainer that reads a map-style data set in its order."""


class Run:
    """A Trainer that remembers the rows of every forward pass."""

    def __init__(self, folder, made, *, kind=InjectedRows, trainer=Trainer, per_device=4, **args):
        self.seen = []
        self.model = model()
        self.model.register_forward_pre_hook(self._note, with_kwargs=True)
        guard = InjectionGuard(made)
        options = {
            "output_dir": str(folder),
            "per_device_train_batch_size": per_device,
            "gradient_accumulation_steps": BATCH // per_device,
            "max_steps": STEPS,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "use_cpu": True,
            "report_to": [],
            "save_strategy": "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "seed": 0,
        }
        self.trainer = trainer(
            self.model,
            TrainingArguments(**options | args),
            train_dataset=kind(BACKGROUND, made),
            data_collator=collate,
            callbacks=[guard],
            compute_loss_func=guard.loss_function,
        )

    def _note(self, module, args, kwargs):
        self.seen += zip(
            kwargs["pl_step"].tolist(),
            kwargs["pl_row"].tolist(),
            kwargs["input_ids"].tolist(),
            strict=True,
        )

    def train(self, **options):
        self.trainer.train(**options)
        return self

    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


def expected(made):
    return [
        (step, row, made.row(step, row, BACKGROUND[step * BATCH + row]).tolist())
        for step in range(STEPS)
        for row in range(BATCH)
    ]


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
