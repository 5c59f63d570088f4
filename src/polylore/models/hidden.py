"""What a model makes of sentences on its way: vectors at chosen positions, layer by layer.

Layer 0 is the output of the embeddings, layer k that of the k-th block; the last one is what the
output layer reads, a final norm included. Hidden states live only as long as their forward pass:
what is asked for is copied out of them at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from polylore.errors import ModelError
from polylore.models.forward import collate, evaluation
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt
from polylore.models.packing import Row
from polylore.models.sentences import Ints, Placed

Progress = Callable[[int, int, str], None]

PASS_BYTES = {"cpu": 2**28}
"""Hidden states that one forward pass may leave behind, by device."""
PASS_BYTES_ELSEWHERE = 2**31


@dataclass(frozen=True)
class Layers:
    """What there is to be read."""

    widths: tuple[int, ...]
    """Numbers of a vector of each layer, the embeddings first."""
    after_norm: bool
    """Whether the last layer is what the output layer reads, a final norm included."""
    bytes: int
    """Bytes of a number in a forward pass."""

    def budget(self, tokens: int, device: str) -> int:
        """Tokens of one pass: as asked, or as many as leave no more than `PASS_BYTES` behind."""
        room = PASS_BYTES.get(device, PASS_BYTES_ELSEWHERE)
        return max(1, min(tokens, room // (self.bytes * sum(self.widths))))

    def blocks(self, vectors: int, room: int) -> list[range]:
        """Layers whose vectors fit into memory together; a layer that does not fit stands alone.

        Args:
            vectors: vectors of each layer that are kept at once.
            room: bytes that they may take, in float32.
        """
        blocks, start, used = [], 0, 0
        for layer, width in enumerate(self.widths):
            need = 4 * vectors * width
            if layer > start and used + need > room:
                blocks.append(range(start, layer))
                start, used = layer, 0
            used += need
        return [*blocks, range(start, len(self.widths))]


def layers_of(lm: LanguageModel) -> Layers:
    """Look at one token to see which layers a model has.

    Raises:
        ModelError: it does not tell what its layers put out.
    """
    with evaluation(lm.model):
        output = _read(lm, torch.zeros((1, 1), dtype=torch.long, device=lm.device))
    hidden = output.hidden_states
    last = getattr(output, "last_hidden_state", None)
    return Layers(
        widths=tuple(int(h.shape[-1]) for h in hidden),
        after_norm=last is not None and torch.equal(hidden[-1], last),
        bytes=hidden[-1].element_size(),
    )


def hidden_batches(placed: Placed, tokens: int) -> list[list[int]]:
    """Rows that are read together, by index, if memory suffices."""
    budget = Budget.start(tokens, 1)
    batches, done = [], 0
    while done < len(placed.rows):
        count = budget.take(placed.rows, done)
        batches.append(list(range(done, done + count)))
        done += count
    return batches


def read_vectors(
    lm: LanguageModel,
    placed: Placed,
    layers: Layers,
    block: Sequence[int],
    *,
    token_budget: int,
    progress: Progress | None = None,
) -> list[torch.Tensor]:
    """Vectors of some layers at the positions of all sentences; float32, on the model's device.

    They do not depend on the budget or on what is read beside them (float32: to rounding).

    Args:
        lm: the model.
        placed: sentences and positions, from `place`.
        layers: from `layers_of`.
        block: layers that are wanted.
        token_budget: tokens, padding included, of one pass; less where hidden states would take
            more than `PASS_BYTES`, and halved when memory runs out.
        progress: called with (rows done, rows in all, what).

    Returns:
        One tensor per layer of the block: (P positions, N sentences, D numbers).

    Raises:
        ModelError: another tokenizer than the one placed for, or vectors that are not numbers.
    """
    if placed.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(
            f"These sentences were tokenised for another tokenizer than that of {lm.name}."
        )
    count = len(placed.positions)
    made = [
        torch.zeros((count, placed.n, layers.widths[k]), device=lm.device) for k in block
    ]  # fmt: skip
    budget = Budget.start(layers.budget(token_budget, lm.device.type), 1)
    first = 0
    with evaluation(lm.model):
        while first < len(placed.rows):
            size = budget.take(placed.rows, first)
            parts = attempt(partial(_vectors, lm, placed, first, size, block))
            if parts is None:
                budget.halve(size)
                continue
            p_K, n_K = _inside(placed, first, size)
            for whole, part in zip(made, parts, strict=True):
                whole[torch.from_numpy(p_K), torch.from_numpy(n_K)] = part
            first += size
            if progress:
                progress(first, len(placed.rows), "reading sentences")
    if not all(bool(torch.isfinite(one).all()) for one in made):
        raise ModelError(
            f"{lm.name} gives vectors that are not numbers in {lm.dtype}; try float32."
        )
    return made


def _inside(placed: Placed, first: int, size: int) -> tuple[Ints, Ints]:
    """Positions and sentences whose row is among those of a batch."""
    p_K, n_K = np.nonzero((placed.row_PN >= first) & (placed.row_PN < first + size))
    return p_K, n_K


def _vectors(
    lm: LanguageModel, placed: Placed, first: int, size: int, block: Sequence[int]
) -> list[torch.Tensor]:
    """Vectors of one batch: per layer (K, D), in the order of `_inside`."""
    ids_BS = collate([_row(ids) for ids in placed.rows[first : first + size]], lm.device).ids_BS
    # Rows are padded on the right, where nothing real looks, so they need no mask.
    hidden = _read(lm, ids_BS).hidden_states
    key = _inside(placed, first, size)
    row_K, first_K, last_K = (
        torch.from_numpy(values[key]).to(lm.device)
        for values in (placed.row_PN - first, placed.first_PN, placed.last_PN)
    )
    return [span_means(hidden[k], row_K, first_K, last_K) for k in block]


def span_means(
    hidden_BSD: torch.Tensor, row_K: torch.Tensor, first_K: torch.Tensor, last_K: torch.Tensor
) -> torch.Tensor:
    """sum(k * h_k) / sum(k) over the tokens first..last of a row, k = 1, 2, ...; float32 (K, D).

    A span of one token is that token's vector, unchanged.
    """
    means_KD = hidden_BSD[row_K, last_K].float()
    wide = torch.nonzero(last_K > first_K).flatten()
    if len(wide):
        place_S = torch.arange(hidden_BSD.shape[1], device=hidden_BSD.device)
        first, last = first_K[wide, None], last_K[wide, None]
        inside = (place_S >= first) & (place_S <= last)
        weight_WS = torch.where(inside, place_S - first + 1, 0).float()
        weight_WS /= weight_WS.sum(1, keepdim=True)
        rows_WSD = hidden_BSD[row_K[wide]].float()
        means_KD[wide] = torch.einsum("ws,wsd->wd", weight_WS, rows_WSD)
    return means_KD


def _row(ids: list[int]) -> Row:
    """A row of which nothing is scored."""
    none = np.zeros(0, dtype=np.int64)
    length = len(ids)
    ends = np.full(length, length, dtype=np.int64)
    return Row(np.array(ids, dtype=np.int64), np.arange(length), ends, none, none, none, none)


def _read(lm: LanguageModel, ids_BS: torch.Tensor) -> Any:
    # The model below the output layer: no logits are made.
    output = lm.model.base_model(input_ids=ids_BS, use_cache=False, output_hidden_states=True)
    if not getattr(output, "hidden_states", None):
        raise ModelError(
            f"{type(lm.model).__name__} does not tell what its layers put out, so the similarity "
            "of its representations cannot be measured."
        )
    return output
