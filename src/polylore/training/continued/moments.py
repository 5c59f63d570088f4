"""AdamW's moments of earlier training, from our own states or from other people's files.

Nothing that is read here can run code: tensors come from safetensors, or from torch's own format
with `weights_only`, which builds nothing but tensors and plain containers.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import Trainer

from polylore.errors import DataError, ModelError
from polylore.training.checkpoint import MOMENTS, read_state, trainable
from polylore.training.continued.start import Recipe, Start

_NAMED = re.compile(
    rf"(?:state[./])?(?:(?P<kind>{'|'.join((*MOMENTS, 'step'))})[./](?P<name>.+)"
    rf"|(?P<name2>.+)[./](?P<kind2>{'|'.join((*MOMENTS, 'step'))}))"
)
_WRAPPED = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")


@dataclass(frozen=True)
class Moments:
    """What an optimizer remembers."""

    tensors: Mapping[str, torch.Tensor]
    """exp_avg/<weight> and exp_avg_sq/<weight>, in the format of the file."""
    made: int
    """Updates it has made."""
    recipe: Recipe
    """Settings that its file tells; of our own states, those of the run."""


def read_moments(start: Start, model: torch.nn.Module) -> Moments:
    """The optimizer state of a start, by the names of the model's weights.

    Raises:
        ModelError: there is none, it cannot be read, or it belongs to another model.
    """
    path = start.optimizer
    if path is None:
        raise ModelError(
            f"{start.source} has no optimizer state; name a file of one, or set optimizer to "
            "fresh or fresh_burn_in."
        )
    tensors, made, recipe = _read(path, start, model)
    shapes = {f"{m}/{n}": p.shape for n, p in trainable(model) for m in MOMENTS}
    lost = sorted(set(shapes) - set(tensors))
    wrong = [n for n in sorted(shapes) if n in tensors and tensors[n].shape != shapes[n]]
    if lost or wrong:
        what = f"lacks {lost[0]}" if lost else f"has {wrong[0]} in another shape"
        raise ModelError(
            f"The optimizer state {path} {what}, so it belongs to another model; set optimizer to "
            "fresh or fresh_burn_in."
        )
    if made is None:
        raise ModelError(
            f"The optimizer state {path} does not say how many updates it has made; add `step`."
        )
    return Moments({name: tensors[name] for name in shapes}, made, recipe)


def _read(
    path: Path, start: Start, model: torch.nn.Module
) -> tuple[dict[str, torch.Tensor], int | None, Recipe]:
    try:
        if path.is_dir():
            return dict(read_state(path, ()).tensors), start.made, start.recipe
        if path.suffix == ".safetensors":
            tensors, made = _by_name(load_file(path))
            return tensors, made if made is not None else start.step or None, start.recipe
        return _torch_file(torch.load(path, map_location="cpu", weights_only=True), path, model)
    except ModelError:
        raise
    except (DataError, SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"The optimizer state {path} cannot be read ({error}).") from error
    except Exception as error:  # torch has an error class of its own for refused pickles
        raise ModelError(
            f"The optimizer state {path} holds more than tensors and plain values, so it is not "
            f"read ({type(error).__name__}); save it as safetensors."
        ) from error


def _by_name(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], int | None]:
    """Moments by our names, from any of the usual ways to name them."""
    found: dict[str, torch.Tensor] = {}
    made: int | None = None
    for key, tensor in tensors.items():
        if key == "step":
            made = int(tensor.item())
        match = _NAMED.fullmatch(key)
        if match is None:
            continue
        kind, name = match["kind"] or match["kind2"], match["name"] or match["name2"]
        if kind == "step":
            made = int(tensor.item())
        else:
            found[f"{kind}/{_plain(name)}"] = tensor
    return found, made


def _plain(name: str) -> str:
    for wrapper in _WRAPPED:
        name = name.replace(wrapper, "")
    return name


def _torch_file(
    saved: Any, path: Path, model: torch.nn.Module
) -> tuple[dict[str, torch.Tensor], int | None, Recipe]:
    """An optimizer's `state_dict`, whose weights are numbered group by group."""
    groups, state = saved["param_groups"], saved["state"]
    numbers = [number for group in groups for number in group["params"]]
    names = _names(groups, numbers, state, model)
    if names is None:
        raise ModelError(
            f"The optimizer state {path} numbers its weights in an order that is not that of this "
            "model; save it as safetensors, by the names of weights."
        )
    tensors: dict[str, torch.Tensor] = {}
    made: int | None = None
    for number, name in zip(numbers, names, strict=True):
        if number in state:
            tensors |= {f"{m}/{name}": state[number][m] for m in MOMENTS}
            made = int(state[number]["step"])
    first = groups[0]
    decay = max(group.get("weight_decay", 0.0) for group in groups)
    betas = first.get("betas", (None, None))
    recipe = Recipe(first.get("lr") or None, betas[0], betas[1], first.get("eps"), decay)
    return tensors, made, recipe


def _names(
    groups: list[dict[str, Any]], numbers: list[int], state: Any, model: torch.nn.Module
) -> list[str] | None:
    """Names of the weights in the order of the file."""
    told = [name for group in groups for name in group.get("param_names", ())]
    if len(told) == len(numbers):
        return [_plain(name) for name in told]
    shapes = {name: parameter.shape for name, parameter in trainable(model)}
    for order in _orders(model):
        fits = len(order) == len(numbers) and all(
            number not in state or state[number][MOMENTS[0]].shape == shapes[name]
            for number, name in zip(numbers, order, strict=True)
        )
        if fits:
            return order
    return None


def _orders(model: torch.nn.Module) -> Iterator[list[str]]:
    """Orders of weights in use: the Trainer's and ours (decaying ones first), and the model's."""
    names = [name for name, _ in trainable(model)]
    decaying = set(Trainer.get_decay_parameter_names(None, model))
    matrices = {name for name, parameter in trainable(model) if parameter.ndim >= 2}
    for first in (decaying, matrices):
        yield [n for n in names if n in first] + [n for n in names if n not in first]
    yield names
