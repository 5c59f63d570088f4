"""What a step minimises: the cross-entropy of the value, or of all tokens, apart for every run."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from polylore.training.tiny.config import Recipe
from polylore.training.tiny.forward import Places, Weights, logits
from polylore.training.tiny.sizes import Sizes


@dataclass(frozen=True)
class Rows:
    """The batches of one step. R runs, B rows, T tokens."""

    tokens_RBT: torch.Tensor
    pad_RB: torch.Tensor | None
    """Tokens of padding at the end of each row; None if there are none."""


def losses(
    weights: Weights, sizes: Sizes, rows: Rows, recipe: Recipe, value_len: int
) -> torch.Tensor:
    """Mean cross-entropy in nats of each run, float32 (R,).

    `answer_only` is the mean over the value tokens of all rows, and logits are made there only;
    `full_lm` the mean over all tokens after the first of each row. Padding is never predicted.
    """
    tokens = rows.tokens_RBT
    half = recipe.precision == "bfloat16"
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=half):
        if recipe.objective == "full_lm":
            found = logits(weights, sizes, tokens[..., :-1], None)
            targets = tokens[..., 1:]
        else:
            places, targets = answer_places(rows, value_len)
            found = logits(weights, sizes, tokens[..., :-1], places)
    nats = functional.cross_entropy(
        found.flatten(0, 2).float(), targets.reshape(-1), reduction="none"
    ).view(targets.shape)
    if rows.pad_RB is None or recipe.objective == "answer_only":
        return nats.flatten(1).mean(1)
    last_RB1 = targets.shape[2] - rows.pad_RB[..., None]
    real = torch.arange(targets.shape[2], device=tokens.device) < last_RB1
    return (nats * real).flatten(1).sum(1) / real.flatten(1).sum(1)


def answer_places(rows: Rows, value_len: int) -> tuple[Places, torch.Tensor]:
    """Positions that predict the value, and its tokens (R, B, value_len)."""
    tokens = rows.tokens_RBT
    if rows.pad_RB is None:
        return value_len, tokens[..., -value_len:]
    first_RB1 = tokens.shape[2] - rows.pad_RB[..., None] - value_len
    at = first_RB1 + torch.arange(value_len, device=tokens.device)
    return at - 1, tokens.gather(2, at)
