"""The ordered checkpoints of one run, from local folders.

Specification of `trace`, section 4.1.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError, ModelError
from polylore.files import read_json
from polylore.models.duplicates import mark_duplicates, warn_suspect
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.models.names import CheckpointName, continuous, parse_name
from polylore.models.weights import has_weights
from polylore.tables.raw import CHECKPOINTS

_log = logging.getLogger(__name__)

MAIN = "main"
"""Identity of a final model that lies beside its checkpoints, not in a folder of its own."""


@dataclass(frozen=True)
class Series:
    """A series and what was left out of it."""

    checkpoints: pl.DataFrame
    """Table `checkpoints`, in order of training, final models last."""
    skipped: tuple[tuple[str, str], ...]
    """Folders that look like checkpoints but were left out: (path, reason)."""


@dataclass(frozen=True)
class _Found:
    parsed: CheckpointName
    folder: Path


def read_series(
    path: str | Path,
    name: str | None = None,
    *,
    pattern: str | None = None,
    phases: Mapping[str, int] | None = None,
    tokens_per_step: int | None = None,
) -> pl.DataFrame:
    """Table `checkpoints` of a local series; see `scan_series`."""
    return scan_series(
        path, name, pattern=pattern, phases=phases, tokens_per_step=tokens_per_step
    ).checkpoints


def scan_series(
    path: str | Path,
    name: str | None = None,
    *,
    pattern: str | None = None,
    phases: Mapping[str, int] | None = None,
    tokens_per_step: int | None = None,
    damaged: bool = False,
) -> Series:
    """Find, order and fingerprint the checkpoints below a folder.

    The folder may hold checkpoint folders (perhaps beside a final model), a folder ``checkpoints``
    that does, or be one model, which is a series of one. Steps and tokens come from the folder
    names and from ``polylore.json`` or ``trainer_state.json`` inside; they must agree.

    Args:
        path: the folder.
        name: name of the series; the folder's name if absent.
        pattern, phases, tokens_per_step: how names are read, see `parse_name`.
        damaged: let damaged weights pass, without a fingerprint.

    Raises:
        ModelError: no such folder, no checkpoint in it, a name that says no step, two folders for
            one step, a name and a file that disagree, or damaged weights.
    """
    root = Path(path)
    if not root.is_dir():
        raise ModelError(f"There is no folder {root}.")
    hint = name or root.resolve().name
    options: dict[str, Any] = {
        "repo": hint,
        "pattern": pattern,
        "phases": phases,
        "tokens_per_step": tokens_per_step,
    }
    found, skipped = _below(root, options, phases or {})
    if not found and not has_weights(root) and (root / "checkpoints").is_dir():
        hint = options["repo"] = name or root.resolve().name
        found, skipped = _below(root / "checkpoints", options, phases or {})
    if has_weights(root):
        found.append(_top(root, alone=not found, options=options))
    if not found:
        listed = f"; left out: {', '.join(Path(p).name for p, _ in skipped)}" if skipped else ""
        raise ModelError(f"There is no checkpoint with weights in {root}{listed}.")
    for folder, reason in skipped:
        _log.warning("Left out %s: %s.", folder, reason)
    names = continuous([f.parsed for f in found])
    ordered = sorted(
        (replace(f, parsed=n) for f, n in zip(found, names, strict=True)),
        key=lambda f: (f.parsed.order, f.parsed.name),
    )
    _refuse_twice(ordered)
    rows = [_row(f, hint, damaged) for f in ordered]
    add_stages(rows, tokens_per_step)
    mark_duplicates(rows)
    warn_suspect(rows, hint)
    return Series(CHECKPOINTS.build(rows), tuple(skipped))


def _below(
    root: Path, options: dict[str, Any], phases: Mapping[str, int]
) -> tuple[list[_Found], list[tuple[str, str]]]:
    found: list[_Found] = []
    skipped: list[tuple[str, str]] = []
    refused: list[str] = []
    for folder in _candidates(root, phases):
        label = folder.relative_to(root).as_posix()
        complete = has_weights(folder)
        noted = _noted(folder)
        try:
            parsed = parse_name(label, **options)
        except ModelError as error:
            if not complete:
                continue  # some other folder, such as logs
            if noted is None:
                refused.append(str(error))
                continue
            parsed = CheckpointName(label, "plain", noted[0])
        if parsed is None:
            skipped.append((str(folder), "a long-context variant"))
        elif not complete:
            skipped.append((str(folder), "it holds no weights"))
        else:
            found.append(_Found(_agreed(parsed, noted, folder), folder))
    if refused:
        more = f" ({len(refused) - 1} more folders are like it.)" if len(refused) > 1 else ""
        raise ModelError(f"In {root}: {refused[0]}{more}")
    return found, skipped


def _candidates(root: Path, phases: Mapping[str, int]) -> list[Path]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    nested = [p for f in folders if f.name in phases for p in sorted(f.iterdir()) if p.is_dir()]
    return [f for f in folders if f.name not in phases] + nested


def _top(root: Path, *, alone: bool, options: dict[str, Any]) -> _Found:
    """The model in the folder itself."""
    noted = _noted(root)
    if not alone:
        return _Found(CheckpointName(MAIN, "final", None, final=True), root)
    label = root.resolve().name
    try:
        parsed = parse_name(label, **options)
    except ModelError:
        parsed = None
    if parsed is None:
        parsed = (
            CheckpointName(label, "final", None, final=True)
            if noted is None
            else CheckpointName(label, "plain", noted[0])
        )
    return _Found(_agreed(parsed, noted, root), root)


def _noted(folder: Path) -> tuple[int, int | None] | None:
    """Step and tokens as files in a checkpoint folder say, null if none does."""
    result: tuple[int, int | None] | None = None
    for file, step_key, tokens_key in (
        ("trainer_state.json", "global_step", "num_input_tokens_seen"),
        ("polylore.json", "step", "tokens"),
    ):
        if not (folder / file).is_file():
            continue
        try:
            values = read_json(folder / file)
        except DataError as error:
            raise ModelError(str(error)) from error
        step = values.get(step_key) if isinstance(values, dict) else None
        if not isinstance(step, int) or step < 0:
            raise ModelError(f"{folder / file} does not say its step ('{step_key}').")
        if result is not None and result[0] != step:
            raise ModelError(
                f"In {folder}, trainer_state.json says step {result[0]} and polylore.json {step}."
            )
        # The HF Trainer writes 0 tokens where it did not count.
        tokens = values.get(tokens_key)
        known = isinstance(tokens, int) and (tokens > 0 or step == 0)
        result = (step, int(tokens) if known else result[1] if result else None)
    return result


def _agreed(
    parsed: CheckpointName, noted: tuple[int, int | None] | None, folder: Path
) -> CheckpointName:
    if noted is None:
        return parsed
    step, tokens = noted
    if parsed.step is not None and parsed.step != step:
        raise ModelError(
            f"The name of {folder} says step {parsed.step}, but a file in it says step {step}; "
            "rename the folder or correct the file."
        )
    if tokens is None:
        return parsed
    return replace(parsed, tokens=tokens, tokens_exact=True)


def _refuse_twice(ordered: Sequence[_Found]) -> None:
    for first, second in pairwise(ordered):
        if not second.parsed.final and first.parsed.order == second.parsed.order:
            raise ModelError(
                f"{first.folder} and {second.folder} are both step {second.parsed.step}; keep one."
            )


def _row(found: _Found, model: str, damaged: bool) -> dict[str, Any]:
    hashed: str | None = None
    try:
        hashed = weight_hash(fingerprint(found.folder))
    except ModelError:
        if not damaged:
            raise
    return checkpoint_row(found.parsed, model, str(found.folder), hashed)


def checkpoint_row(
    parsed: CheckpointName, model: str, path: str | None, weights: str | None
) -> dict[str, Any]:
    """One row of table `checkpoints`; `mark_duplicates` completes it.

    Args:
        parsed: what the name of the checkpoint says.
        model: name of the series.
        path: folder of the checkpoint; None if it is not stored.
        weights: hash of its weights; None if it is not known.
    """
    return {
        "ckpt_id": parsed.name,
        "family": parsed.family,
        "model": model,
        "path": path,
        "stage": parsed.stage,
        "ingredient": parsed.ingredient,
        "step": parsed.step,
        "tokens": parsed.tokens,
        "tokens_exact": parsed.tokens is not None and parsed.tokens_exact,
        "final": parsed.final,
        "weight_hash": weights,
        "flags": list(parsed.flags) or None,
    }


def add_stages(rows: Sequence[dict[str, Any]], tokens_per_step: int | None = None) -> None:
    """Let steps and tokens of later stages count on from the end of the stage before.

    Steps go into `total_step`, since `step` is what the name says; those of phases count on by
    themselves. Tokens are unknown where an earlier stage, or its tokens, are.

    Args:
        rows: rows of CHECKPOINTS, in order; changed in place.
        tokens_per_step: tokens of one step, where the user knows that it is constant.
    """
    stepped = [row for row in rows if row["step"] is not None]
    stages = sorted({row["stage"] or 0 for row in stepped})
    if stages in ([], [0]):
        return
    steps, tokens = 0, 0 if stages[0] <= 1 else None
    for stage in stages:
        own = [row for row in stepped if (row["stage"] or 0) == stage]
        for row in own:
            if row["family"] == "phases":
                row["tokens"] = row["step"] * tokens_per_step if tokens_per_step else None
                row["tokens_exact"] = row["tokens"] is not None
                continue
            row["total_step"] = row["step"] + steps
            known = row["tokens"] is not None and tokens is not None
            row["tokens"] = row["tokens"] + tokens if known else None
            row["tokens_exact"] = known and row["tokens_exact"]
        steps = max(row.get("total_step") or 0 for row in own)
        tokens = max((row["tokens"] for row in own if row["tokens"] is not None), default=None)
