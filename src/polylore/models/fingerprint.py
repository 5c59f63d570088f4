"""Which weights are the same: fingerprints that do not depend on files or sharding.

Specification of `trace`, section 4.1, duplicates (b).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.weights import read_tensors

# Output layers that may be tied to the input embedding, and are then stored or not.
_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight", "head.weight")


@dataclass(frozen=True)
class TensorPrint:
    """Fingerprint of one tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    sum: float
    """Sum of all elements in float64."""
    first: tuple[float, ...]
    """The first eight values in storage order."""
    sha256: str
    """Hash of the bytes in storage order."""


def tensor_print(name: str, tensor: torch.Tensor) -> TensorPrint:
    """Fingerprint one tensor."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    numbers = flat.sum(dtype=torch.float64).item() if flat.numel() else 0.0
    return TensorPrint(
        name=name,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        sum=float(numbers),
        first=tuple(float(value) for value in flat[:8].to(torch.float64)),
        sha256=hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest(),
    )


def fold_tied(prints: Iterable[TensorPrint]) -> list[TensorPrint]:
    """Sort by name and drop output layers that equal another tensor: tied weights count once."""
    ordered = sorted(prints, key=lambda p: p.name)
    bodies = {(p.shape, p.dtype, p.sha256) for p in ordered if not p.name.endswith(_HEADS)}
    return [
        p
        for p in ordered
        if not (p.name.endswith(_HEADS) and (p.shape, p.dtype, p.sha256) in bodies)
    ]


def fingerprint(folder: str | Path) -> list[TensorPrint]:
    """Fingerprints of all tensors of a checkpoint folder, in order of their names.

    Each tensor is read once. Equal for equal weights, however they are split over files.

    Raises:
        ModelError: the folder has no weights or a damaged file.
    """
    return fold_tied(tensor_print(name, tensor) for name, tensor in read_tensors(Path(folder)))


def fingerprint_model(
    model: Any, formats: Mapping[str, torch.dtype] | None = None
) -> list[TensorPrint]:
    """Fingerprints of a model in memory: those of the folder that `save_pretrained` would write.

    Args:
        model: of transformers.
        formats: number formats to write tensors in, by name, if not as they are: a model that was
            read from bfloat16 into float32 has the fingerprints of its files only in bfloat16.

    Raises:
        ModelError: the model is not one that transformers can save.
    """
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise ModelError(
            f"{type(model).__name__} is not a model of transformers, so polylore does not know how "
            "it would be saved."
        )
    wanted = formats or {}
    return fold_tied(
        tensor_print(name, tensor.to(wanted.get(name, tensor.dtype)))
        for name, tensor in _as_saved(model).items()
    )


def _as_saved(model: Any) -> dict[str, torch.Tensor]:
    state = dict(model.state_dict())
    for name in model._keys_to_ignore_on_save or ():
        state.pop(name, None)
    try:
        from transformers.core_model_loading import revert_weight_conversion
        from transformers.modeling_utils import remove_tied_weights_from_state_dict
    except ImportError:  # transformers 4 saves under the names in memory
        return state
    # Which of two tied names is kept, and names that differ between memory and files.
    state = remove_tied_weights_from_state_dict(state, model)
    return dict(revert_weight_conversion(model, state))


def weight_hash(prints: Iterable[TensorPrint]) -> str:
    """One hash (hex) over the fingerprints: equal iff names, shapes, formats and bytes are."""
    lines = [[p.name, list(p.shape), p.dtype, p.sha256] for p in prints]
    return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash (hex) of what a tokenizer does: its vocabulary, merges, normaliser and decoder."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = (
        backend.to_str()
        if backend is not None
        else json.dumps(tokenizer.get_vocab(), sort_keys=True, ensure_ascii=False)
    )
    extra = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    return hashlib.sha256(f"{text}{extra}".encode()).hexdigest()
