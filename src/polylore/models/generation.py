"""Greedy continuation of prompts, in batches, with a text that does not depend on the batch.

The answer begins after leading white space and ends at the first newline (specification of
`trace`, section 2.2). The generated text is kept as it came.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from polylore.errors import ConfigError, ModelError
from polylore.models.forward import evaluation, head_reads
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.spans import token_ids

Progress = Callable[[int, int, str], None]

_COMPACT = 0.25
"""Share of finished rows in a batch from which on they are taken out of it."""


@dataclass(frozen=True)
class Generation:
    """What a model wrote after a prompt."""

    text: str
    """The new text, untouched: leading space, newline and what came with it included."""
    n_new_tokens: int
    """Tokens generated, a final end-of-text token not counted."""
    stop_reason: str
    """newline, eos or length."""


@dataclass
class PreparedPrompts:
    """Prompts tokenised once, for every checkpoint with this tokenizer."""

    prompts: tuple[str, ...]
    ids: list[list[int]]
    """Token ids of each prompt, begin-of-text included."""
    echoes: list[str]
    """Each prompt as the tokenizer decodes it, to cut it off the decoded whole."""
    tokenizer_hash: str
    newlines: dict[int, bool] = field(default_factory=dict, repr=False)
    """Which token ids contain a newline; filled as they turn up."""


def prepare_prompts(lm: LanguageModel, prompts: Sequence[str], *, bos: bool) -> PreparedPrompts:
    """Tokenise prompts once; the result serves all models with the same tokenizer.

    Args:
        lm: the model, for its tokenizer.
        prompts: the texts to continue, without trailing delimiter: the model writes it itself.
        bos: put the begin-of-text token in front, if the tokenizer has one.

    Raises:
        ModelError: a prompt without tokens.
    """
    ids = token_ids(lm.tokenizer, prompts, bos=bos)
    if not all(ids):
        raise ModelError("An empty prompt cannot be continued without a begin-of-text token.")
    return PreparedPrompts(
        prompts=tuple(prompts),
        ids=ids,
        echoes=[_decode(lm.tokenizer, row) for row in ids],
        tokenizer_hash=lm.tokenizer_hash,
    )


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
    if prepared.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(
            f"These prompts were tokenised for another tokenizer than that of {lm.name}."
        )
    total = len(prepared.ids)
    caps = [max_new_tokens] * total if isinstance(max_new_tokens, int) else list(max_new_tokens)
    if len(caps) != total or any(cap < 1 for cap in caps):
        raise ConfigError("max_new_tokens must be at least 1 for each prompt.")
    for prompt, ids, cap in zip(prepared.prompts, prepared.ids, caps, strict=True):
        lm.check_context(prompt, len(ids) + cap, f"and {cap} new tokens ")
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
        self.prepared = prepared
        self.members = members
        self.caps = [caps[k] for k in members]
        self.stop_at_newline = stop_at_newline
        self.eos = _end_ids(lm)
        self.new: list[list[int]] = [[] for _ in members]
        self.reasons: list[str | None] = [None for _ in members]

    def finish(self) -> list[Generation]:
        """Continue all prompts to their ends."""
        self._run()
        return [
            Generation(self._text(row), len(tokens), str(reason))
            for row, (tokens, reason) in enumerate(zip(self.new, self.reasons, strict=True))
        ]

    def _run(self) -> None:
        ids_BS, mask_BS = self._padded()
        padded = bool((mask_BS == 0).any())
        rows = list(range(len(self.members)))
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
            for row, token in zip(rows, next_B.tolist(), strict=True):
                if self.reasons[row] is None:
                    self._accept(row, token)
            alive = [k for k, row in enumerate(rows) if self.reasons[row] is None]
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
                cache.batch_select_indices(keep)
                next_B, mask_BS = next_B[keep], mask_BS[keep]
                rows = [rows[k] for k in alive]
            ids_BS = next_B[:, None]
            mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(rows), 1)], dim=1)

    def _padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts padded on the left, and which of their tokens are real; both (B, S)."""
        prompts = [self.prepared.ids[k] for k in self.members]
        length = max(map(len, prompts))
        ids = [[0] * (length - len(p)) + p for p in prompts]
        mask = [[0] * (length - len(p)) + [1] * len(p) for p in prompts]
        return torch.tensor(ids, device=self.lm.device), torch.tensor(mask, device=self.lm.device)

    def _accept(self, row: int, token: int) -> None:
        if token in self.eos:
            self.reasons[row] = "eos"
            return
        self.new[row].append(token)
        # Only the whole text shows whether anything but white space came before the newline.
        newline = self.stop_at_newline and self._has_newline(token)
        if newline and "\n" in self._text(row).lstrip():
            self.reasons[row] = "newline"
        elif len(self.new[row]) >= self.caps[row]:
            self.reasons[row] = "length"

    def _has_newline(self, token: int) -> bool:
        known = self.prepared.newlines
        if token not in known:
            # A newline is one byte in UTF-8 and never part of another character, so a token can
            # be judged alone even where it holds broken characters.
            known[token] = "\n" in _decode(self.lm.tokenizer, [token])
        return known[token]

    def _text(self, row: int) -> str:
        index = self.members[row]
        echo = self.prepared.echoes[index]
        whole = _decode(self.lm.tokenizer, self.prepared.ids[index] + self.new[row])
        # Some decoders drop the space at the beginning of a text, so the answer is decoded behind
        # its prompt.
        if whole.startswith(echo):
            return whole[len(echo) :]
        return _decode(self.lm.tokenizer, self.new[row])


def _end_ids(lm: LanguageModel) -> frozenset[int]:
    generation = getattr(lm.model, "generation_config", None)
    ends = getattr(generation, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(t for t in [*listed, lm.tokenizer.eos_token_id] if t is not None)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
