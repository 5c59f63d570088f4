"""`unify measure`: checkpoint folders of a world, measured as those of a run in training are."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.config import digest
from polylore.errors import DataError, ModelError, PolyloreError
from polylore.facts.worlds import World, load_world
from polylore.files import read_json
from polylore.models.usable import usable
from polylore.runs import RunFolder
from polylore.studies.unify.causal import edit_rows, patch_rows
from polylore.studies.unify.config import SCHEMA, MeasureConfig
from polylore.studies.unify.meter import Frames, Meter
from polylore.studies.unify.summary import summaries
from polylore.training.tiny.sizes import Sizes
from polylore.training.tiny.stack import TinyModel

Progress = Callable[[int, int, str], None]
KIND = "unify-measure"
ABOUT = "polylore.json"
"""What a checkpoint folder of `unify train` says of itself."""
_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class Found:
    """One checkpoint folder, read."""

    folder: Path
    model: TinyModel
    run_hash: str
    step: int
    tokens: int | None

    @property
    def unit(self) -> str:
        """Its unit in the run folder."""
        return f"{self.run_hash} step {self.step}"


def measure_folders(
    folders: Sequence[Path],
    world_folder: Path,
    config: MeasureConfig,
    out: str | Path,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[RunFolder, dict[str, str]]:
    """Measure checkpoints of a world, one after the other.

    Args:
        folders: checkpoint folders, or folders that hold them.
        world_folder: folder of the world.
        config: what is measured; `scores`, `answers` and `checkpoints` say nothing here, since
            every checkpoint is one to itself.
        out: run folder; what it holds of the same world and settings is not measured again.
        device: device of the measurements.
        progress: called with (folders done, folders, what).

    Returns:
        The run folder, with raw tables in units and derived ones in `tables`; and the folders that
        were refused, with the reason.

    Raises:
        ModelError: no folder could be measured.
        PolyloreError: the world is damaged, or the run folder is another run's.
    """
    usable(device)
    world = load_world(world_folder)
    show = progress or (lambda done, total, what: None)
    question = {"measure": config.plain(), "schema": SCHEMA}
    run = RunFolder.open(out, KIND, question, {"world": world.world_hash})
    refused: dict[str, str] = {}
    units: dict[str, str] = {}
    with run.lock():
        listed = list(dict.fromkeys(one for folder in folders for one in _checkpoints(folder)))
        for number, folder in enumerate(listed):
            show(number, len(listed), "measuring")
            try:
                found = _read(folder, world, device)
                if found.unit in units:
                    raise DataError(f"It is the same run and step as {units[found.unit]}.")
                _measure(run, world, config, found)
                units[found.unit] = str(folder)
            except PolyloreError as error:
                refused[str(folder)] = str(error)
        show(len(listed), len(listed), "measuring")
        if not units:
            name, why = next(iter(refused.items()))
            raise ModelError(f"No folder could be measured; the first, {name}: {why}")
        run.annotate("folders", {"measured": units, "refused": refused})
        _summarise(run, world, units)
    return run, refused


def _checkpoints(folder: Path) -> list[Path]:
    """The folder itself, or the checkpoints in it in the order of their steps."""
    if (folder / "config.json").is_file() or not folder.is_dir():
        return [folder]
    inside = [p for p in folder.iterdir() if (p / "config.json").is_file()]
    return sorted(inside, key=lambda p: (_number(p.name) or 0, p.name)) or [folder]


def _number(name: str) -> int | None:
    found = _NUMBER.search(name)
    return int(found.group(1)) if found else None


def _read(folder: Path, world: World, device: str) -> Found:
    """Read a checkpoint and hold it against the world.

    Raises:
        PolyloreError: no weights, another kind of model, another world, or no step.
    """
    about: dict[str, Any] = {}
    if (folder / ABOUT).is_file():
        about = read_json(folder / ABOUT)
    theirs = about.get("world_hash")
    if theirs is not None and theirs != world.world_hash:
        raise DataError(
            f"It was trained on world {str(theirs)[:12]}, not on {world.world_hash[:12]}; give its "
            "own world with --world."
        )
    model = TinyModel.load(folder, device)
    _refuse_other_words(folder, world)
    step = about.get("step", _number(folder.name))
    if not isinstance(step, int):
        raise DataError(
            f"Neither {ABOUT} nor its name says at which step it was saved; call it step-N."
        )
    run_hash = about.get("run_hash") or digest(str(folder.resolve().parent))
    return Found(folder, model, str(run_hash), step, about.get("tokens"))


def _refuse_other_words(folder: Path, world: World) -> None:
    tokenizer = read_json(folder / "tokenizer.json")
    vocabulary = tokenizer.get("model", {}).get("vocab")
    if vocabulary != {word: number for number, word in enumerate(world.words)}:
        raise DataError("Its tokenizer has other words than the world; give its own world.")


def _measure(run: RunFolder, world: World, config: MeasureConfig, found: Found) -> None:
    """Write the units of a checkpoint, and once for each run those of fresh copies."""
    meter = Meter(world, found.run_hash, config)
    fresh = f"{found.run_hash} fresh"
    if config.fresh and not run.is_done(fresh):
        run.write_unit(fresh, _fresh(meter, found.model.sizes, config.fresh))
    if run.is_done(found.unit):
        return
    rows = meter(found.model, found.step, found.tokens, first=True, last=True)
    if config.edits:
        rows["unify_edits"] = edit_rows(
            found.model, world, found.run_hash, found.step, config.edits
        )
    if config.patches:
        rows["unify_patches"] = patch_rows(
            found.model, world, found.run_hash, found.step, config.patches
        )
    run.write_unit(found.unit, rows)


def _fresh(meter: Meter, sizes: Sizes, copies: int) -> Frames:
    """Scores of fresh initialisations, as a run in training has them at step 0."""
    seed = meter.world.config.seed_of("init")
    made = [
        meter.scores(
            TinyModel.fresh(sizes, seed + number), 0, meter.samples[:2], last=False, init=number
        )
        for number in range(1, copies + 1)
    ]
    return {name: pl.concat([one[name] for one in made]) for name in made[0]}


_DERIVED = ("unify_course", "unify_transfer", "unify_unification", "unify_association",
            "unify_phases", "unify_causal")  # fmt: skip


def _summarise(run: RunFolder, world: World, units: Iterable[str]) -> None:
    """Derived tables of the checkpoints just named, run by run."""
    made: dict[str, list[pl.DataFrame]] = {}
    runs: dict[str, list[str]] = {}
    for unit in units:
        runs.setdefault(unit.split(" ")[0], []).append(unit)
    for run_hash, own in runs.items():
        own = sorted(own, key=lambda unit: int(unit.rpartition(" ")[2]))
        there = [f"{run_hash} fresh", *own] if run.is_done(f"{run_hash} fresh") else own
        names = ("unify_answers", "unify_values", "unify_sims", "unify_grid", "unify_probe",
                 "unify_edits", "unify_patches")  # fmt: skip
        raw = {name: run.read(name, there) for name in names}
        found = summaries(world, raw) | {"unify_probe": raw["unify_probe"]}
        for name in (*_DERIVED, "unify_probe"):
            made.setdefault(name, []).append(found[name])
    for name, frames in made.items():
        run.write_table(name, pl.concat(frames))
