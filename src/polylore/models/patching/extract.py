"""Concept vectors: what the residual stream holds at chosen tokens, in every layer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from polylore.errors import DataError
from polylore.models.forward import evaluation, head_reads
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.patching.blocks import Blocks, hidden

Progress = Callable[[int, int, str], None]


def concept_states(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int = 1,
    token_budget: int,
    progress: Progress | None = None,
) -> Iterator[tuple[int, torch.Tensor]]:
    """The residual stream at the last tokens of each prompt (specification of `patch`, section 2).

    A source prompt ends with the object's last token, so one token is the concept; more of them are
    the object's other sub-tokens.

    Args:
        lm: the model.
        blocks: its blocks.
        prompts: token ids of each source prompt.
        tokens: M, how many of the last tokens are kept.
        token_budget: tokens, padding included, of one forward pass; halved when memory runs out.
        progress: called with (prompts done, prompts in all, what).

    Yields:
        Index of a prompt, longest prompts first, and its states (L + 1, M, D) in float32 on the
        CPU; row 0 is the input of block 0, row l + 1 the output of block l.

    Raises:
        DataError: a prompt with fewer than `tokens` tokens.
        ModelError: a prompt longer than the model reads, or memory for not even one.
    """
    for number, prompt in enumerate(prompts):
        if len(prompt) < tokens:
            raise DataError(f"A source prompt of {len(prompt)} tokens has no {tokens} to keep.")
        lm.check_context(f"number {number}", len(prompt))
    order = sorted(range(len(prompts)), key=lambda k: (-len(prompts[k]), k))
    rows = [prompts[k] for k in order]
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    done = 0
    while done < len(rows):
        batch = rows[done : done + budget.take(rows, done)]
        ends = [len(row) for row in batch]

        def read(batch: Sequence[Sequence[int]] = batch, ends: list[int] = ends) -> torch.Tensor:
            return states_at(lm.model, blocks, batch, [end - tokens for end in ends], tokens)

        with evaluation(lm.model):
            states_LNMD = attempt(read)
        if states_LNMD is None:
            budget.halve(len(batch))
            continue
        kept = states_LNMD.float().cpu()
        for row in range(len(batch)):
            yield order[done + row], kept[:, row].clone()
        done += len(batch)
        if progress:
            progress(done, len(rows), "reading concepts")


def states_at(
    model: Any,
    blocks: Blocks,
    strings: Sequence[Sequence[int]],
    starts: Sequence[int],
    tokens: int,
) -> torch.Tensor:
    """The residual stream at M tokens of each string from `starts` on, (L + 1, N, M, D)."""
    device = model.get_input_embeddings().weight.device
    width = max(map(len, strings))
    # Padded on the right, where nothing real looks, so no mask is needed.
    ids_NS = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in strings], device=device)
    rows_N1 = torch.arange(len(strings), device=device)[:, None]
    tokens_NM = torch.tensor(starts, device=device)[:, None] + torch.arange(tokens, device=device)
    kept: list[torch.Tensor] = []

    def enter(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        state = args[0] if args else kwargs["hidden_states"]
        kept.append(state[rows_N1, tokens_NM])

    def leave(_: Any, __: Any, output: Any) -> None:
        kept.append(hidden(output)[rows_N1, tokens_NM])

    with ExitStack() as hooks:
        first = blocks.modules[0].register_forward_pre_hook(enter, with_kwargs=True)
        hooks.callback(first.remove)
        for module in blocks.modules:
            hooks.callback(module.register_forward_hook(leave).remove)
        # One position goes through the output layer, because none of the logits is needed.
        one = torch.zeros(1, dtype=torch.long, device=device)
        hooks.enter_context(head_reads(model, one, ids_NS.shape))
        model(input_ids=ids_NS, use_cache=False)
    return torch.stack([state.to(device) for state in kept])
