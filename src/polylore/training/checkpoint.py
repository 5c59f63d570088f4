"""Checkpoints for others, and states for ourselves.

A checkpoint is an ordinary `from_pretrained` folder with the step and tokens beside it. A state
holds all that training needs to go on exactly: float32 weights, optimizer moments, counters and the
log so far. Both appear whole or not at all.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from polylore.errors import DataError, RunError
from polylore.files import (
    atomic_path,
    read_json,
    read_parquet,
    sha256_file,
    write_json,
    write_parquet,
)
from polylore.tables import raw

_MOMENTS = ("exp_avg", "exp_avg_sq")
_KEPT = 2  # states; the older one is for the day the newer is damaged
_FILES = ("state.safetensors", "train_log.parquet", "speed.parquet")


def step_name(step: int) -> str:
    """Name of the folder of a step."""
    return f"step-{step:06d}"


def save_checkpoint(
    folder: Path,
    model: Any,
    tokenizer: Path,
    step: int,
    tokens: int,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write `<folder>/step-<step>/`: model, tokenizer (copied) and polylore.json.

    Args:
        folder: where the series is.
        model: of the standard classes.
        tokenizer: folder of its files.
        step: updates made.
        tokens: tokens read.
        about: what polylore.json says besides step and tokens.
    """
    with atomic_path(folder / step_name(step)) as temporary:
        with _quiet():
            model.save_pretrained(temporary)
        for path in sorted(tokenizer.iterdir()):
            shutil.copyfile(path, temporary / path.name)
        write_json({**(about or {}), "step": step, "tokens": tokens}, temporary / "polylore.json")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@dataclass(frozen=True)
class State:
    """Where training stands after `step` updates."""

    step: int
    tensors: Mapping[str, torch.Tensor]
    log: pl.DataFrame
    """Contract `tables.raw.TRAIN_LOG`, rows up to the step."""
    speed: pl.DataFrame
    """Contract `tables.raw.SPEED`, rows up to the step."""


def gather(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights and AdamW moments by parameter name; tied weights once."""
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach()
        for moment in _MOMENTS:
            if moment in optimizer.state[parameter]:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def restore(model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Put weights and moments back.

    Raises:
        RunError: the state belongs to a model of another shape.
    """
    wanted = {
        f"{kind}/{name}": parameter.shape
        for name, parameter in model.named_parameters()
        for kind in (("weight", *_MOMENTS) if state.step else ("weight",))
    }
    if {name: tensor.shape for name, tensor in state.tensors.items()} != wanted:
        raise RunError(f"The state of step {state.step} belongs to another model; delete it.")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state.tensors[f"weight/{name}"])
            if state.step:
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(state.step)),
                    **{m: state.tensors[f"{m}/{name}"].to(parameter.device) for m in _MOMENTS},
                }


def save_state(folder: Path, state: State) -> None:
    """Write `<folder>/step-<step>/` and drop all but the newest two states."""
    with atomic_path(folder / step_name(state.step)) as temporary:
        temporary.mkdir()
        save_file(dict(state.tensors), temporary / "state.safetensors")
        write_parquet(raw.TRAIN_LOG.validate(state.log), temporary / "train_log.parquet")
        write_parquet(raw.SPEED.validate(state.speed), temporary / "speed.parquet")
        hashes = {name: sha256_file(temporary / name) for name in _FILES}
        write_json({"step": state.step, "sha256": hashes}, temporary / "state.json")
    for path in _states(folder)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def latest_state(folder: Path) -> tuple[State | None, list[str]]:
    """The newest undamaged state, if there is any, and a sentence per damaged one passed over.

    Raises:
        RunError: there are states, but all of them are damaged.
    """
    passed: list[str] = []
    for path in reversed(_states(folder)):
        try:
            return _read(path), passed
        except (DataError, SafetensorError, OSError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            passed.append(f"The state {path} is damaged ({reason}).")
    if passed:
        raise RunError(
            f"Every state in {folder} is damaged, so training cannot go on; delete that folder to "
            "train from the start."
        )
    return None, passed


def _states(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _read(path: Path) -> State:
    facts = read_json(path / "state.json")
    for name in _FILES:
        if sha256_file(path / name) != facts["sha256"][name]:
            raise DataError(f"{name} does not match its checksum")
    return State(
        facts["step"],
        load_file(path / "state.safetensors"),
        raw.TRAIN_LOG.validate(read_parquet(path / "train_log.parquet")),
        raw.SPEED.validate(read_parquet(path / "speed.parquet")),
    )
