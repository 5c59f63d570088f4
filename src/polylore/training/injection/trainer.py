"""Injection with the Hugging Face Trainer: data sets, and a guard that stops on other rows.

```python
guard = InjectionGuard(injector)
args = TrainingArguments(..., remove_unused_columns=False)
Trainer(
    model, args, train_dataset=InjectedRows(background, injector), data_collator=collate,
    callbacks=[guard], compute_loss_func=guard.loss_function,
)
```

An unmodified Trainer reads an iterable data set in its order. With the map-style one, which can be
resumed without reading what was read, put `SequentialSampling` before Trainer:
`class InOrder(SequentialSampling, Trainer): ...`

Several processes divide a step batch by batch (`corpus.injection.stream.RowMap`), whether each of
them reads or the first one hands out; `split_batches` of accelerate makes steps smaller, on which
the guard stops.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, SequentialSampler, get_worker_info
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polylore.corpus.injection.format import Tokens
from polylore.corpus.injection.injector import Injector
from polylore.corpus.injection.stream import Guard
from polylore.corpus.injection.transform import UNLABELLED
from polylore.errors import ConfigError, RunError

STEP, ROW, WEIGHT = "pl_step", "pl_row", "loss_weight"
Item = dict[str, Any]


class InjectedDataset(Dataset[Item]):
    """Row s of the stream is row s % B of step s // B; for a sampler that goes in order.

    Where rows may be padded, those of steps with passages are looked at once to know the dose.

    Args:
        background: token rows in their order of reading, indexed by s; all equally long.
        injector: the plan.
        steps: steps of the run; all whole steps of the background if not given.

    Raises:
        ConfigError: the background has fewer rows.
        DataError: the plan goes on after the last step, a passage does not fit into its row, or
            the dose exceeds what is allowed.
    """

    def __init__(
        self, background: Sequence[Any] | Any, injector: Injector, steps: int | None = None
    ) -> None:
        self.background, self.injector = background, injector
        whole = len(background) // injector.batch_size
        self.steps = whole if steps is None else steps
        if self.steps > whole:
            raise ConfigError(
                f"{self.steps} steps of {injector.batch_size} rows need more than the "
                f"{len(background)} rows of the background."
            )
        injector.check_steps(self.steps)
        self.dose = injector.dose_in(self._real)
        """Contract `tables.inject.DOSE`."""

    def _real(self, step: int) -> Tokens:
        """Tokens of every row of a step without its padding."""
        size, found = self.injector.batch_size, []
        for s in range(step * size, (step + 1) * size):
            row = np.asarray(self.background[s])[None]
            self.injector.check_shape(step, 1, row)
            found.append(self.injector.form.real(row))
        return np.concatenate(found)

    def __len__(self) -> int:
        return self.steps * self.injector.batch_size

    def __getitem__(self, s: int) -> Item:
        if not 0 <= s < len(self):
            raise IndexError(s)
        step, row = divmod(s, self.injector.batch_size)
        found = self.injector.rows(step, [row], np.asarray(self.background[s])[None])
        item: Item = {
            "input_ids": torch.from_numpy(found.tokens[0]),
            "labels": torch.from_numpy(found.labels[0]),
            STEP: step,
            ROW: row,
        }
        if self.injector.weighted:
            item[WEIGHT] = torch.from_numpy(found.loss_weight[0])
        return item


class InjectedRows(IterableDataset[Item]):
    """The same as a stream, which no sampler can shuffle. Arguments as for `InjectedDataset`."""

    def __init__(
        self, background: Sequence[Any] | Any, injector: Injector, steps: int | None = None
    ) -> None:
        self.rows = InjectedDataset(background, injector, steps)

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise ConfigError(
                "Several workers would read the stream several times; set dataloader_num_workers "
                "to 0 or 1, or use InjectedDataset."
            )
        return (self.rows[s] for s in range(len(self.rows)))


def collate(items: list[Item]) -> dict[str, torch.Tensor]:
    """Stack items; `InjectionGuard` takes off the columns that the model does not know."""
    return {
        key: torch.stack([item[key] for item in items])
        if isinstance(items[0][key], torch.Tensor)
        else torch.tensor([item[key] for item in items])
        for key in items[0]
    }


class SequentialSampling:
    """Mixin for Trainer: rows in their order."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)  # type: ignore[attr-defined]


class InjectionGuard(TrainerCallback):  # type: ignore[misc]
    """Stops before an update that would be made of other rows than the plan's.

    It notes which rows every forward pass of training holds, takes the columns that say so off the
    model's arguments, and compares them over all processes before the optimiser steps.
    """

    def __init__(self, injector: Injector) -> None:
        self.injector = injector
        self.guard = Guard(injector.batch_size)
        self._step = 0
        self._handle: Any = None
        self._weights: torch.Tensor | None = None

    @property
    def loss_function(self) -> Callable[..., torch.Tensor] | None:
        """For Trainer's `compute_loss_func`: None (its own loss) if all weights are 1."""
        return self._loss if self.injector.weighted else None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **others: Any,
    ) -> None:
        """Compare rows per step, and begin to look at what the model is given.

        Raises:
            ConfigError: rows per step are not those of the plan.
        """
        per_device, parts = args.train_batch_size, args.gradient_accumulation_steps
        if per_device * args.world_size * parts != self.injector.batch_size:
            raise ConfigError(
                f"{per_device} rows per device x {args.world_size} processes x {parts} accumulated "
                f"batches are not the {self.injector.batch_size} rows that the plan is made for."
            )
        self._remove()
        self.guard = Guard(self.injector.batch_size)
        self._handle = model.register_forward_pre_hook(self._see, with_kwargs=True)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Note which step is being done."""
        self._step = state.global_step

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Compare the rows of the step.

        Raises:
            RunError: they are not the plan's; nothing has been updated.
        """
        sums = self.guard.sums
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            total = torch.from_numpy(sums).to(args.device)
            torch.distributed.all_reduce(total)
            sums = total.cpu().numpy()
        try:
            self.guard.check(state.global_step, sums)
        except RunError:
            self._remove()
            raise

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Leave the model as it was."""
        self._remove()

    def _remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _see(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        left = {k: v for k, v in kwargs.items() if k not in (STEP, ROW, WEIGHT)}
        if STEP in kwargs and module.training:
            self.guard.see(self._step, kwargs[STEP].tolist(), kwargs[ROW].tolist())
        self._weights = kwargs.get(WEIGHT)
        return args, left

    def _loss(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None, **others: Any
    ) -> torch.Tensor:
        """Sum of weight times cross-entropy over the number of labelled tokens."""
        logits, targets = outputs["logits"][:, :-1].float(), labels[:, 1:]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=UNLABELLED, reduction="none"
        )
        if self._weights is not None:
            losses = losses * self._weights[:, 1:].flatten()
        count = (targets != UNLABELLED).sum() if num_items_in_batch is None else num_items_in_batch
        return losses.sum() / count
