"""A loss that pulls translations together, beside the loss of training.

One of the baselines of modulation (specification of `unify`, section 10.1): InfoNCE between the
states of the same fact asked in two languages. The control is the same with shuffled pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from polylore.training.tiny.forward import Weights, state_before
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stream import Ints


@dataclass(frozen=True)
class Alignment:
    """What is pulled together, and how strongly."""

    pairs: Callable[[int], tuple[Ints, Ints]]
    """Prompts of step 1, 2, ...: one row per fact in one language (K, S), and in another."""
    weight: float = 0.1
    """Of this loss beside the cross-entropy."""
    temperature: float = 0.07
    layer: int | None = None
    """Hidden state that is compared, at the last token; the middle one if None."""


def alignment_loss(weights: Weights, sizes: Sizes, alignment: Alignment, step: int) -> torch.Tensor:
    """Mean InfoNCE of both directions in nats, of one run (weights with one run in front)."""
    one_KS, two_KS = alignment.pairs(step)
    layer = math.ceil(sizes.layers / 2) if alignment.layer is None else alignment.layer
    device = weights["model.norm.weight"].device
    states = []
    for prompts in (one_KS, two_KS):
        ids = torch.from_numpy(prompts)[None].to(device)
        states.append(
            functional.normalize(state_before(weights, sizes, ids, layer)[0, :, -1], dim=-1)
        )
    scores_KK = states[0] @ states[1].T / alignment.temperature
    own = torch.arange(len(scores_KK), device=device)
    there, back = (functional.cross_entropy(scores, own) for scores in (scores_KK, scores_KK.T))
    return (there + back) / 2
