"""Models from local folders, and new weights for a model that is already there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.checking import (
    check_causal,
    check_config,
    check_folder,
    check_loaded,
    check_tensors,
    check_tokenizer,
    check_tokenizer_files,
    quiet,
    same_names,
    tokenizer_files,
)
from polylore.models.fingerprint import tokenizer_hash
from polylore.models.spans import tail
from polylore.models.usable import usable
from polylore.models.weights import read_tensors, said

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
"""Number formats by name."""
UNLIMITED = 2**30
"""Context of a model whose configuration sets no limit (ALiBi, recurrent models)."""


@dataclass
class LanguageModel:
    """A causal language model with its tokenizer, ready to be asked."""

    model: Any
    """A Hugging Face causal language model, in evaluation mode."""
    tokenizer: Any
    """Its fast tokenizer."""
    context: int
    """Tokens it can read at once, prompt and answer together."""
    device: torch.device
    dtype: str
    """Number format of the forward pass: float32, bfloat16, float16 or float64."""
    name: str
    """For messages: the folder, or what the caller says."""
    tokenizer_hash: str
    """Hash of the tokenizer; what was tokenised for one model serves all with this hash."""
    tokenizer_files: str = ""
    """Hash of the tokenizer's files, empty for a model that came from memory."""

    def check_context(self, prompt: str, needed: int, addition: str = "") -> None:
        """Refuse what the model cannot read at once; nothing is ever cut silently.

        Raises:
            ModelError: more tokens are needed than the model reads.
        """
        if needed > self.context:
            raise ModelError(
                f"The prompt '{tail(prompt)}' {addition}needs {needed} tokens, but {self.name} "
                f"reads at most {self.context}; use fewer demonstrations or a model with a longer "
                "context."
            )


def wrap(model: Any, tokenizer: Any, name: str = "model") -> LanguageModel:
    """Make a `LanguageModel` of a model in memory, for example one that is being trained.

    Raises:
        ModelError: the tokenizer has more tokens than the model has embeddings.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= rows:
        raise ModelError(
            f"The tokenizer of {name} has token ids up to {largest}, but the model only has "
            f"{rows} embeddings; they do not belong together."
        )
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        context=_context(model.config),
        device=model.get_input_embeddings().weight.device,
        dtype=str(model.dtype).removeprefix("torch."),
        name=name,
        tokenizer_hash=tokenizer_hash(tokenizer),
    )


def load_model(
    folder: str | Path, *, dtype: str = "float32", device: str | torch.device = "cpu"
) -> LanguageModel:
    """Load a causal language model and its tokenizer from a local folder.

    Nothing is downloaded and no code from the folder is run.

    Raises:
        ModelError: no such folder, no configuration, weights or tokenizer in it, weights that are
            damaged, incomplete or not numbers, another kind of model, or a tokenizer that does not
            fit.
    """
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    if dtype not in DTYPES:
        raise ModelError(f"'{dtype}' is not a number format; use one of {', '.join(DTYPES)}.")
    check_folder(folder)
    with quiet():
        check_causal(folder)
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=DTYPES[dtype],
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # refused by check_loaded, which names them
                output_loading_info=True,
            )
        except Exception as error:
            raise ModelError(f"The model in {folder} cannot be loaded ({said(error)}).") from error
        check_tokenizer_files(folder)
        tokenizer = load_tokenizer(folder)
    check_loaded(folder, model, info)
    model = model.to(usable(device)).eval()
    lm = wrap(model, tokenizer, str(folder))
    lm.tokenizer_files = tokenizer_files(folder)
    return lm


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a local folder.

    Raises:
        ModelError: there is none, or a damaged one.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"The tokenizer in {folder} cannot be loaded ({said(error)}); put the tokenizer "
            "files of the model beside its weights."
        ) from error


def swap_weights(lm: LanguageModel, folder: str | Path) -> None:
    """Copy the weights of another checkpoint of the same model into `lm`, in place.

    Everything is checked before the first tensor is copied, so a refused folder leaves the model
    as it was.

    Raises:
        ModelError: another configuration or tokenizer, missing or unexpected tensors, other
            shapes, or values that are not numbers.
    """
    folder = Path(folder)
    check_folder(folder)
    check_config(lm.model.config, lm.name, folder)
    files = tokenizer_files(folder)
    if files and files != lm.tokenizer_files:
        check_tokenizer(lm.tokenizer_hash, lm.name, folder)
    own = lm.model.state_dict()
    tensors = dict(read_tensors(folder))
    if not same_names(own, tensors):
        tensors = _translated(lm, folder)
    check_tensors(folder, own, tensors)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    lm.name = str(folder)


def _translated(lm: LanguageModel, folder: Path) -> dict[str, torch.Tensor]:
    # Some architectures are stored under other names than transformers uses in memory, or with
    # buffers that it no longer has; its own loader knows, and says what really does not fit.
    with quiet():
        try:
            model, info = type(lm.model).from_pretrained(
                folder,
                dtype=lm.model.dtype,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except Exception as error:
            raise ModelError(f"The model in {folder} cannot be loaded ({said(error)}).") from error
    check_loaded(folder, model, info)
    return dict(model.state_dict())


def _context(config: Any) -> int:
    text = config.get_text_config()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(text, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return UNLIMITED
