"""Where a decoder keeps its blocks, and whether what they hand on can be patched exactly.

Found by structure, not by name: the outermost list of as many modules of one class as the
configuration has layers. A forward pass of two tokens then shows that each block runs once and
reads what the block before it wrote, so that overwriting a block's output is overwriting the
residual stream and nothing else.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.forward import evaluation

Forward = Callable[..., Any]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a decoder, in order."""

    modules: tuple[Any, ...]
    path: str
    """Their name in the model, for example ``model.layers``."""
    width: int
    """Numbers of one token in the residual stream."""
    takes_positions: bool
    """Whether the model's forward takes position ids."""
    tail: tuple[Any, ...]
    """What runs behind the last block: the final norm, the output layer."""

    def __len__(self) -> int:
        return len(self.modules)


def find_blocks(model: Any, path: str | None = None) -> Blocks:
    """The blocks of a causal language model (specification of `patch`, section 4).

    Args:
        model: a Hugging Face model, or any module with its configuration and conventions.
        path: their name in the model, where it cannot be found out.

    Raises:
        ModelError: an encoder-decoder, no list of blocks or several, or blocks that do not hand
            one residual stream on from each to the next.
    """
    path, modules = block_list(model, path)
    width, tail = _probe(model, modules)
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    return Blocks(modules, path, width, takes_positions, tail)


def block_list(model: Any, path: str | None = None) -> tuple[str, tuple[Any, ...]]:
    """Name and blocks of the list, as far as they can be told without running the model.

    Raises:
        ModelError: as `find_blocks`.
    """
    name = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name} is an encoder-decoder; only decoders have one residual stream to patch."
        )
    path = path or _outermost(model)
    try:
        modules = tuple(model.get_submodule(path))
    except (AttributeError, TypeError) as error:
        raise ModelError(f"{name} has no list of blocks called '{path}'.") from error
    if len({id(module) for module in modules}) < len(modules):
        raise ModelError(
            f"{name} uses one block several times ({path}), so no single layer can be patched."
        )
    return path, modules


def hidden(output: Any) -> torch.Tensor:
    """The residual stream (B, S, D) in what a block returns: a tensor, or the first of a tuple."""
    state: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return state


def with_hidden(output: Any, state: torch.Tensor) -> Any:
    """What a block returns, in its own container, with another residual stream."""
    return (state, *output[1:]) if isinstance(output, tuple) else state


@contextmanager
def replaced(blocks: Blocks, make: Callable[[int, Forward], Forward]) -> Iterator[None]:
    """Let `make(layer, forward)` stand in for the forward of every block."""
    kept = [vars(module).get("forward") for module in blocks.modules]
    try:
        for layer, module in enumerate(blocks.modules):
            module.forward = make(layer, module.forward)
        yield
    finally:
        for module, own in zip(blocks.modules, kept, strict=True):
            if own is not None:  # put there by others, accelerate for example
                module.forward = own
            else:
                vars(module).pop("forward", None)


def _outermost(model: Any) -> str:
    layers = int(model.config.get_text_config().num_hidden_layers)
    lists = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == layers
    }
    alike = [name for name, part in lists.items() if len({type(block) for block in part}) == 1]
    depth = min((name.count(".") for name in alike), default=0)
    found: list[str] = [name for name in alike if name.count(".") == depth]
    if len(found) != 1:
        seen = ", ".join(found or lists) or "none of this length"
        raise ModelError(
            f"The {layers} blocks of {type(model).__name__} cannot be told ({seen}); name their "
            "list with blocks='...'."
        )
    return found[0]


def _probe(model: Any, modules: Sequence[Any]) -> tuple[int, tuple[Any, ...]]:
    """Read two tokens; return the width of the residual stream and what runs behind the blocks."""
    entered: list[torch.Tensor | None] = []
    left: list[torch.Tensor | None] = []
    tail: list[Any] = []
    open_: list[Any] = []

    def enter(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        state = args[0] if args else kwargs.get("hidden_states")
        entered.append(state.clone() if isinstance(state, torch.Tensor) else None)

    def leave(_: Any, __: Any, output: Any) -> None:
        state = output[0] if isinstance(output, tuple) and output else output
        left.append(state.clone() if isinstance(state, torch.Tensor) else None)

    def behind(module: Any, _: Any) -> None:
        if len(left) >= len(modules):
            if not open_:
                tail.append(module)
            open_.append(module)

    def closed(module: Any, *_: Any) -> None:
        if open_ and open_[-1] is module:
            open_.pop()

    everywhere = torch.nn.modules.module
    handles = [m.register_forward_pre_hook(enter, with_kwargs=True) for m in modules]
    handles += [m.register_forward_hook(leave) for m in modules]
    handles.append(everywhere.register_module_forward_pre_hook(behind))
    handles.append(everywhere.register_module_forward_hook(closed))
    try:
        with evaluation(model):
            device = model.get_input_embeddings().weight.device
            model(input_ids=torch.tensor([[0, 1]], device=device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return _checked(type(model).__name__, entered, left, len(modules)), tuple(tail)


def _checked(
    name: str,
    entered: Sequence[torch.Tensor | None],
    left: Sequence[torch.Tensor | None],
    layers: int,
) -> int:
    """The width of the residual stream, if the blocks hand one on."""
    if len(left) != layers:
        raise ModelError(
            f"{name} ran {len(left)} blocks for {layers} layers; blocks that run several times or "
            "not at all cannot be patched."
        )
    for layer, state in enumerate(left):
        if state is None or state.ndim != 3 or state.shape[:2] != (1, 2):
            raise ModelError(
                f"Block {layer} of {name} does not hand on one vector per token, so there is no "
                "residual stream to patch."
            )
        before = left[layer - 1] if layer else entered[0]
        read = entered[layer]
        if before is None or read is None or not _same(before, read):
            raise ModelError(
                f"Block {layer} of {name} does not read what the block before it wrote, so "
                "overwriting a block's output would not be a patch of the residual stream."
            )
    return int(torch.stack([s for s in left if s is not None]).shape[-1])


def _same(one: torch.Tensor, two: torch.Tensor) -> bool:
    # Weights that are not numbers are found by the self-check, which says so.
    return one.shape == two.shape and torch.equal(one.nan_to_num(), two.to(one.device).nan_to_num())
