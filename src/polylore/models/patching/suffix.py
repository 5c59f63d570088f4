"""Only what a patch can change is computed: tokens from the patched ones on, layers from the onset.

The tokens before the patched ones are read once. Then all onsets go through the model together, in
one forward pass on copies of that cache: block l works on the clean rows and on those of onsets
before l, and when it is done the rows of onset l are born as copies of the clean ones. Masks,
positions, ALiBi slopes and sliding windows stay the model's own, so this is exact wherever a cache
of keys and values is (specification of `patch`, section 4).
"""

from collections.abc import Sequence
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.forward import head_reads
from polylore.models.patching.blocks import Blocks, Forward, hidden, replaced, with_hidden
from polylore.models.patching.onsets import forced
from polylore.models.patching.prompts import PatchPrompt
from polylore.models.patching.rows import Rows, padded, positions


class Stairs:
    """The rows that are in the model together: group 0 is clean, group g + 1 has onset g."""

    def __init__(
        self,
        blocks: Blocks,
        onsets: Sequence[int],
        depth: int | None,
        vectors_LRMD: torch.Tensor,
        heads: int,
    ) -> None:
        self.blocks, self.onsets, self.depth = blocks, onsets, depth
        self.vectors_LRMD = vectors_LRMD
        self.rows = vectors_LRMD.shape[1]
        self.total = self.rows * (1 + len(onsets))
        # ALiBi slopes come with one row for each head of each string.
        self.alike = {self.total: 1, self.total * heads: heads}

    def groups(self, layer: int) -> int:
        """How many groups block `layer` works on."""
        return 1 + sum(onset < layer for onset in self.onsets)

    def step(self, cache: Any, parents: Sequence[int]) -> Any:
        """What stands in for the forward of each block; `parents` are the rows of the cache."""

        def make(layer: int, forward: Forward) -> Forward:
            def run(*args: Any, **kwargs: Any) -> Any:
                active = self.groups(layer) * self.rows
                state, args, kwargs = self._inputs(args, kwargs, active)
                if layer == 0:
                    state = self._forced(state[:active].clone(), -1)
                index = torch.tensor(list(parents) * self.groups(layer), device=state.device)
                cache.layers[layer].reorder_cache(index)
                output = forward(state, *args, **kwargs)
                state = hidden(output)
                born = [state[: self.rows]] * self.onsets.count(layer)
                return with_hidden(output, self._forced(torch.cat([state, *born]), layer))

            return run

        return make

    def splice(self, cache: Any, groups: Sequence[int], rows: Sequence[int]) -> None:
        """Make the cache that of chosen rows: the clean run's up to the onset, then their own."""
        for layer in range(len(self.blocks)):
            there = self.groups(layer)
            chosen = [
                (group if group < there else 0) * self.rows + row
                for group, row in zip(groups, rows, strict=True)
            ]
            index = torch.tensor(chosen, device=self.vectors_LRMD.device)
            cache.layers[layer].reorder_cache(index)

    def _inputs(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], active: int
    ) -> tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]:
        if not args:
            args, kwargs = (kwargs["hidden_states"],), dict(kwargs)
            del kwargs["hidden_states"]
        rest = self._first(args[1:], active)
        return args[0], rest, self._first(kwargs, active)

    def _first(self, value: Any, active: int) -> Any:
        """What comes along with the states, for the first rows only."""
        if isinstance(value, torch.Tensor):
            if value.ndim > 1 and value.shape[0] in self.alike:
                return value[: active * self.alike[value.shape[0]]]
            return value
        if isinstance(value, dict):
            return {key: self._first(part, active) for key, part in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(self._first(part, active) for part in value)
        return value

    def _forced(self, state: torch.Tensor, layer: int) -> torch.Tensor:
        vectors_RMD = self.vectors_LRMD[layer + 1].to(state)
        for group, onset in enumerate(self.onsets, start=1):
            if forced(layer, onset, self.depth):
                rows = slice(group * self.rows, (group + 1) * self.rows)
                state[rows, : vectors_RMD.shape[1]] = vectors_RMD
        return state


def suffix_logits(
    model: Any,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
) -> torch.Tensor:
    """Logits at every place of every prompt, clean and for each onset: (1 + onsets, K, V).

    Raises:
        ModelError: the model keeps no cache that can be copied.
    """
    return read_suffixes(model, blocks, prompts, vectors_LNMD, onsets, depth)[0]


def read_suffixes(
    model: Any,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors_LNMD: torch.Tensor,
    onsets: Sequence[int],
    depth: int | None,
) -> tuple[torch.Tensor, Stairs, Any, torch.Tensor]:
    """As `suffix_logits`, with what is needed to go on: rows, cache, and mask of one group."""
    device = vectors_LNMD.device
    rows = Rows.of(prompts)
    cache, mask_NP = _prefixes(model, blocks, prompts, device)
    strings = [
        [*prompts[n].ids[prompts[n].first : prompts[n].last + 1], *behind]
        for n, behind in zip(rows.owner, rows.behind, strict=True)
    ]
    ids_RS = padded(strings, "right", blocks, device)[0]["input_ids"]
    count, width = ids_RS.shape
    mask_RT = torch.cat([mask_NP[rows.owner], mask_NP.new_ones(count, width)], dim=1)
    heads = int(model.config.get_text_config().num_attention_heads)
    stairs = Stairs(blocks, onsets, depth, vectors_LNMD[:, rows.owner], heads)
    groups = 1 + len(onsets)
    inputs: dict[str, Any] = {"input_ids": ids_RS.repeat(groups, 1)}
    if bool((mask_RT == 0).any()):
        inputs["attention_mask"] = mask_RT.repeat(groups, 1)
        if blocks.takes_positions:
            inputs["position_ids"] = positions(inputs["attention_mask"])[:, -width:]
    places_OK = torch.tensor(
        [
            [(group * count + row) * width + index for row, index in rows.places]
            for group in range(groups)
        ],
        device=device,
    )
    with (
        head_reads(model, places_OK.flatten(), inputs["input_ids"].shape),
        replaced(blocks, stairs.step(cache, rows.owner)),
    ):
        logits = model(**inputs, past_key_values=cache, use_cache=True).logits[0]
    return logits.unflatten(0, places_OK.shape), stairs, cache, mask_RT


def _prefixes(
    model: Any, blocks: Blocks, prompts: Sequence[PatchPrompt], device: torch.device
) -> tuple[Any, torch.Tensor]:
    """The cache of all that stands before the patched tokens, and its mask (N, P)."""
    strings = [prompt.ids[: prompt.first] for prompt in prompts]
    if not all(strings):
        raise ModelError("Nothing stands before the patched token of a prompt.")
    inputs, gaps = padded(strings, "left", blocks, device)
    shape = inputs["input_ids"].shape
    first = torch.zeros(1, dtype=torch.long, device=device)
    with head_reads(model, first, shape):  # these logits are not needed
        output = model(**inputs, use_cache=True)
    cache = getattr(output, "past_key_values", None)
    layers = getattr(cache, "layers", ())
    if len(layers) != len(blocks) or any(getattr(c, "keys", None) is None for c in layers):
        raise ModelError(
            f"{type(model).__name__} keeps no cache of keys and values for each block."
        )
    mask_NP = torch.ones(shape, dtype=torch.long, device=device)
    for row, gap in enumerate(gaps):
        mask_NP[row, :gap] = 0
    return cache, mask_NP
