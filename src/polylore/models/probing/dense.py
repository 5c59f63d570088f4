"""One forward over a batch of probes, and everything that is read off its logits at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from polylore.models.double import wide
from polylore.models.forward import CHUNK, CHUNK_ELSEWHERE, head_reads
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.packing import Row

Floats = npt.NDArray[np.float64]
NAMES = ("sum", "first", "full", "rank", "exact")
"""Sum over the scored tokens, log-probability of the first, mean over the text, rank of the first
(0 is the best), whether every scored token is the likeliest."""


@dataclass(frozen=True)
class Batch:
    """Rows of equal or nearly equal length, padded on the right. B rows, S tokens, P pairs."""

    ids_BS: torch.Tensor
    places_P: torch.Tensor
    """Indices into the flattened (B * S) tokens of every token that has a next one."""
    tokens_P: torch.Tensor
    """That next token."""
    row_P: npt.NDArray[np.int64]
    scored_P: npt.NDArray[np.bool_]
    """Whether the next token belongs to the scored span."""
    first_B: npt.NDArray[np.int64]
    """Pair of the first scored token of each row."""


def collate(rows: Sequence[Row], device: torch.device) -> Batch:
    """Rows of one string each, as `packing.plain_rows` makes them."""
    width = max(map(len, rows))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    places, tokens, number, scored, firsts, seen = [], [], [], [], [], 0
    for index, row in enumerate(rows):
        n, start = len(row), int(row.places[0])
        ids[index, :n] = row.ids
        places.append(np.arange(n) + index * width)
        tokens.append(np.concatenate([row.ids[1:], row.pair_token[-1:]]))
        number.append(np.full(n, index))
        scored.append(np.arange(n) >= start)
        firsts.append(seen + start)
        seen += n

    def tensor(values: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(values).to(device)

    return Batch(
        tensor(ids),
        tensor(np.concatenate(places)),
        tensor(np.concatenate(tokens)),
        np.concatenate(number),
        np.concatenate(scored),
        np.array(firsts),
    )


def read_batch(lm: LanguageModel, rows: Sequence[Row]) -> Floats:
    """The numbers of `NAMES` for some rows: (rows, 5).

    Log-softmax in float32 (float64 for a model in it); what is not a number stays so.
    """
    batch = collate(rows, lm.device)
    with head_reads(lm.model, batch.places_P, batch.ids_BS.shape):
        logits_PV = lm.model(input_ids=batch.ids_BS, use_cache=False).logits[0]
    chunk = max(1, CHUNK.get(lm.device.type, CHUNK_ELSEWHERE) // logits_PV.shape[1])
    norm_P = torch.cat([wide(part).logsumexp(-1) for part in torch.split(logits_PV, chunk)])
    own_P = wide(logits_PV.gather(1, batch.tokens_P[:, None])[:, 0])
    logprob_P = (own_P - norm_P).double().cpu().numpy()
    target = torch.from_numpy(np.flatnonzero(batch.scored_P)).to(lm.device)
    best_T = torch.cat([logits_PV[part].argmax(-1) for part in torch.split(target, chunk)])
    hit_T = (best_T == batch.tokens_P[target]).cpu().numpy()
    first = torch.from_numpy(batch.first_B).to(lm.device)
    above = []
    for part in torch.split(first, chunk):
        own = logits_PV[part, batch.tokens_P[part]][:, None]
        above.append((logits_PV[part] > own).sum(-1))
    rank_B = torch.cat(above).double().cpu().numpy()
    return _gathered(batch, len(rows), logprob_P, hit_T, rank_B)


def _gathered(
    batch: Batch, n: int, logprob_P: Floats, hit_T: npt.NDArray[np.bool_], rank_B: Floats
) -> Floats:
    row_T = batch.row_P[batch.scored_P]
    sums = np.bincount(row_T, logprob_P[batch.scored_P], minlength=n)
    whole = np.bincount(batch.row_P, logprob_P, minlength=n)
    missed = np.bincount(row_T, ~hit_T, minlength=n)
    first = logprob_P[batch.first_B]
    # A rank among numbers that are none would be 0, the best.
    rank = np.where(np.isfinite(first), rank_B, np.nan)
    full = whole / np.bincount(batch.row_P, minlength=n)
    return np.stack([sums, first, full, rank, missed == 0], axis=1)


def batches(lm: LanguageModel, rows: Sequence[Row], token_budget: int) -> list[Sequence[Row]]:
    """Rows, longest first, in groups that are read together."""
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    heads = [len(row) for row in rows]
    found, done = [], 0
    while done < len(rows):
        count = budget.take(rows, done, heads)
        found.append(rows[done : done + count])
        done += count
    return found


def read_group(lm: LanguageModel, rows: Sequence[Row]) -> Floats:
    """`read_batch`, in halves where memory runs out."""
    found = attempt(partial(read_batch, lm, rows))
    if found is not None:
        return found
    if len(rows) == 1:
        Budget(1, 1).halve(1)
    half = len(rows) // 2
    return np.concatenate([read_group(lm, rows[:half]), read_group(lm, rows[half:])])
