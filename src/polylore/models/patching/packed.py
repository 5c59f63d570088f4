"""All onsets in one row: the prompt once, and behind it what follows the patched tokens for each.

In a patch from an onset to the end the patched tokens are overwritten in every layer that anything
patched reads, so they are the same for all onsets and stand in the row once. What follows them is a
branch for each onset, under a tree mask. Block l works on the prompt, the clean branch and the
branches of onsets before l; when it is done, the branch of onset l is born as a copy of the clean
one. No cache is copied, and each block is one large product: the quickest way, for architectures
that take tree masks (see `polylore.models.masks`).

Columns of a row: prefix | patched tokens, clean | clean branch | patched tokens, overwritten |
branch of the first onset | branch of the second | ...
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.forward import head_reads
from polylore.models.masks import own_masks
from polylore.models.patching.blocks import Blocks, Forward, hidden, replaced, with_hidden
from polylore.models.patching.prompts import PATCHED, PatchPrompt


class Layout:
    """Where things stand in the row; N prompts, W columns."""

    def __init__(self, prompts: Sequence[PatchPrompt], onsets: Sequence[int]) -> None:
        self.prompts, self.onsets = prompts, onsets
        self.patched = prompts[0].patched
        self.prefix = max(prompt.first for prompt in prompts)
        self.branch = max(len(prompt.tree.ids) for prompt in prompts)
        self.clean = self.prefix + self.patched
        """First column of the clean branch."""
        self.written = self.clean + self.branch
        """First column of the overwritten tokens."""
        self.base = self.written + self.patched
        """First column of the first onset's branch."""
        self.width = self.base + self.branch * len(onsets)

    def columns(self, layer: int) -> int:
        """How many columns block `layer` works on."""
        return self.base + self.branch * sum(onset < layer for onset in self.onsets)

    def branches(self) -> list[tuple[int, int]]:
        """First column of each branch, and of the patched tokens that it stands on."""
        born = [(self.base + self.branch * k, self.written) for k in range(len(self.onsets))]
        return [(self.clean, self.prefix), *born]

    def ids(self, device: torch.device) -> torch.Tensor:
        """Token ids (N, W)."""
        ids_NW = torch.zeros(len(self.prompts), self.width, dtype=torch.long)
        for row, prompt in enumerate(self.prompts):
            behind = torch.tensor(prompt.tree.ids, dtype=torch.long)
            head = torch.tensor(prompt.ids[: prompt.last + 1])
            ids_NW[row, self.prefix - prompt.first : self.clean] = head
            ids_NW[row, self.written : self.base] = head[prompt.first :]
            for start, _ in self.branches():
                ids_NW[row, start : start + len(behind)] = behind
        return ids_NW.to(device)

    def seen(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """What each column may look at (N, W, W), and its position in its own string (N, W)."""
        count, width, m = len(self.prompts), self.width, self.patched
        seen_NWW = torch.eye(width, dtype=torch.bool).repeat(count, 1, 1)
        depths_NW = torch.zeros(count, width, dtype=torch.long)
        chain = torch.ones(self.clean, self.clean, dtype=torch.bool).tril()
        for row, prompt in enumerate(self.prompts):
            seen, depths = seen_NWW[row], depths_NW[row]
            gap, first = self.prefix - prompt.first, prompt.first
            seen[gap : self.clean, gap : self.clean] = chain[gap:, gap:]
            seen[self.written : self.base, gap : self.prefix] = True
            seen[self.written : self.base, self.written : self.base] = chain[:m, :m]
            depths[gap : self.clean] = torch.arange(first + m)
            depths[self.written : self.base] = torch.arange(first, first + m)
            own, below = _family(prompt.tree.parents)
            size = len(own)
            for start, patched in self.branches():
                nodes = slice(start, start + size)
                seen[nodes, gap : self.prefix] = True
                seen[nodes, patched : patched + m] = True
                seen[nodes, nodes] = own
                depths[nodes] = below + first + m
        return seen_NWW.to(device), depths_NW.to(device)

    def places(self, device: torch.device) -> torch.Tensor:
        """Index of every place among all tokens, for each branch (1 + onsets, K)."""
        found = [
            [
                row * self.width + start + node
                for row, prompt in enumerate(self.prompts)
                for node in prompt.tree.places
            ]
            for start, _ in self.branches()
        ]
        return torch.tensor(found, device=device)

    def read(self, layer: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Row and column of every place that a branch has in block `layer`."""
        there = [start for start, _ in self.branches() if start < self.columns(layer)]
        found = [
            (row, start + node)
            for row, prompt in enumerate(self.prompts)
            for start in there
            for node in prompt.tree.places
        ]
        rows_K, columns_K = torch.tensor(found, device=device).unbind(1)
        return rows_K, columns_K

    def first(self, value: Any, columns: int) -> Any:
        """What comes along with the states, for the first columns only."""
        if isinstance(value, torch.Tensor):
            if value.ndim == 4 and value.shape[-2:] == (self.width, self.width):
                return value[..., :columns, :columns]
            if value.ndim in (2, 3) and value.shape[1] == self.width:
                return value[:, :columns]
            if value.ndim == 1 and len(value) == self.width:
                return value[:columns]
            return value
        if isinstance(value, dict):
            return {key: self.first(part, columns) for key, part in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(self.first(part, columns) for part in value)
        return value


def packed_logits(
    model: Any,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
) -> torch.Tensor:
    """Logits at every place of every prompt, clean and for each onset: (1 + onsets, K, V).

    Raises:
        ModelError: a patch that ends before the last layer, a place at a patched token, or layers
            that no tree mask describes.
    """
    if depth is not None:
        raise ModelError("Only patches from an onset to the end fit into one row.")
    if any(PATCHED in prompt.tree.places for prompt in prompts):
        raise ModelError("A patched token that is read itself has no branch of its own.")
    device = vectors_LNMD.device
    layout = Layout(prompts, onsets)
    seen_NWW, depths_NW = layout.seen(device)
    places_OK = layout.places(device)
    ids_NW = layout.ids(device)
    with (
        head_reads(model, places_OK.flatten(), ids_NW.shape),
        replaced(blocks, _step(layout, vectors_LNMD)),
        _last_inner(blocks, layout.read(len(blocks) - 1, device)),
    ):
        logits = model(
            input_ids=ids_NW,
            attention_mask=own_masks(model, seen_NWW, depths_NW),
            position_ids=depths_NW,
            use_cache=False,
        ).logits[0]
    logits_OKV: torch.Tensor = logits.view(*places_OK.shape, -1)
    return logits_OKV


def _step(layout: Layout, vectors_LNMD: torch.Tensor) -> Any:
    """What stands in for the forward of each block."""

    def written(state: torch.Tensor, layer: int) -> torch.Tensor:
        state[:, layout.written : layout.base] = vectors_LNMD[layer + 1].to(state)
        return state

    def make(layer: int, forward: Forward) -> Forward:
        columns = layout.columns(layer)

        def run(*args: Any, **kwargs: Any) -> Any:
            if not args:
                kwargs = dict(kwargs)
                args = (kwargs.pop("hidden_states"),)
            state = args[0]
            if layer == 0:
                state = written(state[:, :columns].clone(), -1)
            rest = layout.first(args[1:], columns)
            output = forward(state, *rest, **layout.first(kwargs, columns))
            state = hidden(output)
            clean = state[:, layout.clean : layout.written]
            born = [clean] * layout.onsets.count(layer)
            return with_hidden(output, written(torch.cat([state, *born], dim=1), layer))

        return run

    return make


@contextmanager
def _last_inner(blocks: Blocks, read_K: tuple[torch.Tensor, torch.Tensor]) -> Iterator[None]:
    """Let the last block's feed-forward part see only the tokens that are read.

    It works on each token alone and nothing behind the last block mixes tokens, so what it leaves
    out reaches no place. A block that keeps it under another name than `mlp` does all the work.
    """
    inner = getattr(blocks.modules[-1], "mlp", None)
    if not isinstance(inner, torch.nn.Module):
        yield
        return
    shapes: list[torch.Size] = []

    def gather(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        shapes.append(args[0].shape)
        return (args[0][read_K][None], *args[1:])

    def scatter(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        whole: torch.Tensor = output.new_zeros(shapes.pop())
        whole[read_K] = output[0]
        return whole

    handles = [inner.register_forward_pre_hook(gather), inner.register_forward_hook(scatter)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _family(parents: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Who is an ancestor of whom in a tree, itself included, and the depth of each node."""
    own = torch.eye(len(parents), dtype=torch.bool)
    depths = torch.zeros(len(parents), dtype=torch.long)
    for node, parent in enumerate(parents):
        if parent != PATCHED:
            own[node] |= own[parent]
            depths[node] = depths[parent] + 1
    return own, depths
