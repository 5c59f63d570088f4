"""Patching tiny models: is a name's state in one language good for its value in another?

Specification of `unify`, section 2.8. The patch itself is made by `models.patching`, on the same
weights as a model of the standard class: the input of one layer is overwritten at some tokens with
that of another prompt of the same structure.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polylore.errors import DataError
from polylore.models.forward import evaluation
from polylore.models.patching import PatchPrompt, find_blocks
from polylore.models.patching.extract import states_at
from polylore.models.patching.hooks import hooks_logits
from polylore.training.tiny.stack import TinyModel
from polylore.training.tiny.stream import Ints

_CHUNK = 2**23
"""Logits in memory at once."""


@dataclass(frozen=True)
class Patched:
    """What comes out: layers by their input, 0 to layers - 1."""

    hit: npt.NDArray[np.bool_]
    """Whether the model answers with the candidate, greedily over the whole vocabulary
    (layers, n, A)."""
    logp: npt.NDArray[np.float32]
    """Log-probability of the candidate in nats (layers, n, A)."""


def patched(
    model: TinyModel, base: Ints, donor: Ints, first: int, last: int, values: Ints
) -> Patched:
    """Answers to base prompts with the states of donor prompts at tokens `first` to `last`.

    Args:
        model: the model.
        base: prompts that are answered (n, S).
        donor: prompts that states are taken from, row by row (n, S).
        first: first overwritten token of both.
        last: last one.
        values: candidate answers of each row (n, A, v).

    Raises:
        DataError: base and donor are not of one structure, or the tokens are not in them.
    """
    if base.shape != donor.shape or len(values) != len(base) or not first <= last < base.shape[1]:
        raise DataError(
            f"Prompts of the shape {base.shape} cannot be patched with states of prompts of the "
            f"shape {donor.shape} at tokens {first} to {last}, answered by {len(values)} rows of "
            "candidates."
        )
    n, count = values.shape[:2]
    layers = model.sizes.layers
    hit = np.ones((layers, n, count), dtype=np.bool_)
    logp = np.zeros((layers, n, count), dtype=np.float32)
    judge = model.transformers()
    blocks = find_blocks(judge)
    rows = max(1, _CHUNK // (model.sizes.vocabulary * (layers + 1)))
    for start in range(0, n, rows):
        own = slice(start, start + rows)
        strings, starts = donor[own].tolist(), [first] * len(donor[own])
        with evaluation(judge):
            states = states_at(judge, blocks, strings, starts, last - first + 1)
            for before, tokens, which in _questions(values[own]):
                ids = np.concatenate((base[own], before), axis=1).tolist()
                prompts = [PatchPrompt(tuple(row), first, last) for row in ids]
                onsets = range(-1, layers - 1)  # the input of layer j is what layer j - 1 wrote
                found = hooks_logits(judge, blocks, prompts, states, onsets, 1)[1:].log_softmax(-1)
                token_LnA = torch.from_numpy(tokens).to(found.device).expand(layers, -1, -1)
                hit[:, own, which] &= (found.argmax(-1, keepdim=True) == token_LnA).cpu().numpy()
                logp[:, own, which] += found.gather(2, token_LnA).cpu().numpy()
    return Patched(hit, logp)


def _questions(values: Ints) -> Iterator[tuple[Ints, Ints, slice]]:
    """What to ask, one pass each: tokens that follow the prompt (n, k), the next ones (n, a), and
    whose they are.

    A value is answered greedily if each of its tokens is the likeliest after those before it.
    """
    n, candidates, value_len = values.shape
    if value_len == 1:
        yield np.zeros((n, 0), np.int64), values[:, :, 0], slice(0, candidates)
        return
    for a in range(candidates):
        for k in range(value_len):
            yield values[:, a, :k], values[:, a, k : k + 1], slice(a, a + 1)
