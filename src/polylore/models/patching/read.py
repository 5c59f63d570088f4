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
    places: list[int] = []
    tokens: list[int] = []
    starts: list[int] = []  # where the tokens of each query begin
    at: list[int] = []  # the place of each query
    ends: list[int] = []  # the place right behind each prompt
    first = 0
    for prompt in prompts:
        where = {node: first + k for k, node in enumerate(prompt.tree.places)}
        for query in _queries(prompt):
            starts.append(len(tokens))
            at.append(where[query.node])
            tokens.extend(query.ids)
            places.extend([where[query.node]] * len(query.ids))
        ends.append(where[prompt.tree.end])
        first += len(where)
    norm_OK = _norms(logits_OKV)
    top_ON = logits_OKV[:, ends].argmax(-1).cpu().numpy()
    chosen_OT = logits_OKV[:, places, tokens].double().cpu().numpy()
    # No prompt asks for an empty set, so every query has a part of its own.
    asked_OQ = np.logaddexp.reduceat(chosen_OT, starts, axis=1) if starts else chosen_OT
    asked_OQ = asked_OQ - norm_OK[:, at]
    found, done = [], 0
    for number, prompt in enumerate(prompts):
        sets = asked_OQ[:, done : done + len(prompt.sets)]
        done += len(prompt.sets)
        forms = np.zeros((len(asked_OQ), len(prompt.forms)))
        for column, queries in enumerate(prompt.tree.form_queries):
            forms[:, column] = asked_OQ[:, done : done + len(queries)].sum(axis=1)
            done += len(queries)
        found.append(Reading(sets, forms, top_ON[:, number]))
    return found


def _queries(prompt: PatchPrompt) -> list[Query]:
    return [*prompt.tree.set_queries, *(q for qs in prompt.tree.form_queries for q in qs)]


def _norms(logits_OKV: torch.Tensor) -> npt.NDArray[np.float64]:
    """logsumexp over the vocabulary in float32 (1 + onsets, K), in chunks as in scoring."""
    flat = logits_OKV.flatten(0, 1)
    elements = CHUNK.get(flat.device.type, CHUNK_ELSEWHERE)
    parts = torch.split(flat, max(1, elements // flat.shape[1]))
    norm = torch.cat([part.float().logsumexp(-1) for part in parts])
    found: npt.NDArray[np.float64] = norm.double().view(logits_OKV.shape[:2]).cpu().numpy()
    return found
