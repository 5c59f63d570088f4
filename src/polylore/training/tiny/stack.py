"""Models of one shape side by side in memory: one row of numbers per run.

Weights, gradients and AdamW's moments are each one matrix (runs, parameters). So clipping, the
optimiser and the state to resume from see a run as one row, whatever stands beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from transformers import LlamaForCausalLM

from polylore.models.loading import load_model
from polylore.training.tiny.forward import Weights
from polylore.training.tiny.sizes import Sizes, new_llama


@dataclass(frozen=True)
class TinyModel:
    """The weights of one run, to be measured; they change as the run goes on unless copied."""

    sizes: Sizes
    row: torch.Tensor
    """All weights, float32 (parameters,), in the order of `Sizes.slots`."""

    @classmethod
    def fresh(cls, sizes: Sizes, seed: int, device: str = "cpu") -> Self:
        """An untrained model, as the standard class initialises it."""
        return cls.of(new_llama(sizes, seed), device)

    @classmethod
    def of(cls, model: LlamaForCausalLM, device: str = "cpu") -> Self:
        """The weights of a model of the standard class.

        Raises:
            ModelError: it computes something else than the models of this recipe.
        """
        sizes = Sizes.seen(model)
        weights = dict(model.named_parameters())
        row = torch.cat([weights[slot.name].detach().flatten() for slot in sizes.slots])
        return cls(sizes, row.float().to(device))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """A checkpoint that was saved as an ordinary folder.

        Raises:
            ModelError: the folder cannot be read, or holds another kind of model.
        """
        return cls.of(load_model(folder).model, device)

    @property
    def weights(self) -> Weights:
        """A stack of one, for `forward`."""
        return views(self.row[None], self.sizes)

    def copy(self) -> "TinyModel":
        """The same weights, which stay as they are now."""
        return TinyModel(self.sizes, self.row.clone())

    def transformers(self) -> LlamaForCausalLM:
        """The same model as one of the standard class, on the same device, for evaluation."""
        model = new_llama(self.sizes, 0)
        state = {
            slot.name: self.row[slot.start : slot.stop].view(slot.shape)
            for slot in self.sizes.slots
        }
        model.load_state_dict(state)
        model.to(self.row.device).eval()
        return model


def views(rows_RP: torch.Tensor, sizes: Sizes) -> dict[str, torch.Tensor]:
    """Every weight by name, (R, *shape); they share the memory of the rows."""
    runs = len(rows_RP)
    return {
        slot.name: rows_RP[:, slot.start : slot.stop].view(runs, *slot.shape)
        for slot in sizes.slots
    }


class Stack:
    """Runs in training: weights, gradients, and one AdamW whose state is apart for every run."""

    def __init__(
        self,
        models: Sequence[TinyModel],
        *,
        rates: Sequence[float],
        decays: Sequence[float],
        betas: tuple[float, float],
        clip: float,
    ) -> None:
        """Copy the weights of the models; peak rate and weight decay are of each run."""
        self.sizes = models[0].sizes
        self.rows_RP = torch.stack([model.row for model in models])
        self.gradients_RP = torch.zeros_like(self.rows_RP)
        self.weights = views(self.rows_RP, self.sizes)
        self._leaves = [weight.requires_grad_() for weight in self.weights.values()]
        self._slots = list(views(self.gradients_RP, self.sizes).values())
        self._clip = clip
        self._rates = list(rates)
        self._parts = [self._halves(run) for run in range(len(models))]
        self._optimizer = torch.optim.AdamW(
            self._groups(rates, decays), lr=0.0, betas=betas, eps=1e-8, fused=True
        )

    def _halves(self, run: int) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
        """Matrices and norms of a run, as two parameters over the same memory."""
        border = self.sizes.matrices
        both = []
        for part in (slice(None, border), slice(border, None)):
            parameter = torch.nn.Parameter(self.rows_RP[run, part])
            parameter.grad = self.gradients_RP[run, part]
            both.append(parameter)
        return both[0], both[1]

    def _groups(self, rates: Sequence[float], decays: Sequence[float]) -> list[dict[str, object]]:
        """One group per rate and decay, so that most stacks are two calls of the optimiser."""
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for (matrices, norms), rate, decay in zip(self._parts, rates, decays, strict=True):
            groups.setdefault((rate, decay), []).append(matrices)
            groups.setdefault((rate, 0.0), []).append(norms)
        return [
            {"params": members, "weight_decay": decay, "peak": rate}
            for (rate, decay), members in groups.items()
        ]

    def model(self, run: int) -> TinyModel:
        """The weights of one run as they are now, not copied."""
        return TinyModel(self.sizes, self.rows_RP[run])

    def finite(self) -> list[bool]:
        """Whether all weights of each run are numbers."""
        found: list[bool] = torch.isfinite(self.rows_RP.detach()).all(dim=1).tolist()
        return found

    def step(self, losses_R: torch.Tensor, share: float) -> torch.Tensor:
        """One update of every run by its own loss, clipped by its own norm.

        Args:
            losses_R: one loss per run; a run's gradient is that of its own.
            share: learning rate, as a share of each run's peak.

        Returns:
            The norm of each run's gradient before clipping (R,).
        """
        found = torch.autograd.grad(losses_R.sum(), self._leaves)
        for slot, gradient in zip(self._slots, found, strict=True):
            slot.copy_(gradient)
        norms_R: torch.Tensor = torch.linalg.vector_norm(self.gradients_RP, dim=1)
        self.gradients_RP *= (self._clip / (norms_R + 1e-6)).clamp(max=1.0)[:, None]
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self._optimizer.step()
        return norms_R

    def moments(self, run: int) -> dict[str, torch.Tensor]:
        """AdamW's two moments of one run, each one row."""
        state = [self._optimizer.state[part] for part in self._parts[run]]
        if not all(state):
            return {}
        return {
            name: torch.cat([part[name] for part in state]) for name in ("exp_avg", "exp_avg_sq")
        }

    def restore(
        self, run: int, row: torch.Tensor, moments: dict[str, torch.Tensor], step: int
    ) -> None:
        """Put a run back to what `model` and `moments` gave after so many steps."""
        border, device = self.sizes.matrices, self.rows_RP.device
        with torch.no_grad():
            self.rows_RP[run].copy_(row)
        if not moments:
            return
        for part, own in zip(
            self._parts[run], (slice(None, border), slice(border, None)), strict=True
        ):
            self._optimizer.state[part] = {
                "step": torch.tensor(float(step), device=device if device.type != "cpu" else None),
                **{name: values[own].to(device).clone() for name, values in moments.items()},
            }
