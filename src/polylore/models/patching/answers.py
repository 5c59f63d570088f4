"""Greedy answers after a patch, continued from the spliced cache.

What a patched run leaves behind is, up to the onset, the cache of the clean run, and from there on
its own. New tokens are never patched; they read the patched ones through the cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from polylore.models.forward import evaluation
from polylore.models.generation import COMPACT
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.patching.blocks import Blocks
from polylore.models.patching.engines import check, tokens
from polylore.models.patching.hooks import hooks_greedy
from polylore.models.patching.onsets import checked
from polylore.models.patching.prompts import PatchPrompt
from polylore.models.patching.suffix import read_suffixes
from polylore.models.patching.tail import exact_tail
from polylore.models.prefill import next_logits

Progress = Callable[[int, int, str], None]


def patched_answers(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
    onsets: Sequence[int],
    *,
    depth: int | None = None,
    engine: str,
    max_new_tokens: int,
    stops: frozenset[int],
    token_budget: int,
    progress: Progress | None = None,
) -> list[list[list[int]]]:
    """Continue every prompt greedily, clean and patched from each onset on.

    Args:
        engine: suffix, or hooks, which reads the whole string anew for every token.
        max_new_tokens: most tokens of an answer.
        stops: tokens that end one; they are part of it.
        lm, blocks, prompts, vectors, onsets, depth, token_budget, progress: as for `sweep`.

    Returns:
        New tokens of each prompt, clean and for each onset.

    Raises:
        ConfigError, DataError, ModelError: as `sweep`.
    """
    onsets = checked(onsets, len(blocks), depth)
    check(lm, blocks, prompts, vectors)
    bare = [replace(prompt, sets=(), forms=(), ends=()) for prompt in prompts]
    for number, prompt in enumerate(bare):
        lm.check_context(f"number {number}", len(prompt.ids) + max_new_tokens, "with its answer ")
    order = sorted(range(len(bare)), key=lambda k: (*_alike(bare[k]), len(bare[k].ids), k))
    cap = max_new_tokens * (1 + len(onsets))
    sizes = [range(tokens("suffix", bare[k], onsets) + cap) for k in order]
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    found: dict[int, list[list[int]]] = {}
    write = _by_hooks if engine == "hooks" else _by_suffix
    with evaluation(lm.model), exact_tail(lm.model, blocks):
        while len(found) < len(bare):
            first = len(found)
            members = order[first : first + budget.take(sizes, first)]
            members = [k for k in members if _alike(bare[k]) == _alike(bare[members[0]])]
            some = [bare[k] for k in members]
            own = torch.stack([vectors[k].to(lm.device) for k in members], dim=1)
            made = attempt(
                partial(write, lm, blocks, some, own, onsets, depth, max_new_tokens, stops)
            )
            if made is None:
                budget.halve(len(members))
                continue
            found.update(zip(members, made, strict=True))
            if progress:
                progress(len(found), len(bare), "answering")
    return [found[k] for k in range(len(bare))]


def _alike(prompt: PatchPrompt) -> tuple[int, int]:
    """What must be equal in a batch, so that every prompt ends in the last column."""
    return prompt.patched, prompt.suffix


def _by_suffix(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
    cap: int,
    stops: frozenset[int],
) -> list[list[list[int]]]:
    logits_ONV, stairs, cache, mask_NT = read_suffixes(
        lm.model, blocks, prompts, vectors_LNMD, onsets, depth
    )
    groups, count = logits_ONV.shape[:2]
    rows = [(group, row) for group in range(groups) for row in range(count)]
    stairs.splice(cache, [group for group, _ in rows], [row for _, row in rows])
    mask_BT = mask_NT.repeat(groups, 1)
    logits_BV = logits_ONV.flatten(0, 1)
    written: dict[tuple[int, int], list[int]] = {row: [] for row in rows}
    while True:
        next_B = logits_BV.argmax(-1)
        for row, token in zip(rows, next_B.tolist(), strict=True):
            if not _done(written[row], cap, stops):
                written[row].append(token)
        alive = [k for k, row in enumerate(rows) if not _done(written[row], cap, stops)]
        if not alive:
            return [[written[group, row] for group in range(groups)] for row in range(count)]
        if len(alive) <= (1 - COMPACT) * len(rows):
            keep = torch.tensor(alive, device=lm.device)
            cache.reorder_cache(keep)
            next_B, mask_BT, rows = next_B[keep], mask_BT[keep], [rows[k] for k in alive]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
        logits_BV, cache = next_logits(lm.model, next_B[:, None], mask_BT, cache)


def _by_hooks(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
    cap: int,
    stops: frozenset[int],
) -> list[list[list[int]]]:
    whole = [
        hooks_greedy(lm.model, blocks, prompts, vectors_LNMD, onset, depth, cap)
        for onset in (None, *onsets)
    ]
    return [[_cut(by_onset[row], stops) for by_onset in whole] for row in range(len(prompts))]


def _done(tokens: Sequence[int], cap: int, stops: frozenset[int]) -> bool:
    return len(tokens) >= cap or bool(tokens and tokens[-1] in stops)


def _cut(tokens: list[int], stops: frozenset[int]) -> list[int]:
    ends = (k + 1 for k, token in enumerate(tokens) if token in stops)
    return tokens[: next(ends, len(tokens))]
