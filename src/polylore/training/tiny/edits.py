"""Edit transfer: change facts in one language, and see whether another language says so too.

Specification of `unify`, section 2.8. The edits are made on a copy of the weights, and the language
that is asked afterwards is never touched. What is counted is left to `metrics`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from polylore.training.tiny.config import Recipe
from polylore.training.tiny.loss import Rows, losses
from polylore.training.tiny.measure import greedy
from polylore.training.tiny.stack import Stack, TinyModel
from polylore.training.tiny.stream import Ints

STEPS, RATE = 30, 1e-3
"""Updates and their constant learning rate; there is no weight decay."""

RowsOf = Callable[[int], Ints]
"""Rows of prompt and value (n, T) of step 1, 2, ..., so that cues can be drawn anew."""
_RECIPE = Recipe()


@dataclass(frozen=True)
class Asked:
    """Prompts of the facts, in one language."""

    prompts: Ints
    """Token ids (m, S)."""
    values: Ints
    """Candidate answers of each prompt (m, A, v): for example the new value, then the old one."""


def edited(
    model: TinyModel,
    edits: RowsOf,
    rest: RowsOf,
    *,
    value_len: int = 1,
    steps: int = STEPS,
    rate: float = RATE,
) -> TinyModel:
    """A copy of the model after updates on the edits beside ordinary presentations.

    The loss is the mean cross-entropy of the edits plus that of the rest; AdamW as in training, but
    with a constant rate, without decay and without clipping.

    Args:
        model: the model; it stays as it is.
        edits: rows of the facts with their new values, in the language that is edited.
        rest: rows of other trained cells with their own values.
        value_len: tokens of a value.
        steps: updates.
        rate: learning rate.
    """
    betas = (_RECIPE.beta1, _RECIPE.beta2)
    stack = Stack([model.copy()], rates=[rate], decays=[0.0], betas=betas, clip=float("inf"))
    device = str(model.row.device)
    for step in range(1, steps + 1):
        total = torch.zeros(1, device=device)
        for source in (edits, rest):
            rows = Rows(torch.from_numpy(source(step))[None].to(device), None)
            total = total + losses(stack.weights, stack.sizes, rows, _RECIPE, value_len)
        stack.step(total, 1.0)
    return stack.model(0)


def says(model: TinyModel, asked: Asked) -> Ints:
    """Which of its candidates the model answers each prompt with (m,); -1 where none of them.

    The answer is the greedy one over the whole vocabulary; of equal candidates the first counts.
    """
    said = greedy(model, asked.prompts, asked.values.shape[2])
    same_mA = (asked.values == said[:, None]).all(2)
    found: Ints = same_mA.argmax(1)
    found[~same_mA.any(1)] = -1
    return found
