"""From logits at the places of prompts to log-probabilities of what was asked there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polylore.models.forward import CHUNK, CHUNK_ELSEWHERE
from polylore.models.patching.prompts import PatchPrompt, Query


@dataclass(frozen=True)
class Reading:
    """What a prompt answers, clean (row 0) and for each onset; log-probabilities in nats."""

    sets: npt.NDArray[np.float64]
    """(1 + onsets, sets): that the next token is one of a set; exp() is `p_first`."""
    forms: npt.NDArray[np.float64]
    """(1 + onsets, forms): of each form and its closing quote, in its canonical tokens only, so a
    lower bound of the form's probability. The logsumexp over a concept's forms is `logp_full`."""
    top: npt.NDArray[np.int64]
    """(1 + onsets): the likeliest next token."""


def read(logits_OKV: torch.Tensor, prompts: Sequence[PatchPrompt]) -> list[Reading]:
    """Answer the queries of prompts (specification of `patch`, section 2).

    Args:
        logits_OKV: at every place of every prompt, clean and for each onset, as engines give them.
        prompts: the prompts, in the same order.
    """
    groups, places, vocabulary = logits_OKV.shape
    flat = logits_OKV.flatten(0, 1)
    elements = CHUNK.get(flat.device.type, CHUNK_ELSEWHERE)
    parts = torch.split(flat, max(1, elements // vocabulary))
    norm_OK = torch.cat([part.float().logsumexp(-1) for part in parts]).view(groups, places)
    found, first = [], 0
    for prompt in prompts:
        tree = prompt.tree
        at = {node: first + k for k, node in enumerate(tree.places)}
        first += len(tree.places)
        forms = [_asked(logits_OKV, norm_OK, at, queries) for queries in tree.form_queries]
        sets = [_asked(logits_OKV, norm_OK, at, [query]) for query in tree.set_queries]
        top = logits_OKV[:, at[tree.end]].argmax(-1).cpu().numpy()
        found.append(Reading(_stacked(sets, groups), _stacked(forms, groups), top))
    return found


def _asked(
    logits_OKV: torch.Tensor, norm_OK: torch.Tensor, at: dict[int, int], queries: Sequence[Query]
) -> torch.Tensor:
    """Sum of the log-probabilities of some queries, (1 + onsets)."""
    total = torch.zeros(len(logits_OKV), dtype=torch.float64, device=logits_OKV.device)
    for query in queries:
        place = at[query.node]
        ids = torch.tensor(query.ids, device=logits_OKV.device)
        chosen = logits_OKV[:, place].index_select(1, ids).float().logsumexp(-1)
        total += chosen.double() - norm_OK[:, place].double()
    return total


def _stacked(columns: Sequence[torch.Tensor], groups: int) -> npt.NDArray[np.float64]:
    if not columns:
        return np.zeros((groups, 0))
    return torch.stack(list(columns), dim=1).cpu().numpy()
