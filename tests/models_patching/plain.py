"""The plainest patch: one unpadded prompt, one forward pass, nothing of polylore."""

from typing import Any

import torch


def plain_logits(
    model: Any,
    layers: Any,
    ids: list[int],
    place: int,
    vector: torch.Tensor,
    written: list[int],
) -> torch.Tensor:
    """Logits at every token (S, V) with some layers overwritten at one token, -1 the input."""
    handles = []

    def write(state: torch.Tensor, layer: int) -> torch.Tensor:
        state = state.clone()
        state[0, place] = vector[layer + 1, 0]
        return state

    for layer, block in enumerate(layers):
        if layer in written:

            def after(_: Any, __: Any, output: Any, layer: int = layer) -> Any:
                if isinstance(output, tuple):
                    return (write(output[0], layer), *output[1:])
                return write(output, layer)

            handles.append(block.register_forward_hook(after))
    if -1 in written:

        def before(_: Any, args: Any, kwargs: Any) -> Any:
            if args:
                return (write(args[0], -1), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": write(kwargs["hidden_states"], -1)}

        handles.append(layers[0].register_forward_pre_hook(before, with_kwargs=True))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return logits


def layers_from(onset: int, depth: int | None, layers: int) -> list[int]:
    """The layers that a patch overwrites."""
    last = layers if depth is None else min(layers, onset + depth)
    return list(range(onset, last))
