"""The training loop of tiny runs: one run, or many of one shape stacked into one computation.

A run is decided by its recipe, its seed and its stream, whose batches are functions of the step.
Runs in a stack share nothing but the time: each has its own weights, loss, clipping, moments and
rate, so a run gives the same numbers alone and in company, up to the rounding of matrix products.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from polylore.errors import ConfigError
from polylore.training import machine
from polylore.training.tiny import resume
from polylore.training.tiny.alignment import Alignment, alignment_loss
from polylore.training.tiny.config import Recipe, evaluation_steps, rate_share
from polylore.training.tiny.loss import Rows, losses
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import Stack, TinyModel
from polylore.training.tiny.stream import Stream, padding

Progress = Callable[[int, int, str], None]
_LOOK = 25
"""Steps between looks for losses that are not numbers, besides the evaluations."""


@dataclass(frozen=True)
class Job:
    """One run of a stack."""

    stream: Stream
    """Its training data."""
    seed: int
    """Decides its initial weights."""
    learning_rate: float | None = None
    """Peak rate, if not the recipe's."""
    weight_decay: float | None = None
    """Decay of matrices, if not the recipe's."""
    resume: Path | None = None
    """Folder of its states, to go on where it stopped; nothing is kept if not given."""
    start: TinyModel | None = None
    """Weights to begin with instead of fresh ones."""
    alignment: Alignment | None = None
    """A second loss that pulls translations together."""


@dataclass(frozen=True)
class Evaluation:
    """A run at one of its evaluation steps."""

    job: int
    """Which of the jobs, by index."""
    step: int
    """Updates made."""
    tokens: int
    """Tokens read: step x batch x length of a row."""
    model: TinyModel
    """Its weights; copy them to keep them."""
    loss: float | None
    """Mean training loss in nats since the evaluation before; None at step 0."""
    learning_rate: float
    """Rate of the last update; 0 at step 0."""


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    status: Literal["done", "diverged"]
    step: int
    """Updates made; of a diverged run, when it was first seen to be none of numbers."""
    reason: str | None = None
    """What was seen of a diverged run."""


def train(
    recipe: Recipe,
    jobs: Sequence[Job],
    *,
    vocabulary: int,
    value_len: int = 1,
    on_evaluation: Callable[[Evaluation], None],
    device: str = "cpu",
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Ending]:
    """Train one run, or several at once, and have them measured on the way.

    After `on_evaluation` has returned for a run, its state is saved (if its job names a folder), so
    a killed run goes on at its newest complete evaluation; on a CPU with the same number of threads
    it then ends with the same bits as one that was never stopped. An evaluation whose state was not
    saved in time is made anew. A run whose loss or weights are no longer numbers is not measured
    again; its folder says so, and does not keep the others of its stack from going on.

    Args:
        recipe: how to train.
        jobs: the runs; their batches must be of one shape.
        vocabulary: number of tokens of their worlds.
        value_len: tokens of a value.
        on_evaluation: measures a run; called for each job at each of `evaluation_steps`.
        device: cpu, cuda, cuda:1.
        threads: CPU threads; results depend on them in their last bits.
        progress: called with (steps done, steps in all, what).

    Raises:
        ConfigError: no jobs, or rows longer than the model's positions.
        RunError: a state that belongs to another run or is damaged.
    """
    if not jobs:
        raise ConfigError("There is nothing to train: the list of jobs is empty.")
    if device == "cpu":
        machine.keep_large_blocks()
    with machine.threads(threads):
        runs = Runs(recipe, jobs, Sizes.of(recipe, vocabulary), value_len, device)
        return runs.go(on_evaluation, progress)


