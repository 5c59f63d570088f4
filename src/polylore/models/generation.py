"""Greedy continuation of prompts, in batches, with a text that does not depend on the batch."""

from collections.abc import Callable, Sequence
from typing import Any

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
from polylore.models.forward import evaluation, head_reads
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt

Progress = Callable[[int, int, str], None]

_COMPACT = 0.25
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
    token_budget: int,
    progress: Progress | None = None,
) -> list[Generation]:
    """Continue every prompt with the likeliest token at each step.

    Args:
        lm: the model.
        prepared: the prompts, from `prepare_prompts`.
        max_new_tokens: most tokens to write, for all prompts or for each.
        stop_at_newline: stop a prompt at the first newline after other text.
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
    # Equal lengths stand together, so most batches need no padding.
    order = sorted(range(total), key=lambda k: (-len(prepared.ids[k]) - caps[k], k))
    spans = [range(len(prepared.ids[k]) + caps[k]) for k in order]
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    results: list[Generation | None] = [None] * total
    done = 0
    with evaluation(lm.model):
        while done < total:
            members = order[done : done + budget.take(spans, done)]
            batch = _Batch(lm, prepared, members, caps, stop_at_newline)
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


class _Batch:
    """Prompts that are continued together."""

    def __init__(
        self,
        lm: LanguageModel,
        prepared: PreparedPrompts,
        members: Sequence[int],
        caps: Sequence[int],
        stop_at_newline: bool,
    ) -> None:
        self.lm = lm
        ends = end_ids(lm)
        self.answers = [
            Answer(lm.tokenizer, prepared, k, caps[k], ends, stop_at_newline) for k in members
        ]

    def finish(self) -> list[Generation]:
        """Continue all prompts to their ends."""
        self._run()
        return [answer.result() for answer in self.answers]

    def _run(self) -> None:
        ids_BS, mask_BS = self._padded()
        padded = bool((mask_BS == 0).any())
        rows = list(self.answers)
        cache: Any = None
        while True:
            inputs: dict[str, Any] = {"input_ids": ids_BS, "use_cache": True}
            if padded:
                positions_BS = (mask_BS.cumsum(-1) - 1).clamp_min(0)
                inputs["attention_mask"] = mask_BS
                inputs["position_ids"] = positions_BS[:, -ids_BS.shape[1] :]
            last_B = torch.arange(1, len(rows) + 1, device=self.lm.device) * ids_BS.shape[1] - 1
            with head_reads(self.lm.model, last_B, ids_BS.shape):
                output = self.lm.model(past_key_values=cache, **inputs)
            next_B = output.logits[0].argmax(-1)
            for answer, token in zip(rows, next_B.tolist(), strict=True):
                if answer.reason is None:
                    answer.accept(token)
            alive = [k for k, answer in enumerate(rows) if answer.reason is None]
            if not alive:
                return
            cache = getattr(output, "past_key_values", None)
            if cache is None:
                raise ModelError(
                    f"{type(self.lm.model).__name__} keeps no key/value cache, without which "
                    "polylore cannot generate; ask it for scores only."
                )
            if len(alive) <= (1 - _COMPACT) * len(rows):
                keep = torch.tensor(alive, device=self.lm.device)
                cache.reorder_cache(keep)  # named after beam search; every kind of layer has it
                next_B, mask_BS = next_B[keep], mask_BS[keep]
                rows = [rows[k] for k in alive]
            ids_BS = next_B[:, None]
            mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(rows), 1)], dim=1)

    def _padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts padded on the left, and which of their tokens are real; both (B, S)."""
        prompts = [answer.prepared.ids[answer.index] for answer in self.answers]
        length = max(map(len, prompts))
        ids = [[0] * (length - len(p)) + p for p in prompts]
        mask = [[0] * (length - len(p)) + [1] * len(p) for p in prompts]
        return torch.tensor(ids, device=self.lm.device), torch.tensor(mask, device=self.lm.device)
