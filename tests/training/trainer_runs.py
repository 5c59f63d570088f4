"""A Trainer on rows with passages, which remembers what it was given."""

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from polylore.corpus.injection import Injector, RowFormat
from polylore.tables.inject import PLAN
from polylore.training.injection.trainer import (
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


def flat(model):
    """All weights in a row."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


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
        return flat(self.model)


def expected(made):
    """(step, row, tokens) of every row that the plan makes."""
    return [
        (step, row, made.row(step, row, BACKGROUND[step * BATCH + row]).tolist())
        for step in range(STEPS)
        for row in range(BATCH)
    ]
