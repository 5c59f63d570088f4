"""One optimiser step, however many processes and parts it is divided into."""

import gc
import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from polylore.corpus.draw import number
from polylore.corpus.injection.stream import Guard, RowMap, labels_of
from polylore.corpus.injection.transform import UNLABELLED, Rows
from polylore.errors import DataError, ModelError, RunError
from polylore.models.memory import attempt
from polylore.training.checkpoint import trainable, whole
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.processes import Processes
from polylore.training.continued.settings import Settings
from polylore.training.continued.streams import RowStream
from polylore.training.model import labelled_loss, parameter_groups


class Diverged(RunError):
    """The loss or the gradient is no longer a number; nothing was updated by it."""


@dataclass(frozen=True)
class Step:
    """What one update was."""

    loss: float
    """Sum of weight times cross-entropy over the number of labelled tokens of the whole step."""
    grad_norm: float
    """Before clipping."""
    update_norm: float | None
    tokens: int
    """Tokens of the step, padding left out."""
    loss_tokens: int
    """Tokens it predicts."""


class Updater:
    """Makes updates: rows in, weights changed.

    Args:
        model: the model, unwrapped.
        call: what is called in its place: the model, or its wrapper for several processes.
        stream: the rows.
        settings: AdamW and number format.
        processes: who shares the step.
        config: the run's configuration.
    """

    def __init__(
        self,
        model: Any,
        call: Any,
        stream: RowStream,
        settings: Settings,
        processes: Processes,
        config: ContinueConfig,
    ) -> None:
        self.model, self.call, self.stream = model, call, stream
        self.settings, self.processes, self.seed = settings, processes, config.seed
        self.per_device = processes.share(stream.batch_size, config.execution.per_device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay),
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            fused=True,
        )
        self.guard = Guard(stream.batch_size)
        self.vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._fits = processes.world == 1 or processes.sharded or processes.device.type == "cpu"

    def update(self, step: int, lr: float, *, read_norm: bool = False) -> Step:
        """Make the update of a step of the stream.

        Args:
            step: step of the stream.
            lr: learning rate.
            read_norm: read how far the weights move, too.

        Raises:
            DataError: the stream gives rows of another shape or vocabulary, or none labelled.
            RunError: it gives other rows than were asked for; nothing was updated.
            Diverged: the loss or gradient is no number; nothing was updated.
            ModelError: memory does not suffice for a single row.
        """
        parts = self._parts(step)
        tokens, labelled = self._check(step, parts)
        if not self._fits:
            parts = self._shrink_together(step, parts, labelled)
        torch.manual_seed(number(self.seed, "update", step, self.processes.rank))  # dropout
        loss = self._loss(step, parts, labelled)
        if not math.isfinite(loss):
            raise Diverged(self._sentence(step, "loss", loss))
        weights = [parameter for _, parameter in trainable(self.model)]
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, self.settings.clip)))
        if not math.isfinite(norm):
            raise Diverged(self._sentence(step, "norm of the gradient", norm))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        before = [weight.detach().clone() for weight in weights] if read_norm else []
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        moved = None
        if read_norm:
            for old, new in zip(before, weights, strict=True):
                old.sub_(new.detach())
            moved = float(whole(torch.nn.utils.get_total_norm(before)))
        return Step(loss, norm, moved, tokens, labelled)

    def _parts(self, step: int) -> list[Rows]:
        """This process's rows of a step, part by part."""
        world, rank = self.processes.world, self.processes.rank
        count = self.stream.batch_size // (self.per_device * world)
        division = RowMap(self.per_device, world, rank, count)
        return [self.stream.rows(step, division.rows(part)) for part in range(count)]

    def _check(self, step: int, parts: list[Rows]) -> tuple[int, int]:
        """Compare the rows of all processes with those of the step; its tokens and labels."""
        form, tokens = self.stream.form, 0
        for found in parts:
            told = np.full(len(found.rows), found.step)
            self.guard.see(step, told.tolist(), found.rows.tolist(), labels_of(found))
            shape = (self.per_device, form.length)
            if found.tokens.shape != shape or found.labels.shape != shape:
                raise DataError(
                    f"The stream gives rows of the shape {found.tokens.shape} in step {step}, but "
                    f"{shape} was asked for."
                )
            if found.tokens.min() < 0 or found.tokens.max() >= self.vocabulary:
                raise DataError(
                    f"Step {step} holds token {found.tokens.max()}, but the model knows "
                    f"{self.vocabulary}; use rows made with its own tokenizer."
                )
            tokens += int(form.real(found.tokens).sum())
        sums = self.processes.total(np.array([*self.guard.sums, tokens]))
        self.guard.check(step, sums[:-1])
        labelled = int(sums[4])
        if not labelled:
            raise DataError(f"No token of step {step} is labelled, so there is nothing to learn.")
        return int(sums[-1]), labelled

    def _loss(self, step: int, parts: list[Rows], labelled: int) -> float:
        """Loss of the step, with its gradients in place; fewer rows at once if memory runs out."""
        if self.processes.world > 1:
            return self._gradients(parts, labelled)
        while (loss := attempt(partial(self._boxed, parts, labelled))) is None:
            parts = self._halve(step)
        return loss[0]

    def _boxed(self, parts: list[Rows], labelled: int) -> tuple[float]:
        return (self._gradients(parts, labelled),)

    def _gradients(self, parts: list[Rows], labelled: int) -> float:
        # Gradients are averaged over processes, so each one's sum is scaled up by their number.
        scale = self.processes.world / labelled
        wide = torch.promote_types(self.settings.torch_dtype, torch.float32)
        total = torch.zeros((), dtype=wide, device=self.processes.device)
        for place, found in enumerate(parts, start=1):
            with self.processes.alone(self.call, last=place == len(parts)):
                loss = self._part_loss(found) * scale
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return self.processes.mean(total)

    def _part_loss(self, found: Rows) -> torch.Tensor:
        device = self.processes.device
        weighted = bool((found.loss_weight != 1).any())
        return labelled_loss(
            self.call,
            torch.from_numpy(found.tokens).to(device),
            torch.from_numpy(found.labels).to(device),
            self.settings.torch_dtype,
            torch.from_numpy(found.loss_weight).to(device) if weighted else None,
            unlabelled=UNLABELLED,
        )

    def _shrink_together(self, step: int, parts: list[Rows], labelled: int) -> list[Rows]:
        """Before the first update of several processes, try whether one part fits on each."""
        while True:
            with self.call.no_sync():
                fits = attempt(partial(self._try, parts[0], labelled)) is not None
            self.optimizer.zero_grad(set_to_none=True)
            if not self.processes.any([not fits])[0]:
                self._fits = True
                return parts
            parts = self._halve(step)

    def _try(self, found: Rows, labelled: int) -> tuple[bool]:
        (self._part_loss(found) / labelled).backward()  # type: ignore[no-untyped-call]
        return (True,)

    def _halve(self, step: int) -> list[Rows]:
        """Read fewer rows at once after memory ran out; the same rows in more parts."""
        self.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.per_device == 1:
            raise ModelError(
                "Not even one row at a time fits into memory; use shorter rows, bfloat16, an "
                "adapter, or shard the model over more devices."
            )
        share = self.stream.batch_size // self.processes.world
        before = self.per_device
        self.per_device = max(n for n in range(1, before // 2 + 1) if share % n == 0)
        warnings.warn(
            f"Memory ran out with {before} rows at once; going on with {self.per_device}. Set "
            "per_device to skip this attempt.",
            stacklevel=2,
        )
        return self._parts(step)

    def _sentence(self, step: int, what: str, value: float) -> str:
        self.optimizer.zero_grad(set_to_none=True)
        return (
            f"The {what} of update {step + 1} is {value}, so training stopped before it; all until "
            "then is saved. Lower the learning rate or clip harder, in another folder."
        )
