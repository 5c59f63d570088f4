"""The tensors of a checkpoint folder, whatever files they are in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from polylore.errors import ModelError

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_OLD = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a complete set of weight files (by name; nothing is read)."""
    if (folder / _SINGLE).is_file() or (folder / _OLD[0]).is_file():
        return True
    for name in (_INDEX, _OLD[1]):
        if (folder / name).is_file():
            return all((folder / part).is_file() for part in _parts(folder / name))
    return False


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, safetensors before pickled ones, in order of their names.

    Raises:
        ModelError: there are none, or a listed part is missing.
    """
    for single, index in ((_SINGLE, _INDEX), _OLD):
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            parts = [folder / part for part in _parts(folder / index)]
            missing = [part.name for part in parts if not part.is_file()]
            if missing:
                raise ModelError(
                    f"{folder} lacks the weight file {missing[0]} that its index lists; "
                    "download it again."
                )
            return parts
    raise ModelError(
        f"{folder} holds no weights (model.safetensors); it is half-written or not a checkpoint."
    )


def read_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every (name, tensor) of a folder, on the CPU and in the stored number format.

    Pickled files are read with ``weights_only=True``, which runs no code of theirs.

    Raises:
        ModelError: there are no weights, or a file is damaged.
    """
    for path in weight_files(folder):
        _refuse_unreadable(path)
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118 (not a mapping)
                        yield name, file.get_tensor(name)
            else:
                yield from torch.load(path, map_location="cpu", weights_only=True).items()
        except Exception as error:  # damaged files fail in every way
            advice = (
                "copy or download it again"
                if path.suffix == ".safetensors"
                else "save the model again as safetensors"
            )
            raise ModelError(
                f"The weight file {path} is damaged or cut short ({said(error)}); {advice}."
            ) from error


def check_heads(folder: Path) -> None:
    """Safetensors files are as long as their heads say; reads the heads only.

    Raises:
        ModelError: there are no weights, or a file is damaged.
    """
    for path in weight_files(folder):
        _refuse_unreadable(path)
        if (problem := _problem(path)) is not None:
            raise ModelError(
                f"The weight file {path} is damaged or cut short ({problem}); copy or download it "
                "again."
            )


def refuse_damaged(folder: Path) -> None:
    """Delete a downloaded safetensors file that is cut short; reads the files' heads only.

    Raises:
        ModelError: there are no weights, or a file is not as long as its head says.
    """
    for path in weight_files(folder):
        _refuse_unreadable(path)
        if (problem := _problem(path)) is not None:
            path.resolve().unlink(missing_ok=True)  # the cache may hold it behind a link
            path.unlink(missing_ok=True)
            raise ModelError(
                f"The weight file {path} was damaged or cut short ({problem}) and is deleted; "
                "run the same command again to fetch it anew."
            )


def _problem(path: Path) -> str | None:
    """What is wrong with the head of a safetensors file; other formats have none."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except Exception as error:  # damaged files fail in every way
        return said(error)
    return None


def _refuse_unreadable(path: Path) -> None:
    # The libraries that read weights call it absent or damaged.
    if not os.access(path, os.R_OK):
        raise ModelError(f"The weight file {path} may not be read; change its rights.")


def _parts(index: Path) -> list[str]:
    try:
        listed: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return sorted(set(listed.values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} is not a valid index of weight files.") from error


def said(error: BaseException) -> str:
    """The first line of an error's message, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
