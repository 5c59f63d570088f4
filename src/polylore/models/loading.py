"""Models from local folders, and new weights for a model that is already there."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.fingerprint import tokenizer_hash
from polylore.models.weights import has_weights, read_tensors, weight_files

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
UNLIMITED = 2**30
"""Context of a model whose configuration sets no limit (ALiBi, recurrent models)."""

# Settings that may differ between checkpoints of one run without changing what is computed.
_IRRELEVANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}


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
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(folder)
    if dtype not in _DTYPES:
        raise ModelError(f"'{dtype}' is not a number format; use one of {', '.join(_DTYPES)}.")
    _check_folder(folder)
    with quiet():
        _check_causal(folder)
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_DTYPES[dtype],
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:
            raise ModelError(f"The model in {folder} cannot be loaded ({_line(error)}).") from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise ModelError(
                f"The tokenizer in {folder} cannot be loaded ({_line(error)}); put the tokenizer "
                "files of the model beside its weights."
            ) from error
    _check_loaded(folder, model, info)
    model = model.to(device).eval()
    lm = wrap(model, tokenizer, str(folder))
    lm.tokenizer_files = _tokenizer_files(folder)
    return lm


def swap_weights(lm: LanguageModel, folder: str | Path) -> None:
    """Copy the weights of another checkpoint of the same model into `lm`, in place.

    Everything is checked before the first tensor is copied, so a refused folder leaves the model
    as it was.

    Raises:
        ModelError: another configuration or tokenizer, missing or unexpected tensors, other
            shapes, or values that are not numbers.
    """
    folder = Path(folder)
    _check_folder(folder)
    _check_config(lm, folder)
    _check_tokenizer(lm, folder)
    own = lm.model.state_dict()
    tensors = dict(read_tensors(folder))
    if not _same_names(own, tensors):
        tensors = _translated(lm, folder)
    _check_tensors(folder, own, tensors)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    lm.name = str(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and load reports: we check what they report ourselves."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is not a model folder.")
    if not has_weights(folder):
        weight_files(folder)  # says what is missing


def _check_causal(folder: Path) -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"The configuration in {folder} is not one that transformers knows ({_line(error)}); "
            "polylore runs no code from model folders."
        ) from error
    named = config.architectures or []
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or (
        named and not any(n.endswith(("ForCausalLM", "LMHeadModel")) for n in named)
    ):
        kind = ", ".join(named) or type(config).__name__
        raise ModelError(f"{folder} holds a {kind}, which is not a causal language model.")


def _check_loaded(folder: Path, model: Any, info: dict[str, Any]) -> None:
    for key, what in (("missing_keys", "lack"), ("unexpected_keys", "have the unexpected")):
        names = sorted(info[key])
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(
                f"The weights in {folder} {what} tensor {names[0]}{more}; the file is incomplete "
                "or belongs to another model."
            )
    for name, parameter in model.named_parameters():
        _check_numbers(folder, name, parameter)


def _check_numbers(folder: Path, name: str, tensor: torch.Tensor) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            f"The weights in {folder} hold values that are not numbers (in {name}); the training "
            "run diverged or the file is damaged."
        )


def _check_config(lm: LanguageModel, folder: Path) -> None:
    from transformers import AutoConfig

    with quiet():
        try:
            other = AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
        except Exception as error:
            raise ModelError(f"The configuration in {folder} is damaged ({_line(error)}).") from error
    own = lm.model.config.to_dict()
    changed = [
        key
        for key in sorted({*own, *other} - _IRRELEVANT)
        if own.get(key) != other.get(key) and not key.startswith("_")
    ]
    if changed:
        key = changed[0]
        raise ModelError(
            f"{folder} has another configuration than {lm.name} ({key}: {other.get(key)!r} instead "
            f"of {own.get(key)!r}), so they are not checkpoints of one model."
        )


def _check_tokenizer(lm: LanguageModel, folder: Path) -> None:
    from transformers import AutoTokenizer

    files = _tokenizer_files(folder)
    if files in ("", lm.tokenizer_files):
        return
    with quiet():
        try:
            other = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            raise ModelError(f"The tokenizer in {folder} is damaged ({_line(error)}).") from error
    if tokenizer_hash(other) != lm.tokenizer_hash:
        raise ModelError(
            f"{folder} has another tokenizer than {lm.name}, so their weights cannot be swapped."
        )


def _tokenizer_files(folder: Path) -> str:
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json")]
    present = [path.read_bytes() for path in files if path.is_file()]
    return hashlib.sha256(b"\0".join(present)).hexdigest() if present else ""


def _same_names(own: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> bool:
    """Whether the stored names are the names in memory; of tied tensors one name suffices."""
    filled = {own[name].data_ptr() for name in tensors if name in own}
    return set(tensors) <= set(own) and all(t.data_ptr() in filled for t in own.values())


def _translated(lm: LanguageModel, folder: Path) -> dict[str, torch.Tensor]:
    # Some architectures are stored under other names than transformers uses in memory, or with
    # buffers that it no longer has; its own loader knows, and says what really does not fit.
    with quiet():
        try:
            model, info = type(lm.model).from_pretrained(
                folder, dtype=lm.model.dtype, local_files_only=True, output_loading_info=True
            )
        except Exception as error:
            raise ModelError(f"The model in {folder} cannot be loaded ({_line(error)}).") from error
    _check_loaded(folder, model, info)
    return dict(model.state_dict())


def _check_tensors(
    folder: Path, own: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]
) -> None:
    stored: dict[int, str] = {}
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ModelError(
                f"The tensor {name} in {folder} has shape {tuple(tensor.shape)} instead of "
                f"{tuple(own[name].shape)}, so it does not fit the model."
            )
        _check_numbers(folder, name, tensor)
        first = stored.setdefault(own[name].data_ptr(), name)
        if first != name and not torch.equal(tensors[first], tensor):
            raise ModelError(
                f"{folder} stores different values for the tied weights {first} and {name}."
            )


def _context(config: Any) -> int:
    text = config.get_text_config()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(text, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return UNLIMITED


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
