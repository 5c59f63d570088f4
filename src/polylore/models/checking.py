"""Whether a folder holds what it should: each check raises one clear sentence."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from polylore.errors import ModelError
from polylore.models.fingerprint import tokenizer_hash
from polylore.models.weights import check_heads, said

# Settings that may differ between checkpoints of one run without changing what is computed.
_IRRELEVANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}


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


def check_folder(folder: Path) -> None:
    """A folder with a configuration and weights that are not cut short."""
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is not a model folder.")
    check_heads(folder)


def check_causal(folder: Path) -> None:
    """A configuration that transformers knows as a causal language model."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"The configuration in {folder} is not one that transformers knows ({said(error)}); "
            "polylore runs no code from model folders."
        ) from error
    named = config.architectures or []
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or (
        named and not any(n.endswith(("ForCausalLM", "LMHeadModel")) for n in named)
    ):
        kind = ", ".join(named) or type(config).__name__
        raise ModelError(f"{folder} holds a {kind}, which is not a causal language model.")


def check_loaded(folder: Path, model: Any, info: dict[str, Any]) -> None:
    """Nothing missing, nothing left over, numbers only; `info` is transformers' loading report."""
    for key, what in (("missing_keys", "lack"), ("unexpected_keys", "have the unexpected")):
        names = sorted(info[key])
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(
                f"The weights in {folder} {what} tensor {names[0]}{more}; the file is incomplete "
                "or belongs to another model."
            )
    for entry in sorted(info["mismatched_keys"]):
        # transformers 4 lists names, transformers 5 (name, stored shape, wanted shape).
        name = entry if isinstance(entry, str) else entry[0]
        shapes = "" if isinstance(entry, str) else _shapes(*entry[1:])
        raise ModelError(f"The tensor {name} in {folder} {shapes}does not fit the model.")
    for name, parameter in model.named_parameters():
        check_numbers(folder, name, parameter)


def check_numbers(folder: Path, name: str, tensor: torch.Tensor) -> None:
    """No NaN and no infinity."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            f"The weights in {folder} hold values that are not numbers (in {name}); the training "
            "run diverged or the file is damaged."
        )


def check_config(config: Any, name: str, folder: Path) -> None:
    """The folder's configuration computes the same as `config`, of the model called `name`."""
    from transformers import AutoConfig

    with quiet():
        try:
            other = AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
        except Exception as error:
            raise ModelError(
                f"The configuration in {folder} is damaged ({said(error)})."
            ) from error
    own = config.to_dict()
    changed = [
        key
        for key in sorted({*own, *other} - _IRRELEVANT)
        if own.get(key) != other.get(key) and not key.startswith("_")
    ]
    if changed:
        key = changed[0]
        raise ModelError(
            f"{folder} has another configuration than {name} ({key}: {other.get(key)!r} instead "
            f"of {own.get(key)!r}), so they are not checkpoints of one model."
        )


def check_tokenizer(known: str, name: str, folder: Path) -> None:
    """Refuse a folder with a tokenizer of another hash than `known`."""
    from transformers import AutoTokenizer

    with quiet():
        try:
            other = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            raise ModelError(f"The tokenizer in {folder} is damaged ({said(error)}).") from error
    if tokenizer_hash(other) != known:
        raise ModelError(
            f"{folder} has another tokenizer than {name}, so their weights cannot be swapped."
        )


def check_tokenizer_files(folder: Path) -> None:
    """Some file of a tokenizer, of whatever kind."""
    if not any(
        next(folder.glob(name), None) for name in ("*token*", "*vocab*", "*.model", "tekken*")
    ):
        raise ModelError(
            f"{folder} holds no tokenizer; put the tokenizer files of the model beside its weights."
        )


def tokenizer_files(folder: Path) -> str:
    """Hash (hex) of a folder's tokenizer files, empty if there are none."""
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json")]
    present = [path.read_bytes() for path in files if path.is_file()]
    return hashlib.sha256(b"\0".join(present)).hexdigest() if present else ""


def same_names(own: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> bool:
    """Whether the stored names are the names in memory; of tied tensors one name suffices."""
    filled = {own[name].data_ptr() for name in tensors if name in own}
    return set(tensors) <= set(own) and all(t.data_ptr() in filled for t in own.values())


def check_tensors(
    folder: Path, own: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]
) -> None:
    """Stored tensors fit those in memory: shapes, numbers, and equal values where tied."""
    stored: dict[int, str] = {}
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            shapes = _shapes(tensor.shape, own[name].shape)
            raise ModelError(f"The tensor {name} in {folder} {shapes}does not fit the model.")
        check_numbers(folder, name, tensor)
        first = stored.setdefault(own[name].data_ptr(), name)
        if first != name and not torch.equal(tensors[first], tensor):
            raise ModelError(
                f"{folder} stores different values for the tied weights {first} and {name}."
            )


def _shapes(stored: Sequence[int], wanted: Sequence[int]) -> str:
    return f"has shape {tuple(stored)} instead of {tuple(wanted)} and "
