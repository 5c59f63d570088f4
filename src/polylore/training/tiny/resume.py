"""States to resume from: weights and moments of one run, in a folder of its own.

Written after an evaluation is complete, whole or not at all; the newest two are kept, because runs
of one stack are saved one after the other and must go on at one common step.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from polylore.errors import DataError, RunError
from polylore.files import atomic_path, clear_temporary, read_json, sha256_file, write_json
from polylore.training.checkpoint import step_name
from polylore.training.tiny.stack import Stack

_KEPT = 2
_FILE = "state.safetensors"
_END = "ended.json"


def save(folder: Path, stack: Stack, run: int, step: int) -> None:
    """Write `<folder>/step-<step>/` and drop all but the newest two states."""
    tensors = {"weights": stack.model(run).row, **stack.moments(run)}
    with atomic_path(folder / step_name(step)) as temporary:
        temporary.mkdir()
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary / _FILE)
        facts = {"step": step, "sha256": sha256_file(temporary / _FILE)}
        write_json(facts, temporary / "state.json")
    for path in _states(folder)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def end(folder: Path, step: int, reason: str) -> None:
    """Note that a run diverged, so that it is not trained again."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json({"step": step, "reason": reason}, folder / _END)


def ended(folder: Path) -> tuple[int, str] | None:
    """When and how a run diverged; None if it did not, or if the note is damaged."""
    try:
        note = read_json(folder / _END)
        return int(note["step"]), str(note["reason"])
    except (DataError, OSError, KeyError, TypeError, ValueError):
        return None


def restore_all(stack: Stack, folders: Sequence[Path | None], alive: Sequence[bool]) -> int:
    """Put all runs back to the newest step of which all have a whole state; 0 if there is none.

    Args:
        stack: the runs.
        folders: of each run; None where nothing is kept.
        alive: whether a run goes on; those that have diverged need no state.

    Raises:
        RunError: a state belongs to a model of another shape.
    """
    if any(folder is None for folder in folders):
        return 0
    numbers = [number for number, goes_on in enumerate(alive) if goes_on]
    if not numbers:
        return 0
    real = [folder for number in numbers if (folder := folders[number]) is not None]
    for folder in real:
        clear_temporary(folder)
    steps = [{int(path.name.removeprefix("step-")) for path in _states(f)} for f in real]
    for step in sorted(set.intersection(*steps), reverse=True):
        try:
            states = [_read(folder / step_name(step)) for folder in real]
        except (DataError, SafetensorError, OSError, KeyError, TypeError):
            continue  # damaged: an older one, or the start, gives the same numbers
        for run, tensors, folder in zip(numbers, states, real, strict=True):
            if tensors["weights"].shape != stack.rows_RP[run].shape:
                raise RunError(f"The state in {folder} belongs to a model of another shape.")
            weights = tensors.pop("weights")
            stack.restore(run, weights, tensors, step)
        return step
    return 0


def _states(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _read(path: Path) -> dict[str, torch.Tensor]:
    facts = read_json(path / "state.json")
    if sha256_file(path / _FILE) != facts["sha256"]:
        raise DataError(f"{path / _FILE} does not match its checksum.")
    tensors: dict[str, torch.Tensor] = load_file(path / _FILE)
    return tensors
