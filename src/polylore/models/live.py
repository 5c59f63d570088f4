"""A model that is in training: asked in between, and left exactly as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from polylore.errors import ModelError

_WRAPPERS = ("DistributedDataParallel", "DataParallel", "DeepSpeedEngine")


def unwrap(model: Any) -> Any:
    """The model itself, without `torch.compile` and without data-parallel wrappers."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ in _WRAPPERS:
            model = model.module
        else:
            return model


def check_live(model: Any, tokenizer: Any) -> None:
    """Refuse what cannot be asked while it is in training.

    Raises:
        ModelError: weights that are spread over processes, a model without an output layer over
            its vocabulary, or a tokenizer that reports no character offsets.
    """
    name = type(model).__name__
    if sharded(model):
        raise ModelError(
            f"The weights of {name} are spread over processes (FSDP, ZeRO-3 or tensor parallel), "
            "so one process cannot ask it alone; save checkpoints and ask them with "
            "`polylore trace`."
        )
    if not callable(getattr(model, "get_output_embeddings", None)) or (
        model.get_output_embeddings() is None
    ):
        raise ModelError(
            f"{name} is not a causal language model of transformers (it has no output embeddings), "
            "so it cannot be asked."
        )
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"The tokenizer {type(tokenizer).__name__} reports no character offsets, which scoring "
            "needs; give the fast tokenizer of the model."
        )


def sharded(model: Any) -> bool:
    """Whether the weights of a model are spread over processes."""
    if any(hasattr(weight, "ds_id") for weight in model.parameters()):
        return True
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    spread = (FSDPModule, FullyShardedDataParallel)
    return any(isinstance(part, spread) for part in model.modules()) or any(
        isinstance(weight, DTensor) for weight in model.parameters()
    )


@contextmanager
def undisturbed(model: Any, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Whatever is asked of a model inside, training goes on as if nothing had happened.

    Modes, attributes and buffers of every module and the states of all random generators are put
    back. Inside, there is no autocast, also none that `accelerate` built into the model's forward.

    Args:
        model: the model, unwrapped.
        dtype: number format of the weights inside; their own if not given. The weights themselves
            are kept aside and put back, so they are not rounded.
    """
    modules = [(part, dict(vars(part)), dict(part._buffers)) for part in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    weights = [(weight, weight.data) for weight in model.parameters()]
    device = weights[0][0].device
    python, numpy = random.getstate(), np.random.get_state()
    own = device.type in ("cuda", "xpu")  # a generator of its own, by device
    try:
        with (
            torch.random.fork_rng(
                [device] if own else [], device_type=device.type if own else "cuda"
            ),
            torch.autocast(device.type, enabled=False),
        ):
            if "_original_forward" in vars(model):
                model.forward = model._original_forward
            if dtype is not None:
                for weight, data in weights:
                    if data.is_floating_point():
                        weight.data = data.to(dtype)
            yield
    finally:
        for weight, data in weights:
            if weight.data_ptr() != data.data_ptr():
                weight.data = data
        for part, attributes, tensors in modules:
            vars(part).clear()
            vars(part).update(attributes)
            part._buffers.clear()
            part._buffers.update(tensors)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
        random.setstate(python)
        np.random.set_state(numpy)
