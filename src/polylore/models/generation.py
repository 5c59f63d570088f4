"""Continuation of prompts, in batches, with a text that does not depend on the batch."""

import weakref
from collections.abc import Callable, Sequence

import torch

from polylore.errors import ModelError
from polylore.models.answers import (
    Answer,
    Generation,
    PreparedPrompts,
    checked_caps,
    end_ids,
    prepare_prompts,
)
from polylore.models.forward import evaluation
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.prefill import may_share, next_logits, prefill
from polylore.models.sampling import Sampling

Progress = Callable[[int, int, str], None]

COMPACT = 0.25
"""Share of finished rows in a batch from which on they are taken out of it."""


def generate(
    lm: LanguageModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: Sequence[int] | int,
    bos: bool,
    stop_at_newline: bool = True,
    token_budget: int,
    progress: Progress | None = None,
) -> list[Generation]:
    """Continue prompts greedily; see `generate_prepared`."""
    return generate_prepared(
        lm,
        prepare_prompts(lm, prompts, bos=bos),
        max_new_tokens=max_new_tokens,
        stop_at_newline=stop_at_newline,
        token_budget=token_budget,
        progress=progress,
    )


def generate_prepared(
    lm: LanguageModel,
    prepared: PreparedPrompts,
    *,
    max_new_tokens: Sequence[int] | int,
    stop_at_newline: bool = True,
    sampling: Sampling | None = None,
    token_budget: int,
    progress: Progress | None = None,
) -> list[Generation]:
    """Continue every prompt with the likeliest token at each step, unless `sampling` draws it.

    Args:
        lm: the model.
        prepared: the prompts, from `prepare_prompts`.
        max_new_tokens: most tokens to write, for all prompts or for each.
        stop_at_newline: stop a prompt at the first newline after other text.
        sampling: how tokens are drawn, with a seed for each prompt.
        token_budget: tokens in memory at once: rows times prompt and answer; halved when memory
            runs out.
        progress: called with (prompts done, prompts in all, what).

    Returns:
        One `Generation` per prompt, in order.

    Raises:
        ConfigError: a cap below one, or another number of caps than of prompts.
        ModelError: another tokenizer than the one prepared for, or a prompt and its cap longer
            than the model's context.
    """
    caps = checked_caps(lm, prepared, max_new_tokens)
    total = len(caps)
    order = reading_order(prepared, caps)
    spans = [range(len(prepared.ids[k]) + caps[k]) for k in order]
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    results: list[Generation | None] = [None] * total
    done = 0
    with evaluation(lm.model):
        share = bool(spans) and _shares(lm, prepared, len(spans[0]))
        while done < total:
            members = order[done : done + budget.take(spans, done)]
            batch = _Batch(lm, prepared, members, caps, stop_at_newline, share, sampling)
            made = attempt(batch.finish)
            if made is None:
                budget.halve(len(members))
                continue
            for index, result in zip(members, made, strict=True):
                results[index] = result
            done += len(members)
            if progress:
                progress(done, total, "generating")
    return [result for result in results if result is not None]


def reading_order(prepared: PreparedPrompts, caps: Sequence[int]) -> list[int]:
    """The order in which prompts are taken: longest first, prompt and answer together.

    Equal lengths stand together, so most batches need no padding.
    """
    return sorted(range(len(caps)), key=lambda k: (-len(prepared.ids[k]) - caps[k], k))


class _Batch:
    """Prompts that are continued together."""

    def __init__(
        self,
        lm: LanguageModel,
        prepared: PreparedPrompts,
        members: Sequence[int],
        caps: Sequence[int],
        stop_at_newline: bool,
        share: bool,
        sampling: Sampling | None,
    ) -> None:
        self.lm = lm
        self.share = share
        self.sampling = sampling
        ends = end_ids(lm)
        self.answers = [
            Answer(lm.tokenizer, prepared, k, caps[k], ends, stop_at_newline) for k in members
        ]

    def finish(self) -> list[Generation]:
        """Continue all prompts to their ends."""
        self._run()
        return [answer.result() for answer in self.answers]

    def _run(self) -> None:
        model = self.lm.model
        prompts = [answer.prepared.ids[answer.index] for answer in self.answers]
        logits_BV, cache, mask_BT = prefill(model, prompts, share=self.share)
        rows = list(self.answers)
        while True:
            next_B = self._chosen(logits_BV, rows)
            for answer, token in zip(rows, next_B.tolist(), strict=True):
                if answer.reason is None:
                    answer.accept(token)
            alive = [k for k, answer in enumerate(rows) if answer.reason is None]
            if not alive:
                return
            if cache is None:
                raise ModelError(
                    f"{type(model).__name__} keeps no key/value cache, without which "
                    "polylore cannot generate; ask it for scores only."
                )
            if len(alive) <= (1 - COMPACT) * len(rows):
                keep = torch.tensor(alive, device=self.lm.device)
                cache.reorder_cache(keep)  # named after beam search; every kind of layer has it
                next_B, mask_BT = next_B[keep], mask_BT[keep]
                rows = [rows[k] for k in alive]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            logits_BV, cache = next_logits(model, next_B[:, None], mask_BT, cache)

    def _chosen(self, logits_BV: torch.Tensor, rows: Sequence[Answer]) -> torch.Tensor:
        if self.sampling is None:
            return logits_BV.argmax(-1)
        written = [len(answer.tokens) for answer in rows]
        return self.sampling.draw(logits_BV, [answer.index for answer in rows], written)


def _shares(lm: LanguageModel, prepared: PreparedPrompts, longest: int) -> bool:
    """`may_share`, asked once per model object and length."""
    judged = prepared.judged
    if judged is None or judged[0]() is not lm.model or judged[1] != longest:
        found = len(prepared.ids) > 1 and may_share(lm, prepared.ids, longest)
        prepared.judged = judged = (weakref.ref(lm.model), longest, found)
    return judged[2]
