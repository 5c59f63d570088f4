"""What a study will cost, before it is run (specification of `inject`, section 7)."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polylore.corpus.injection import runs_to_meet
from polylore.files import read_parquet
from polylore.models.probing import Sheet, make_sheet, probe_texts
from polylore.studies.inject.background import Background
from polylore.studies.inject.basis import Basis
from polylore.studies.inject.conditions import MAIN, RunSpec
from polylore.studies.inject.design import Design
from polylore.studies.inject.schedule import Readings
from polylore.studies.inject.work import (
    dose_of,
    make_reader,
    open_stream,
    swapped_probes,
    train_config,
)
from polylore.training.continued.loop import continue_training
from polylore.training.continued.readers import Moment
from polylore.training.continued.settings import mode_of

BYTES_PER_SCORE = 12.3
"""Disk of one probe's reading with all its scores, as compressed columns (section 7)."""
BYTES_PER_PARAMETER = 16
"""Weights, gradients and AdamW's moments, before activations (section 7), in float32."""
FEWEST, MOST, SECONDS = 9, 65, 20.0
"""States of a calibration: probes are read at every one, with extras at every other, until this
many seconds have passed, but at so few or so many states."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Timing:
    """Seconds on this machine."""

    update: float
    """An update; the mean."""
    first_update: float
    """The first one."""
    reading: float
    """A reading without extras; the mean."""
    with_extras: float
    """A reading with them; the mean."""
    first_reading: float
    """The first one, in which probes are tokenised and engines compared, with the ceiling; all of
    them with the loss of held-out text."""

    def share(self, design: Design) -> float:
        """Seconds of reading per second of training in a run."""
        return self.probing(design) / self.training(design)

    def training(self, design: Design) -> float:
        """Seconds of a run's updates."""
        return self.first_update + max(0, design.updates - 1) * self.update

    def probing(self, design: Design) -> float:
        """Seconds of a run's readings."""
        extras = max(0, len(design.readings.extras) - 1)
        plain = len(design.readings.states) - 1 - extras
        return self.first_reading + plain * self.reading + extras * self.with_extras


class _Enough:
    """Ends a calibration in time."""

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def due(self, t: int) -> bool:
        """At every state."""
        return True

    def read(self, moment: Moment) -> bool:
        """Whether enough was timed."""
        return moment.t >= FEWEST - 1 and time.perf_counter() - self.began > SECONDS

    def resume(self, t: int) -> None:
        """A calibration is never resumed."""


def calibrate(
    spec: RunSpec,
    design: Design,
    background: Background,
    basis: Basis,
    folder: Path,
    progress: Progress | None = None,
) -> Timing:
    """Time some updates and readings of a run, in a folder that may be thrown away."""
    every = spec.config.probes.extras_every
    states = tuple(range(MOST))
    readings = Readings(states, frozenset(states[::2] if every else ()))
    short = replace(design, updates=min(MOST - 1, design.updates), readings=readings)
    train = train_config(spec, short, basis)
    if mode_of(train, basis.start) == "fresh_burn_in":
        train = train.model_copy(update={"optimizer": "fresh"})
    probes = swapped_probes(basis, design, spec.seed)
    reader = make_reader(folder, spec, short, basis, probes, background)
    stream, _ = open_stream(spec, design, background, train, basis)
    report = None
    if progress is not None:

        def report(done: int, total: int, what: str) -> None:
            progress(done, total, "timing updates and readings")

    continue_training(
        basis.start,
        stream,
        folder / "training",
        train,
        readers=[reader, _Enough()],
        progress=report,
    )
    seconds = read_parquet(folder / "training" / "speed.parquet")["seconds"].to_list()
    read = reader.seconds()
    plain = [one["seconds"] for one in read[1:] if not one["extras"]]
    full = [one["seconds"] for one in read[1:] if one["extras"]]
    return Timing(
        update=statistics.mean(seconds[1:] or seconds),
        first_update=seconds[0],
        reading=statistics.mean(plain or full),
        with_extras=statistics.mean(full or plain),
        first_reading=read[0]["seconds"],
    )


