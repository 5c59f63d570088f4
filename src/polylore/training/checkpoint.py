"""Checkpoints for others, and states for ourselves.

A checkpoint is an ordinary `from_pretrained` folder with the step and tokens beside it. A state
holds all that training needs to go on exactly: weights, optimizer moments, counters and the
log so far. Both appear whole or not at all.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
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
from polylore.tables.contract import Table

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of every weight, as state files name it."""
_KEPT = 2  # states; the older one is for the day the newer is damaged
_TENSORS = "state.safetensors"


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
    tables: Mapping[str, pl.DataFrame]
    """The logs, rows up to the step, by the names of their contracts."""


def gather(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, *, keep: bool = True
) -> dict[str, torch.Tensor]:
    """Trainable weights and AdamW moments by parameter name; tied weights once.

    Args:
        model: the model, unwrapped. If its weights are spread over processes, every process must
            call this.
        optimizer: its AdamW.
        keep: whether this process wants the tensors; otherwise it only takes part.
    """
    tensors = {}
    for name, parameter in trainable(model):
        found = {"weight": parameter.detach()}
        found |= {m: v for m, v in optimizer.state[parameter].items() if m in MOMENTS}
        for kind, tensor in found.items():
            full = whole(tensor)
            if keep:
                tensors[f"{kind}/{name}"] = full.cpu().contiguous()
    return tensors


def trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Names and weights that training changes."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with all its parts, if it is spread over processes; all of them must call this."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def restore(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    made: int | None = None,
) -> None:
    """Put weights and moments back.

    Args:
        model: the model, unwrapped.
        optimizer: its AdamW.
        state: what `gather` gave.
        made: updates that the moments have seen, if not those of the state.

    Raises:
        RunError: the state belongs to a model of another shape.
    """
    own = trainable(model)
    shapes = {f"{kind}/{n}": p.shape for n, p in own for kind in ("weight", *MOMENTS)}
    fits = all(shapes.get(name) == tensor.shape for name, tensor in state.tensors.items())
    if not fits or any(f"weight/{name}" not in state.tensors for name, _ in own):
        raise RunError(f"The state of step {state.step} belongs to another model; delete it.")
    with torch.no_grad():
        for name, parameter in own:
            parameter.copy_(spread(state.tensors[f"weight/{name}"], parameter))
    set_moments(model, optimizer, state.tensors, state.step if made is None else made)


def set_moments(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
    made: int,
) -> None:
    """Give AdamW the moments of earlier training, where there are any.

    Args:
        model: the model, unwrapped.
        optimizer: its AdamW.
        tensors: moments by kind and name of the weight, as `gather` names them.
        made: updates they have seen.
    """
    for name, parameter in trainable(model):
        found = {m: tensors[f"{m}/{name}"] for m in MOMENTS if f"{m}/{name}" in tensors}
        if found:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(made), device=parameter.device),  # for the fused form
                **{m: spread(tensor, parameter).clone() for m, tensor in found.items()},
            }


def spread(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A tensor on the device, in the format and, among processes, in the parts of another one."""
    if not hasattr(like, "full_tensor"):
        return tensor.to(like.device, like.dtype)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(like.device, like.dtype), like.device_mesh, like.placements)


def save_state(folder: Path, state: State) -> None:
    """Write `<folder>/step-<step>/` and drop all but the newest two states."""
    with atomic_path(folder / step_name(state.step)) as temporary:
        temporary.mkdir()
        save_file(dict(state.tensors), temporary / _TENSORS)
        for name, frame in state.tables.items():
            write_parquet(frame, temporary / f"{name}.parquet")
        files = [_TENSORS, *(f"{name}.parquet" for name in state.tables)]
        hashes = {name: sha256_file(temporary / name) for name in files}
        write_json({"step": state.step, "sha256": hashes}, temporary / "state.json")
    for path in state_folders(folder)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def latest_state(folder: Path, tables: Sequence[Table]) -> tuple[State | None, list[str]]:
    """The newest undamaged state, if there is any, and a sentence per damaged one passed over.

    Args:
        folder: where the states are.
        tables: contracts of the logs in them.

    Raises:
        RunError: there are states, but all of them are damaged.
    """
    passed: list[str] = []
    for path in reversed(state_folders(folder)):
        try:
            return read_state(path, tables), passed
        except (DataError, SafetensorError, OSError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            passed.append(f"The state {path} is damaged ({reason}).")
    if passed:
        raise RunError(
            f"Every state in {folder} is damaged, so training cannot go on; delete that folder to "
            "train from the start."
        )
    return None, passed


def state_folders(folder: Path) -> list[Path]:
    """Folders of the states, oldest first."""
    found = [path for path in folder.glob("step-*") if path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def read_state(path: Path, tables: Sequence[Table]) -> State:
    """One state.

    Raises:
        DataError: it is damaged.
    """
    facts = read_json(path / "state.json")
    for name in [_TENSORS, *(f"{table.name}.parquet" for table in tables)]:
        if sha256_file(path / name) != facts["sha256"][name]:
            raise DataError(f"{name} does not match its checksum")
    return State(
        facts["step"],
        load_file(path / _TENSORS),
        {t.name: t.validate(read_parquet(path / f"{t.name}.parquet")) for t in tables},
    )
