"""The reference: every onset is one full forward pass with plain hooks on the blocks.

Slow and obviously right; everything else is held against it. Hooks act on the one pass they were
made for, and greedy text is found by reading the whole string anew for every token.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from polylore.models.forward import head_reads
from polylore.models.patching.blocks import Blocks, hidden, with_hidden
from polylore.models.patching.onsets import CLEAN, forced
from polylore.models.patching.prompts import PatchPrompt
from polylore.models.patching.rows import Rows, Side, padded


@contextmanager
def patched(
    blocks: Blocks, onset: int, depth: int | None, vectors_LBMD: torch.Tensor, starts: Sequence[int]
) -> Iterator[None]:
    """Overwrite M tokens of every row, from index `starts[row]` on, in the layers of an onset."""
    rows_B1 = torch.arange(len(starts), device=vectors_LBMD.device)[:, None]
    first_B1 = torch.tensor(starts, device=vectors_LBMD.device)[:, None]
    tokens_BM = first_B1 + torch.arange(vectors_LBMD.shape[2], device=vectors_LBMD.device)

    def written(state: torch.Tensor, layer: int) -> torch.Tensor:
        state = state.clone()
        state[rows_B1, tokens_BM] = vectors_LBMD[layer + 1].to(state)
        return state

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (written(args[0], -1), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": written(kwargs["hidden_states"], -1)}

    with ExitStack() as hooks:
        if forced(-1, onset, depth):
            handle = blocks.modules[0].register_forward_pre_hook(before, with_kwargs=True)
            hooks.callback(handle.remove)
        for layer, module in enumerate(blocks.modules):
            if forced(layer, onset, depth):

                def after(_: Any, __: Any, output: Any, layer: int = layer) -> Any:
                    return with_hidden(output, written(hidden(output), layer))

                hooks.callback(module.register_forward_hook(after).remove)
        yield


def hooks_logits(
    model: Any,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
    *,
    side: Side = "right",
) -> torch.Tensor:
    """Logits at every place of every prompt, clean and for each onset: (1 + onsets, K, V)."""
    rows = Rows.of(prompts)
    strings = [
        [*prompts[n].ids[: prompts[n].last + 1], *behind]
        for n, behind in zip(rows.owner, rows.behind, strict=True)
    ]
    inputs, gaps = padded(strings, side, blocks, vectors_LNMD.device)
    starts = [gap + prompts[n].first for gap, n in zip(gaps, rows.owner, strict=True)]
    shape = inputs["input_ids"].shape
    places = [row * shape[1] + starts[row] + index for row, index in rows.places]
    places_K = torch.tensor(places, device=vectors_LNMD.device)
    vectors_LBMD = vectors_LNMD[:, rows.owner]
    found = []
    for onset in [CLEAN, *onsets]:
        with ExitStack() as stack:
            stack.enter_context(head_reads(model, places_K, shape))
            if onset is not CLEAN:
                stack.enter_context(patched(blocks, onset, depth, vectors_LBMD, starts))
            found.append(model(**inputs, use_cache=False).logits[0])
    return torch.stack(found)


def hooks_greedy(
    model: Any,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onset: int | None,
    depth: int | None,
    steps: int,
) -> list[list[int]]:
    """The likeliest next tokens of each prompt, the whole string read anew for every token."""
    strings = [list(prompt.ids) for prompt in prompts]
    starts = [prompt.first for prompt in prompts]
    for _ in range(steps):
        inputs, _gaps = padded(strings, "right", blocks, vectors_LNMD.device)
        shape = inputs["input_ids"].shape
        last = [row * shape[1] + len(string) - 1 for row, string in enumerate(strings)]
        with ExitStack() as stack:
            places_K = torch.tensor(last, device=vectors_LNMD.device)
            stack.enter_context(head_reads(model, places_K, shape))
            if onset is not CLEAN:
                stack.enter_context(patched(blocks, onset, depth, vectors_LNMD, starts))
            logits_NV = model(**inputs, use_cache=False).logits[0]
        for string, token in zip(strings, logits_NV.argmax(-1).tolist(), strict=True):
            string.append(token)
    return [s[len(prompt.ids) :] for s, prompt in zip(strings, prompts, strict=True)]
