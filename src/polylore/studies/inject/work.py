"""One unit of work: one training run, read on the way.

Every reading is written when it is made, and the state to resume from behind it. So a killed run
goes on at its newest state and gives the same tables as one that was not; when it ends, its parts
become one unit of the run folder.
"""

import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.config import digest
from polylore.errors import ConfigError
from polylore.facts.people.swaps import swapped_prefixes, with_swaps
from polylore.files import read_json, read_parquet, write_json
from polylore.models.probing import probe_texts
from polylore.runs import RunFolder
from polylore.studies.inject.background import Background
from polylore.studies.inject.basis import Basis, make_basis, saved_items
from polylore.studies.inject.conditions import RunSpec
from polylore.studies.inject.design import Design, make_design
from polylore.studies.inject.reader import ProbeReader
from polylore.tables.inject import BACKGROUND, DOSE, EVAL_LOSS, RUNS, STEPS
from polylore.training.continued.config import RESUMED, ContinueConfig
from polylore.training.continued.held_out import HeldOut
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.rates import rate
from polylore.training.continued.readers import at
from polylore.training.continued.settings import mode_of
from polylore.training.continued.streams import Injected, RowStream

Progress = Callable[[int, int, str], None]
HELD_OUT = "eval_loss.parquet"
LARGE = 10**9
"""Parameters from which on update norms are only read on request: a copy of the weights is much
memory there, while the time is little everywhere (1 % of an update on a CPU)."""
_MODES = {"restore": "restored"}
"""How tables name the state of an optimizer, where training names it otherwise."""


@dataclass(frozen=True)
class Job:
    """A run that a worker is given."""

    folder: str
    spec: RunSpec
    background: Background

    def __str__(self) -> str:
        return self.spec.run_id


def failure_of(folder: Path, unit: str) -> Path:
    """Where it is noted why a run failed."""
    return folder / "failed" / f"{digest(unit)[:16]}.json"


def unfinished(folder: Path, unit: str) -> Path:
    """Where the parts of a run lie until it ends."""
    return folder / "unfinished" / digest(unit)[:16]


def cost_of(folder: Path, unit: str) -> Path:
    """Where it is noted what a run cost."""
    return folder / "costs" / f"{digest(unit)[:16]}.json"


def work(job: Job, progress: Progress | None = None, main: bool = True) -> int:
    """Make a run unless it is done; returns 1.

    A run that fails is noted in the folder `failed`, so that the others go on.
    """
    folder = RunFolder.load(job.folder)
    unit = job.spec.run_id
    if folder.is_done(unit):
        return 1
    try:
        basis = make_basis(job.spec.config, saved_items(folder.path), job.background.form)
        _Run(folder, job, basis).go(progress, main)
    except Exception as error:  # the other runs of a study must not suffer
        if main:
            about = {"unit": unit, "why": str(error), "trace": traceback.format_exc()}
            write_json(about, failure_of(folder.path, unit))
    return 1


