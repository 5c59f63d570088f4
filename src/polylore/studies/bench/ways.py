"""The ways of scoring that need nothing but polylore's own dependencies.

Each takes questions as text and gives one number per candidate: the log-probability, in nats, of
its tokens given all that stands before them. Tokenising is part of the work of every way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from polylore.models import (
    Encoded,
    EngineReport,
    LanguageModel,
    Prepared,
    Question,
    prepare,
    score_prepared,
)

Logprobs = list[list[float]]
Run = Callable[[Sequence[Question]], Logprobs]


@dataclass(frozen=True)
class Way:
    """One way of scoring, or the reason why it cannot be measured."""

    name: str
    run: Run | None
    """None if it is not installed."""
    batch: int | None = None
    """Rows of a batch; None where a way has no such setting."""
    note: str = ""
    """What a reader of its numbers has to know."""


def one_by_one(lm: LanguageModel) -> Run:
    """The plainest way: one forward pass for every candidate."""
    return sorted_batches(lm, 1)


def sorted_batches(lm: LanguageModel, rows: int) -> Run:
    """What a careful loop does: batches of similar length, logits at every position."""

    def run(questions: Sequence[Question]) -> Logprobs:
        prepared = prepare(lm, questions, bos=True)
        strings = prepared.strings
        order = sorted(range(len(strings)), key=lambda k: len(strings[k].ids))
        sums = [0.0] * len(strings)
        with torch.inference_mode():
            for first in range(0, len(order), rows):
                batch = order[first : first + rows]
                # Padding stands on the right, where nothing real looks, so no mask is needed.
                ids_BS, _ = _padded(lm, [strings[k] for k in batch])
                logits_BSV = lm.model(ids_BS).logits
                for k, logits_SV in zip(batch, logits_BSV, strict=True):
                    sums[k] = float(_target_logprobs(logits_SV, strings[k]).sum())
        return by_question(prepared, sums)

    return run


def full_statements(lm: LanguageModel, rows: int) -> Run:
    """What lm-pub-quiz does for causal models: log-probabilities of all tokens of each statement.

    Its own score is their sum over demonstrations, question and candidate. Given back is the
    candidate's share of it, which ranks the candidates of a question alike and is the number the
    other ways give. As there, a batch holds statements of one question, with a padding mask.
    """

    def run(questions: Sequence[Question]) -> Logprobs:
        prepared = prepare(lm, questions, bos=True)
        strings = prepared.strings
        sums = [0.0] * len(strings)
        with torch.inference_mode():
            for _, group in groupby(range(len(strings)), key=prepared.owner.__getitem__):
                members = list(group)
                for first in range(0, len(members), rows):
                    batch = members[first : first + rows]
                    ids_BS, mask_BS = _padded(lm, [strings[k] for k in batch])
                    logits_BSV = lm.model(ids_BS, attention_mask=mask_BS).logits
                    for k, logits_SV in zip(batch, logits_BSV, strict=True):
                        whole = Encoded(strings[k].ids, 1, len(strings[k].ids))
                        logprobs = _target_logprobs(logits_SV, whole).tolist()
                        sums[k] = sum(logprobs[strings[k].start - 1 : strings[k].stop - 1])
        return by_question(prepared, sums)

    return run


def polylore_way(lm: LanguageModel, token_budget: int, report: EngineReport) -> Run:
    """polylore, with the engine that the self-check chose when the model was loaded.

    Texts are tokenised and arranged anew each time, although `trace` does so once for all
    checkpoints.
    """

    def run(questions: Sequence[Question]) -> Logprobs:
        prepared = prepare(lm, questions, bos=True)
        prepared.remember(lm.model, "auto", report)
        scores = score_prepared(lm, prepared, token_budget=token_budget)
        return [[score.logprob for score in row] for row in scores]

    return run


def by_question(prepared: Prepared, values: Sequence[float]) -> Logprobs:
    """One value per candidate, as one list per question."""
    found: Logprobs = [[] for _ in prepared.questions]
    for value, owner in zip(values, prepared.owner, strict=True):
        found[owner].append(value)
    return found


def _padded(lm: LanguageModel, strings: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and padding mask, both (B, S)."""
    length = max(len(string.ids) for string in strings)
    ids = [string.ids + [0] * (length - len(string.ids)) for string in strings]
    mask = [[1] * len(string.ids) + [0] * (length - len(string.ids)) for string in strings]
    return torch.tensor(ids, device=lm.device), torch.tensor(mask, device=lm.device)


def _target_logprobs(logits_SV: torch.Tensor, string: Encoded) -> torch.Tensor:
    """Log-probability of each target token, float32."""
    tokens = torch.tensor(string.ids[string.start : string.stop], device=logits_SV.device)
    logits_PV = logits_SV[string.start - 1 : string.stop - 1].float()
    return logits_PV.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
