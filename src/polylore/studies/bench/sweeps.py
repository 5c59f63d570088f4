"""The ways of sweeping a patch over all onsets: plain hooks, nnsight, polylore's engines.

Each takes the same prompts and vectors and gives the logits of the next token, clean and for every
onset: (1 + onsets, N, V).
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from polylore.errors import ConfigError
from polylore.models import LanguageModel
from polylore.models.forward import evaluation
from polylore.models.patching import Blocks, PatchPrompt
from polylore.models.patching.engines import patch_logits

NNSIGHT = "pip install 'polylore[bench]'"


@dataclass(frozen=True)
class Work:
    """Prompts of one length, patched at one place."""

    ids_NT: torch.Tensor
    place: int
    """Index of the overwritten token, o."""
    vectors_LND: torch.Tensor
    onsets: Sequence[int]

    def part(self, prompts: int, onsets: int) -> "Work":
        """The first prompts, and the last onsets but one."""
        chosen = self.onsets[-1 - onsets : -1]
        return Work(self.ids_NT[:prompts], self.place, self.vectors_LND[:, :prompts], chosen)


Run = Callable[[Work], torch.Tensor]


def plain_hooks(model: Any, layers: Any, batch: int) -> Run:
    """What one writes first: for every onset one forward pass with a hook on each block."""

    def one(ids_BT: torch.Tensor, vectors_LBD: torch.Tensor, place: int, onset: int) -> Any:
        def write(state: torch.Tensor, layer: int) -> torch.Tensor:
            state = state.clone()
            state[:, place] = vectors_LBD[layer + 1]
            return state

        with ExitStack() as hooks:
            if onset == -1:

                def enter(_: Any, args: Any) -> Any:
                    return (write(args[0], -1), *args[1:])

                hooks.callback(layers[0].register_forward_pre_hook(enter).remove)
            for layer in range(max(onset, 0), len(layers)):

                def leave(_: Any, __: Any, output: Any, layer: int = layer) -> Any:
                    return write(output, layer)

                hooks.callback(layers[layer].register_forward_hook(leave).remove)
            return model(ids_BT, use_cache=False).logits[:, -1]

    def run(work: Work) -> torch.Tensor:
        return _by_batches(
            work,
            batch,
            lambda ids: model(ids, use_cache=False).logits[:, -1],
            one,
        )

    return run


def has_nnsight() -> bool:
    """Whether nnsight is installed."""
    return find_spec("nnsight") is not None


def nnsight_traces(model: Any, batch: int) -> Run:
    """The same sweep as nnsight's users write it: one trace for every onset.

    Raises:
        ConfigError: nnsight is not installed.
    """
    if not has_nnsight():
        raise ConfigError(f"nnsight is not installed; get it with {NNSIGHT}.")
    from nnsight import NNsight

    traced = NNsight(model)
    count = model.config.num_hidden_layers

    def clean(ids_BT: torch.Tensor) -> torch.Tensor:
        with traced.trace(input_ids=ids_BT, use_cache=False):
            logits: torch.Tensor = traced.lm_head.output[:, -1].save()
        return logits

    def one(ids_BT: torch.Tensor, vectors_LBD: torch.Tensor, place: int, onset: int) -> Any:
        with traced.trace(input_ids=ids_BT, use_cache=False):
            if onset == -1:
                traced.model.layers[0].input[:, place] = vectors_LBD[0]
            for layer in range(max(onset, 0), count):
                traced.model.layers[layer].output[:, place] = vectors_LBD[layer + 1]
            logits = traced.lm_head.output[:, -1].save()
        return logits

    return lambda work: _by_batches(work, batch, clean, one)


def engine_sweep(lm: LanguageModel, blocks: Blocks, engine: str, batch: int) -> Run:
    """One of polylore's engines."""

    def run(work: Work) -> torch.Tensor:
        found = []
        for first in range(0, len(work.ids_NT), batch):
            ids = work.ids_NT[first : first + batch].tolist()
            prompts = [PatchPrompt(tuple(row), work.place, work.place) for row in ids]
            vectors = [work.vectors_LND[:, first + k, None] for k in range(len(prompts))]
            with evaluation(lm.model):
                found.append(patch_logits(lm, blocks, prompts, vectors, work.onsets, None, engine))
        return torch.cat(found, dim=1)

    return run


def _by_batches(
    work: Work,
    batch: int,
    clean: Callable[[torch.Tensor], torch.Tensor],
    one: Callable[[torch.Tensor, torch.Tensor, int, int], torch.Tensor],
) -> torch.Tensor:
    parts = []
    with torch.inference_mode():
        for first in range(0, len(work.ids_NT), batch):
            ids_BT = work.ids_NT[first : first + batch]
            vectors_LBD = work.vectors_LND[:, first : first + batch]
            patched = [one(ids_BT, vectors_LBD, work.place, onset) for onset in work.onsets]
            parts.append(torch.stack([clean(ids_BT), *patched]))
    return torch.cat(parts, dim=1)
