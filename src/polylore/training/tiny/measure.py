"""What a tiny model answers, and what its states are: arrays in, arrays out, always in float32.

Prompts are rows of token ids, right padded where their lengths differ. m prompts, S positions,
v tokens of a value, V values of a relation, G groups (a relation in a language).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polylore.errors import DataError
from polylore.training.tiny.forward import last_states, logits
from polylore.training.tiny.stack import TinyModel
from polylore.training.tiny.stream import Ints

Floats = npt.NDArray[np.float32]
CHUNK = 2**23
"""Logits in memory at once."""


@dataclass(frozen=True)
class Answers:
    """What a model says to m prompts."""

    pred: Ints
    """Greedy tokens over the whole vocabulary (m, v); right where all equal the gold ones."""
    rank: npt.NDArray[np.float64]
    """Rank of the gold value's first token in the whole vocabulary (m,); ties count half."""
    logp_gold: Floats
    """Log-probability of the gold value in nats (m,), summed over its tokens."""
    restricted: Ints
    """Value with the highest probability among those of the prompt's group (m,), by index."""
    probabilities: Floats
    """Softmax over the values of the prompt's group (m, V); rows sum to 1."""


def answers(
    model: TinyModel,
    prompts: Ints,
    gold: Ints,
    candidates: Ints,
    group: Ints,
    *,
    pad: Ints | None = None,
) -> Answers:
    """Ask every prompt (specification of `unify`, section 2.5).

    Args:
        model: the model.
        prompts: token ids (m, S).
        gold: the right value's tokens (m, v).
        candidates: tokens of the values of each relation and language (G, V, v); -1 where there is
            no such value, which then has probability 0.
        group: which row of `candidates` holds a prompt's values (m,).
        pad: tokens of padding at the end of each prompt (m,).

    Raises:
        DataError: arrays that do not fit each other.
    """
    m, v = gold.shape
    if len(prompts) != m or len(group) != m or candidates.shape[2] != v:
        raise DataError(
            f"{len(prompts)} prompts, {m} gold values of {v} tokens, {len(group)} groups and "
            f"candidates of {candidates.shape[2]} tokens do not fit each other."
        )
    values = candidates.shape[1]
    pred, rank = np.zeros((m, v), np.int64), np.zeros(m)
    logp, restricted = np.zeros(m, np.float32), np.zeros(m, np.int64)
    shares = np.zeros((m, values), np.float32)
    for where, ids in _blocks(
        model, prompts, pad, model.sizes.vocabulary * v * (values if v > 1 else 1)
    ):
        own = torch.from_numpy(candidates[group[where]]).to(ids.device)
        missing_mV, own = own[..., 0] < 0, own.clamp(min=0)
        right = torch.from_numpy(gold[where]).to(ids.device)
        found_mvV = _logprobs(model, ids, right)
        of_gold = found_mvV.gather(2, right[..., None])[..., 0]
        rank[where] = _numpy(_rank(found_mvV[:, 0], of_gold[:, :1]))
        logp[where] = _numpy(of_gold.sum(1))
        pred[where] = greedy_block(model, ids, found_mvV[:, 0].argmax(1), v)
        if v == 1:
            scores_mV = found_mvV[:, 0].gather(1, own[..., 0])
        else:
            rows = ids.repeat_interleave(values, 0)
            full = _logprobs(model, rows, own.flatten(0, 1))
            scores_mV = full.gather(2, own.flatten(0, 1)[..., None]).sum((1, 2)).view(-1, values)
        scores_mV = scores_mV.masked_fill(missing_mV, -torch.inf)
        restricted[where] = _numpy(scores_mV.argmax(1))
        shares[where] = _numpy(scores_mV.softmax(1))
    return Answers(pred, rank, logp, restricted, shares)


def greedy(model: TinyModel, prompts: Ints, value_len: int = 1, *, pad: Ints | None = None) -> Ints:
    """The likeliest next tokens of every prompt (m, v), one after the other."""
    pred = np.zeros((len(prompts), value_len), np.int64)
    for where, ids in _blocks(model, prompts, pad, model.sizes.vocabulary):
        first = _next(model, ids).argmax(1)
        pred[where] = greedy_block(model, ids, first, value_len)
    return pred


def greedy_block(model: TinyModel, ids: torch.Tensor, first: torch.Tensor, v: int) -> Ints:
    """Go on from the first token to v tokens."""
    said = first[:, None]
    while said.shape[1] < v:
        with torch.inference_mode():
            token = _next(model, torch.cat((ids, said), 1)).argmax(1)
        said = torch.cat((said, token[:, None]), 1)
    return np.asarray(_numpy(said), dtype=np.int64)


def states(model: TinyModel, prompts: Ints, *, pad: Ints | None = None) -> Floats:
    """Hidden states of every prompt, float32 (m, layers + 1, S, d).

    State 0 is the embeddings, state j the input of layer j, the last one what the output layer
    reads, after the final norm (specification of `unify`, section 2.6): the numbering of the
    standard class's `hidden_states`. At padding the numbers are 0.
    """
    sizes = model.sizes
    found = np.zeros(
        (*prompts.shape[:1], sizes.layers + 1, prompts.shape[1], sizes.hidden), np.float32
    )
    for where, ids in _blocks(
        model, prompts, pad, sizes.hidden * (sizes.layers + 1) * prompts.shape[1]
    ):
        passed: list[torch.Tensor] = []
        with torch.inference_mode():
            last = last_states(model.weights, sizes, ids[None], None, passed)
        all_LmSd = torch.stack([state[0] for state in (*passed, last)])
        found[where, :, : ids.shape[1]] = _numpy(all_LmSd.transpose(0, 1))
    return found


def _blocks(
    model: TinyModel, prompts: Ints, pad: Ints | None, cost: int
) -> Iterator[tuple[Ints, torch.Tensor]]:
    """Prompts of one length that fit into memory together: where they are, and they, unpadded."""
    lengths = prompts.shape[1] - (0 if pad is None else pad)
    lengths = np.broadcast_to(lengths, len(prompts))
    rows = max(1, CHUNK // cost)
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        for start in range(0, len(alike), rows):
            where = alike[start : start + rows]
            yield where, torch.from_numpy(prompts[where, :length]).to(model.row.device)


def _rank(found_mV: torch.Tensor, of_gold_m1: torch.Tensor) -> torch.Tensor:
    above, equal = (found_mV > of_gold_m1).sum(1), (found_mV == of_gold_m1).sum(1)
    return 1 + above + 0.5 * (equal - 1)


def _logprobs(model: TinyModel, ids: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of every token at each token of a given continuation: (m, v, V)."""
    v = given.shape[1]
    with torch.inference_mode():
        rows = torch.cat((ids, given[:, : v - 1]), 1)[None]
        return logits(model.weights, model.sizes, rows, v)[0].log_softmax(-1)


def _next(model: TinyModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return logits(model.weights, model.sizes, ids[None], 1)[0, :, 0]


def _numpy(values: torch.Tensor) -> npt.NDArray[np.generic]:
    return values.cpu().numpy()
