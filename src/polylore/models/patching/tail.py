"""The last steps in float32: final norm, output layer and what follows, of the rows that are read.

Blocks run in the checkpoint's own number format; rounding the logits to it as well would hide small
effects (specification of `patch`, section 4, item 8).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from polylore.models.patching.blocks import Blocks

_EXACT = (torch.float32, torch.float64)


@contextmanager
def exact_tail(model: Any, blocks: Blocks) -> Iterator[None]:
    """Let what runs behind the last block compute in float32; nothing to do if it does already."""
    if model.dtype in _EXACT:
        yield
        return
    kept = [vars(module).get("forward") for module in blocks.tail]
    try:
        for module in blocks.tail:
            module.forward = _float(copy.deepcopy(module).float())
        yield
    finally:
        for module, own in zip(blocks.tail, kept, strict=True):
            if own is not None:
                module.forward = own
            else:
                vars(module).pop("forward", None)


def _float(module: Any) -> Any:
    def forward(state: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return module(state.float(), *args, **kwargs)

    return forward