def run_costs(
    spec: RunSpec, design: Design, basis: Basis, background: Background
) -> dict[str, Any]:
    """What a run will cost: plain values, in FLOP and bytes, and how many seeds its square takes.

    Training takes 6 FLOP per parameter and token, reading 2 per parameter and token of a probe or
    of held-out text.

    Raises:
        DataError: a passage does not fit into its row, or more is injected than is allowed.
    """
    lm, size = basis.skeleton, basis.parameters
    batch, length = spec.config.background.batch_size, basis.form.length
    fiction = basis.items.fiction
    sheet = make_sheet(lm, probe_texts(fiction.probes), begin=basis.begin(spec.config))
    tokens = sum(len(row) for row in sheet.rows)
    n, extras = len(design.readings.states), len(design.readings.extras)
    train_flop = 6.0 * size * batch * length * design.updates
    held_out = background.held_out(spec.config.background.heldout).values()
    beside = sum(rows.batch_size * (rows.steps or 0) for rows in held_out) * length
    read_flop = 2.0 * size * ((tokens + beside) * n + _extra_tokens(sheet) * extras)
    train = train_config(spec, design, basis)
    dose = dose_of(open_stream(spec, design, background, train, basis)[0])
    double = spec.config.train.precision == "float64"
    return {
        "run_id": spec.run_id,
        "condition": spec.condition,
        "seeds": spec.config.seeds,
        "seeds_for_arms": runs_to_meet([arm for arm, _ in design.conditions]) or None,
        "seeds_for_all": runs_to_meet(design.conditions) or None,
        "updates": design.updates,
        "tokens": batch * length * design.updates,
        "parameters": size,
        "probes": len(sheet),
        "probe_tokens": tokens,
        "heldout_tokens": beside,
        "readings": n,
        "with_extras": extras,
        "training_flop": train_flop,
        "reading_flop": read_flop,
        "flop_share": read_flop / train_flop,
        "disk_bytes": round(BYTES_PER_SCORE * n * len(sheet)),
        "memory_bytes": BYTES_PER_PARAMETER * size * (2 if double else 1),
        "injected_tokens": int(dose["injected_tokens"].sum()),
        "highest_row_share": float(dose["row_share"].max() or 0.0),  # type: ignore[arg-type]
        "highest_loss_share": float(dose["loss_share"].max() or 0.0),  # type: ignore[arg-type]
    }


def timed_costs(
    timing: Timing, design: Design, costs: Mapping[str, Any], timed: Mapping[str, Any]
) -> dict[str, Any]:
    """Seconds that a run will take, from those of another one on this machine.

    Args:
        timing: of the run that was timed.
        design: of the run in question.
        costs: its costs, of `run_costs`.
        timed: those of the run that was timed. Where an update or a reading takes another number
            of FLOP, its seconds are scaled by that, which is rough.
    """
    update = _per(costs, "training_flop", "updates") / _per(timed, "training_flop", "updates")
    reading = _read_at_once(costs) / _read_at_once(timed)
    training, probing = timing.training(design) * update, timing.probing(design) * reading
    return {
        "training_seconds": training,
        "reading_seconds": probing,
        "share": probing / training,
        "scaled": update != 1 or reading != 1,
    }


def _per(costs: Mapping[str, Any], name: str, per: str) -> float:
    return float(costs[name] / costs[per])


def _read_at_once(costs: Mapping[str, Any]) -> float:
    """Parameters times tokens of a reading without extras."""
    return float(costs["parameters"] * (costs["probe_tokens"] + costs["heldout_tokens"]))


def _extra_tokens(sheet: Sheet) -> int:
    """Tokens of what is read with extras: swapped prefixes whole, of distractors their own part."""
    own = sum(int(forms.n_tokens.sum()) for forms in (sheet.accepted, sheet.distractors))
    whole = sum(len(string.ids) for string in sheet.swapped.prepared.strings)
    return own + whole + sum(map(len, sheet.prompts.ids)) + sum(sheet.caps)


def first_main(specs: list[RunSpec]) -> RunSpec:
    """The run that stands for the others when time is taken."""
    return next(spec for spec in specs if spec.role == MAIN)
