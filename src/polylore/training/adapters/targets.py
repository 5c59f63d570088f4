"""Which layers an adapter goes on, by architecture (specification of `align`, section 4.5)."""

from collections.abc import Sequence
from typing import Any

import torch

from polylore.errors import ConfigError

PAPER = (
    ("q_proj", "v_proj"),
    ("W_pack",),
    ("query_key_value",),
    ("c_attn",),
    ("qkv_proj",),
    ("Wqkv",),
    ("q_lin", "v_lin"),
    ("query", "value"),
)
"""Names of query and value projections, or of the layer that they are fused in."""


def linear_layers(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Linear layers inside the blocks, transposed ones included, by full name.

    The blocks are the list of modules that holds most weights; output layers are outside it.
    """
    from transformers.pytorch_utils import Conv1D

    lists = {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.ModuleList)
    }
    if not lists:
        return {}
    blocks = max(lists, key=lambda name: lists[name])
    return {
        name: part
        for name, part in model.named_modules()
        if name.startswith(f"{blocks}.") and isinstance(part, torch.nn.Linear | Conv1D)
    }


def find_targets(model: torch.nn.Module, wanted: str | Sequence[str]) -> list[str]:
    """Full names of the layers to adapt.

    Args:
        model: an ordinary causal language model.
        wanted: ``auto`` (all linear layers inside the blocks), ``paper`` (query and value
            projections, resolved by architecture), or ends of names such as ``o_proj``.

    Raises:
        ConfigError: nothing matches; the layers that there are are named.
    """
    layers = linear_layers(model)
    if wanted == "auto":
        found = list(layers)
    elif wanted == "paper":
        last = {name.rpartition(".")[2] for name in layers}
        names = next((names for names in PAPER if last.issuperset(names)), ())
        found = [name for name in layers if name.rpartition(".")[2] in names]
    else:
        ends = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        found = [name for name in layers if any(name == e or name.endswith(f".{e}") for e in ends)]
        absent = [e for e in ends if not any(n == e or n.endswith(f".{e}") for n in layers)]
        if absent:
            found = []
    if not found:
        there = sorted({name.rpartition(".")[2] for name in layers})
        shown = ", ".join(there) if there else "none"
        raise ConfigError(
            f"No layer of {type(model).__name__} matches the LoRA targets {_said(wanted)}; its "
            f"linear layers inside the blocks are {shown}."
        )
    return found


def _said(wanted: str | Sequence[str]) -> str:
    return wanted if isinstance(wanted, str) else ", ".join(wanted)


def transposed(model: Any, names: Sequence[str]) -> bool:
    """Whether the layers keep their weights transposed.

    Raises:
        ConfigError: some do and some do not.
    """
    from transformers.pytorch_utils import Conv1D

    kinds = {isinstance(model.get_submodule(name), Conv1D) for name in names}
    if len(kinds) > 1:
        raise ConfigError(
            "Some of the LoRA targets keep their weights transposed and some do not; name layers "
            "of one kind."
        )
    return kinds == {True}