class _Run:
    """A run on its way."""

    def __init__(self, folder: RunFolder, job: Job, basis: Basis) -> None:
        self.folder, self.spec, self.basis = folder, job.spec, basis
        self.design = make_design(self.spec, basis.items, basis.tokens, basis.form)
        self.parts = unfinished(folder.path, self.spec.run_id)
        self.train = train_config(self.spec, self.design, basis)
        self.stream, first = open_stream(self.spec, self.design, job.background, self.train, basis)
        size = self.spec.config.background.batch_size
        self.dose = dose_of(self.stream)
        self.languages = job.background.languages(first, self.design.updates * size)
        self.probes = self._probes()
        self.reader = make_reader(
            self.parts, self.spec, self.design, basis, self.probes, job.background
        )

    def go(self, progress: Progress | None, main: bool) -> None:
        """Train, and write the unit."""
        continue_training(
            self.basis.start,
            self.stream,
            self.parts / "training",
            self.train,
            readers=[self.reader],
            progress=progress,
        )
        if main:
            self._finish()

    def _probes(self) -> pl.DataFrame:
        return swapped_probes(self.basis, self.design, self.spec.seed)

    def _finish(self) -> None:
        design = self.design
        training = self.parts / "training"
        self.folder.write_unit(
            self.spec.run_id,
            {
                "inject_runs": run_row(self.spec, design, self.basis, training),
                "inject_arms": design.arms,
                "inject_schedule": design.schedule,
                "inject_plan": design.plan,
                "inject_dose": self.dose,
                "inject_probes": self.probes,
                "inject_steps": self._steps(training),
                "inject_log": self.reader.log(),
                "inject_ceiling": self.reader.ceiling(),
                "inject_eval_loss": self._eval_loss(),
                "inject_background": self._background(),
                "exposure": design.exposure,
            },
        )
        write_json(self._cost(training), cost_of(self.folder.path, self.spec.run_id))
        shutil.rmtree(self.parts, ignore_errors=True)

    def _steps(self, training: Path) -> pl.DataFrame:
        dose = self.dose.select(
            (pl.col("step") + 1).alias("t"),
            "injected_rows",
            "injected_tokens",
            "displaced_tokens",
            "loss_share",
        )
        whole = (pl.col("loss") * pl.col("n_tokens")).sum() / pl.col("n_tokens").sum()
        losses = self._eval_loss().group_by("t").agg(background_eval_loss=whole)
        updates = read_updates(training)
        names = [
            name
            for name in updates.columns
            if name in STEPS.schema and name not in dose.columns[1:]
        ]
        return STEPS.validate(
            updates.select(names)
            .join(dose, on="t", how="left", maintain_order="left")
            .join(losses, on="t", how="left", maintain_order="left")
            .with_columns(
                pl.col("injected_rows", "injected_tokens", "displaced_tokens").fill_null(0),
                pl.col("loss_share").fill_null(0.0),
                pl.lit(self.spec.run_id).alias("run_id"),
                pl.lit(self.spec.seed, dtype=pl.Int64).alias("seed"),
            )
        )

    def _eval_loss(self) -> pl.DataFrame:
        if self.reader.heldout is None:
            return EVAL_LOSS.empty()
        found = read_parquet(self.reader.heldout.path).rename({"set": "lang"})
        return EVAL_LOSS.validate(
            found.with_columns(
                pl.lit(self.spec.run_id).alias("run_id"),
                pl.lit(self.spec.seed, dtype=pl.Int64).alias("seed"),
            )
        )

    def _background(self) -> pl.DataFrame:
        rows = [{"lang": lang, "n_tokens": n} for lang, n in self.languages.items()]
        return BACKGROUND.build([{"run_id": self.spec.run_id, **row} for row in rows])

    def _cost(self, training: Path) -> dict[str, Any]:
        """What readings, of held-out text too, took beside training."""
        timed = self.reader.seconds()
        reading = sum(one["seconds"] for one in timed)
        trained = float(read_parquet(training / "speed.parquet")["seconds"].sum())
        return {
            "run_id": self.spec.run_id,
            "readings": len(timed),
            "with_extras": sum(one["extras"] for one in timed),
            "reading_seconds": reading,
            "training_seconds": trained,
            "share": reading / trained if trained else None,
        }


def swapped_probes(basis: Basis, design: Design, seed: int) -> pl.DataFrame:
    """The probes with the item whose subject is put in: of the same arm and language."""
    groups = {
        item: f"{arm}/{lang}"
        for item, arm, lang in design.arms.select("item_id", "arm", "inject_lang").iter_rows()
    }
    return with_swaps(basis.items.fiction, groups, seed)


def make_reader(
    folder: Path,
    spec: RunSpec,
    design: Design,
    basis: Basis,
    probes: pl.DataFrame,
    background: Background,
) -> ProbeReader:
    """The reader of a run's probes and held-out text; it writes to the folder."""
    fiction = basis.items.fiction
    about = probes.join(design.arms, on="item_id", how="left", maintain_order="left").select(
        "probe_id", "item_id", "fact_id", "arm", "inject_lang", probe_lang="lang", depth="depth"
    )
    lost = about.filter(pl.col("arm").is_null())
    if lost.height:
        raise ConfigError(f"Item {lost['item_id'][0]} is asked about, but is in no arm.")
    stories = {}
    if spec.config.probes.ceiling:
        originals = {
            (item, lang): basis.tokens[passage].tolist()
            for item, lang, passage in fiction.passages.filter(variant=0)
            .select("item_id", "lang", "passage_id")
            .iter_rows()
        }
        stories = {
            probe: [*originals[item, lang], basis.form.eos]
            for probe, item, lang in probes.select("probe_id", "item_id", "lang").iter_rows()
            if (item, lang) in originals
        }
    sets = background.held_out(spec.config.background.heldout)
    due = at(design.readings.states)
    return ProbeReader(
        folder / "readings",
        spec.run_id,
        spec.seed,
        about,
        probe_texts(probes, swapped_prefixes(fiction, probes)),
        design.readings,
        begin=basis.begin(spec.config),
        stories=stories,
        token_budget=spec.config.probes.token_budget,
        heldout=HeldOut(sets, due, folder / HELD_OUT) if sets else None,
    )


