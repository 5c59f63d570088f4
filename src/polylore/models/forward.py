"""One forward pass over a batch of rows: log-probabilities of the target tokens and no others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from polylore.errors import ModelError
from polylore.models.checking import quiet
from polylore.models.double import wide
from polylore.models.live import sharded
from polylore.models.masks import tree_masks
from polylore.models.packing import Row

CHUNK = {"cpu": 2**18}
"""Logits that are normalised at once, by device."""
CHUNK_ELSEWHERE = 2**26


@contextmanager
def evaluation(model: Any) -> Iterator[None]:
    """No gradients and no dropout; a model that was training goes on training afterwards."""
    training = model.training
    model.eval()
    # Weights that are spread over processes are gathered into memory that training uses again,
    # which it could not if it were made in inference mode.
    without = torch.no_grad() if sharded(model) else torch.inference_mode()
    try:
        # quiet: transformers warns about padding tokens without a mask, which are harmless here.
        with without, quiet():
            yield
    finally:
        model.train(training)


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length. B rows, S tokens, K places, P target tokens."""

    ids_BS: torch.Tensor
    depths_BS: torch.Tensor
    ends_BS: torch.Tensor
    places_K: torch.Tensor
    """Indices into the flattened (B * S) tokens."""
    pair_place_P: torch.Tensor
    pair_token_P: torch.Tensor
    pair_string_P: npt.NDArray[np.int64]


def collate(rows: Sequence[Row], device: torch.device) -> Batch:
    """Pad rows on the right. Padding sees only itself and is seen by nothing."""
    count, length = len(rows), max(len(row) for row in rows)
    ids = np.zeros((count, length), dtype=np.int64)
    depths = np.zeros((count, length), dtype=np.int64)
    ends = np.tile(np.arange(1, length + 1, dtype=np.int64), (count, 1))
    places, pair_places, seen = [], [], 0
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row.ids
        depths[index, : len(row)] = row.depths
        ends[index, : len(row)] = row.ends
        places.append(row.places + index * length)
        pair_places.append(row.pair_place + seen)
        seen += len(row.places)

    def tensor(values: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(values).to(device)

    return Batch(
        ids_BS=tensor(ids),
        depths_BS=tensor(depths),
        ends_BS=tensor(ends),
        places_K=tensor(np.concatenate(places)),
        pair_place_P=tensor(np.concatenate(pair_places)),
        pair_token_P=tensor(np.concatenate([row.pair_token for row in rows])),
        pair_string_P=np.concatenate([row.pair_string for row in rows]),
    )


@contextmanager
def head_reads(model: Any, places_K: torch.Tensor, shape: torch.Size) -> Iterator[None]:
    """Let the output embedding see only the wanted positions.

    A hook on the head rather than a call of it, so that whatever a model does to its logits
    afterwards (soft-capping in Gemma 2, scaling in Cohere and Granite) still happens.
    """

    def gather(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = args[0]
        if hidden.shape[:2] != shape:
            raise ModelError(
                f"{type(model).__name__} does not apply its output layer to every position; "
                "polylore cannot score with it."
            )
        return (hidden.flatten(0, 1)[places_K][None], *args[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(gather)
    try:
        yield
    finally:
        handle.remove()


def target_logprobs(
    model: Any, batch: Batch, *, tree: bool, past_key_values: Any = None
) -> torch.Tensor:
    """Log-probability of each target token given the tokens before it, shape (P,).

    In float32; in float64 for a model in it.

    Args:
        model: a causal language model in evaluation mode.
        batch: rows as `collate` pads them.
        tree: rows are tries and need their own attention mask and positions; otherwise each row is
            one string and plain causal attention is used.
        past_key_values: the model's cache of what stands before each row.
    """
    inputs: dict[str, Any] = {"input_ids": batch.ids_BS, "use_cache": False}
    if past_key_values is not None:
        inputs |= {"past_key_values": past_key_values, "use_cache": True}
    if tree:
        inputs["attention_mask"] = tree_masks(model, batch.ends_BS, batch.depths_BS)
        inputs["position_ids"] = batch.depths_BS
    # Plain rows need no mask at all: they are padded on the right, where nothing real looks.
    with head_reads(model, batch.places_K, batch.ids_BS.shape):
        logits_KV = model(**inputs).logits[0]
    return _pick(logits_KV, batch.pair_place_P, batch.pair_token_P)


def _pick(logits_KV: torch.Tensor, place_P: torch.Tensor, token_P: torch.Tensor) -> torch.Tensor:
    # In chunks: large temporaries cost page faults on CPUs and memory on accelerators.
    elements = CHUNK.get(logits_KV.device.type, CHUNK_ELSEWHERE)
    chunk = max(1, elements // logits_KV.shape[1])
    norm_K = torch.cat([wide(part).logsumexp(-1) for part in torch.split(logits_KV, chunk)])
    return wide(logits_KV[place_P, token_P]) - norm_K[place_P]