class Runs:
    """Jobs on their way, after `step` updates."""

    def __init__(
        self, recipe: Recipe, jobs: Sequence[Job], sizes: Sizes, value_len: int, device: str
    ) -> None:
        self.recipe, self.jobs, self.sizes, self.device = recipe, jobs, sizes, device
        self.value_len = value_len
        models = [
            TinyModel(sizes, job.start.row.to(device))
            if job.start
            else TinyModel.fresh(sizes, job.seed, device)
            for job in jobs
        ]
        self.stack = Stack(
            models,
            rates=[job.learning_rate or recipe.learning_rate for job in jobs],
            decays=[
                recipe.weight_decay if job.weight_decay is None else job.weight_decay
                for job in jobs
            ],
            betas=(recipe.beta1, recipe.beta2),
            clip=recipe.clip,
        )
        self.alive = [True] * len(jobs)
        self.endings = [Ending("done", recipe.steps)] * len(jobs)
        for number, job in enumerate(jobs):
            before = None if job.resume is None else resume.ended(job.resume)
            if before is not None:
                self.alive[number] = False
                self.endings[number] = Ending("diverged", *before)
        folders = [job.resume for job in jobs]
        self.step = resume.restore_all(self.stack, folders, self.alive)
        self.row_tokens = 0
        self._sums = torch.zeros(len(jobs), dtype=torch.float64, device=device)
        self._since = self.step

    def go(
        self, on_evaluation: Callable[[Evaluation], None], progress: Progress | None
    ) -> list[Ending]:
        """Train to the last step."""
        due, total = set(evaluation_steps(self.recipe)), self.recipe.steps
        if self.step == 0:
            self._evaluate(on_evaluation)
        while self.step < total and any(self.alive):
            self.update()
            if self.step in due:
                self._evaluate(on_evaluation)
            elif self.step % _LOOK == 0:
                self._look()
            if progress:
                progress(self.step, total, "training")
        return self.endings

    def update(self) -> torch.Tensor:
        """One step of every run; returns their losses in nats (R,), that of alignment left out."""
        rows = self._rows(self.step + 1)
        loss_R = losses(self.stack.weights, self.sizes, rows, self.recipe, self.value_len)
        total_R = loss_R + self._alignment() if any(job.alignment for job in self.jobs) else loss_R
        self.stack.step(total_R, rate_share(self.step + 1, self.recipe))
        loss_R = loss_R.detach()
        self._sums += loss_R
        self.step += 1
        return loss_R

    def _alignment(self) -> torch.Tensor:
        """The second loss of every run, 0 where there is none (R,)."""
        found = [torch.zeros((), device=self.device)] * len(self.jobs)
        for run, job in enumerate(self.jobs):
            if job.alignment is not None:
                own = {name: weight[run, None] for name, weight in self.stack.weights.items()}
                loss = alignment_loss(own, self.sizes, job.alignment, self.step + 1)
                found[run] = job.alignment.weight * loss
        return torch.stack(found)

    def _rows(self, step: int) -> Rows:
        """The batches of all runs: token ids (R, B, T)."""
        batches = [job.stream.batch(step) for job in self.jobs]
        if len({batch.tokens.shape for batch in batches}) > 1:
            raise ConfigError(
                "Runs can be stacked only if their batches are of one shape; train them apart."
            )
        self.row_tokens = batches[0].tokens.shape[1]
        if self.row_tokens - 1 > self.sizes.max_positions:
            raise ConfigError(
                f"Rows of {self.row_tokens} tokens are longer than max_positions "
                f"{self.sizes.max_positions} allows; raise it."
            )
        tokens = torch.from_numpy(np.stack([batch.tokens for batch in batches]))
        pads, pad_RB = [padding(batch) for batch in batches], None
        if any(pad is not None for pad in pads):
            none = np.zeros(tokens.shape[1], dtype=np.int64)
            pad_RB = torch.from_numpy(np.stack([none if pad is None else pad for pad in pads]))
            pad_RB = pad_RB.to(self.device)
        return Rows(tokens.to(self.device), pad_RB)

    def _look(self) -> list[float]:
        """Mean losses since the evaluation before; runs whose loss is no number end here."""
        sums = self._sums.tolist()
        for job, value in enumerate(sums):
            if not math.isfinite(value):
                self._diverge(job, "its loss is no longer a number")
        return [value / max(1, self.step - self._since) for value in sums]

    def _diverge(self, job: int, what: str) -> None:
        """A run ends here, and its folder says so."""
        if not self.alive[job]:
            return
        self.alive[job] = False
        reason = f"The run diverged: after {self.step} steps {what}; try a lower learning rate."
        self.endings[job] = Ending("diverged", self.step, reason)
        folder = self.jobs[job].resume
        if folder is not None:
            resume.end(folder, self.step, reason)

    def _evaluate(self, on_evaluation: Callable[[Evaluation], None]) -> None:
        means = self._look()
        # The loss is that of the weights before the update: the last one may have broken them.
        for job, finite in enumerate(self.stack.finite()):
            if not finite:
                self._diverge(job, "its weights are no longer numbers")
        recipe, step = self.recipe, self.step
        for job, own in enumerate(self.jobs):
            if not self.alive[job]:
                continue
            peak = own.learning_rate or recipe.learning_rate
            on_evaluation(
                Evaluation(
                    job=job,
                    step=step,
                    tokens=step * recipe.batch_size * self.row_tokens,
                    model=self.stack.model(job),
                    loss=means[job] if step else None,
                    learning_rate=peak * rate_share(step, recipe) if step else 0.0,
                )
            )
            if own.resume is not None:
                resume.save(own.resume, self.stack, job, step)
        self._sums.zero_()
        self._since = step