def train_config(spec: RunSpec, design: Design, basis: Basis) -> ContinueConfig:
    """How a run is trained: the study's settings with its own seed, length and rate.

    Raises:
        ConfigError: a rate that should be changed is not known.
    """
    train = spec.config.train
    changes: dict[str, Any] = {"updates": design.updates, "seed": train.seed + spec.seed}
    if train.execution.update_norm_every is None and basis.parameters < LARGE:
        changes["execution"] = train.execution.model_copy(update={"update_norm_every": 1})
    if spec.lr_factor != 1:
        known = train.rate.learning_rate or basis.start.recipe.learning_rate
        if known is None and train.rate.schedule != RESUMED:
            raise ConfigError(
                "The learning rate of the checkpoint is not known, so it cannot be scaled with "
                "the batch; give train.rate.learning_rate."
            )
        factor = train.rate.factor * spec.lr_factor
        changes["rate"] = train.rate.model_copy(update={"factor": factor})
    return train.model_copy(update=changes)


def burn_in_rows(spec: RunSpec, train: ContinueConfig, basis: Basis) -> int:
    """Rows before step 0."""
    burns = mode_of(train, basis.start) == "fresh_burn_in"
    needed = train.burn_in * spec.config.background.batch_size if burns else 0
    return max(needed, spec.config.background.first)


def open_stream(
    spec: RunSpec, design: Design, background: Background, train: ContinueConfig, basis: Basis
) -> tuple[RowStream, int]:
    """The background with its passages, and the row that opens step 0."""
    first = burn_in_rows(spec, train, basis)
    rows = background.stream(spec.config.background.batch_size, first, design.updates)
    if design.injector is None:
        return rows, first
    return Injected(rows, design.injector), first


def dose_of(stream: RowStream) -> pl.DataFrame:
    """How much of every step is injected; contract `tables.inject.DOSE`."""
    return stream.dose if isinstance(stream, Injected) else DOSE.empty()


def planned_row(spec: RunSpec, design: Design, basis: Basis) -> dict[str, Any]:
    """What a run is to be made of, as far as that is known before it; a row of RUNS."""
    config, recipe = spec.config, basis.start.recipe
    mode = mode_of(config.train, basis.start)
    beta1 = config.train.beta1
    if beta1 is None and mode == "restore":
        beta1 = recipe.beta1
    return {
        "run_id": spec.run_id,
        "seed": spec.seed,
        "condition": spec.condition,
        "settings": spec.settings,
        "role": spec.role,
        "model": config.model,
        "revision": config.revision,
        "checkpoint_step": basis.start.step,
        "parameters": basis.parameters,
        "batch": config.background.batch_size,
        "length": basis.form.length,
        "match": spec.match,
        "lr_rule": spec.lr_rule,
        "lr": _first_rate(spec, design, basis),
        "lr_schedule": config.train.rate.schedule,
        "optimizer": _MODES.get(mode, mode),
        "beta1": 0.9 if beta1 is None else beta1,
    }


def _first_rate(spec: RunSpec, design: Design, basis: Basis) -> float | None:
    """Learning rate of the first update; None if the checkpoint's own is needed and not known."""
    train = train_config(spec, design, basis)
    peak = train.rate.learning_rate or basis.start.recipe.learning_rate
    if peak is None and train.rate.schedule != RESUMED:
        return None
    return rate(1, train.updates, train.rate, peak or 0.0, basis.start.step)


def run_row(spec: RunSpec, design: Design, basis: Basis, training: Path) -> pl.DataFrame:
    """What the run was made of; contract `tables.inject.RUNS`."""
    settled = read_json(training / "manifest.json")["optimizer"]
    updates = read_updates(training)
    told = {
        "lr": updates["lr"][0] if updates.height else None,
        "optimizer": _MODES.get(settled["mode"], settled["mode"]),
        "beta1": settled["beta1"],
        "dtype": settled["dtype"],
    }
    return RUNS.build([planned_row(spec, design, basis) | told])
