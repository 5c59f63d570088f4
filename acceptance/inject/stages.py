"""The studies of the experiment: arms, sweep of intervals, and two contrasts of conditions."""

from pathlib import Path
from typing import Any

import polars as pl

from acceptance.inject.design import (
    ARMS,
    BATCH,
    DOCUMENTS,
    FEW_CONTROLS,
    FEW_ITEMS,
    FIRST,
    FRESH_DOCUMENTS,
    SMALL,
    SWEEP,
    SWEEP_N,
    TAIL,
)
from acceptance.inject.others import other_people
from acceptance.inject.pretrain import EARLY, RATE, Pretrained
from acceptance.inject.world import World
from polylore.corpus.injection import STANDARD, ArmConfig, interval_sweep
from polylore.runs import RunFolder
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.study import run_inject


def base(model: Pretrained, jobs: int) -> dict[str, Any]:
    """Settings that all studies share."""
    return {
        "model": str(model.run),
        "background": {
            "source": [str(background(model) / "documents")],
            "batch_size": BATCH,
        },
        # A batch has few and short rows, whose padding has no part in the loss: up to 5.8 % of it
        # is injected where the exposures of several people meet.
        "plan": {"first": FIRST, "tail": TAIL, "allow_dose": True},
        "train": {
            "optimizer": "restore",
            "rate": {"learning_rate": RATE},
            "precision": "float32",
            "threads": 1,
        },
        "probes": {"at": "every:2", "extras_every": 4},
        "controls": {"sham": False, "background_only": False},
        "execution": {"jobs": jobs},
    }


def background(model: Pretrained) -> Path:
    """Folder of the documents of stage 2: the same people, told anew."""
    folder = model.run.parent / "background"
    model.world.compose(folder, DOCUMENTS, seed=FRESH_DOCUMENTS)
    return folder


def _plain(arms: tuple[ArmConfig, ...] | list[ArmConfig]) -> list[dict[str, Any]]:
    return [arm.plain() for arm in arms]


def arms_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """Stage 2: duplication, paraphrase, once and never, in both languages."""
    settings = base(model, jobs) | {"arms": _plain(ARMS), "seeds": seeds}
    return InjectConfig.parse(settings, "stage 2")


def sweep_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """Stage 3: one arm for each interval; the last exposures are matched."""
    arms = [*interval_sweep(SWEEP, SWEEP_N), STANDARD[-1]]
    settings = base(model, jobs) | {"arms": _plain(arms), "seeds": seeds}
    # Last exposures are at nearly the same state, so the dose is high there.
    settings["plan"] = {"first": FIRST, "tail": max(SWEEP) + 2, "allow_dose": True}
    # Every state, so that the published x-intercept can stand beside what is measured.
    settings["probes"] = {"at": "every", "extras_every": 0, "depths": ["memorization"]}
    return InjectConfig.parse(settings, "stage 3")


def script_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """The second pair: stage 2 again, with fewer people."""
    settings = base(model, jobs) | {"arms": _plain(ARMS), "seeds": seeds}
    return InjectConfig.parse(settings, "the second pair")


def batch_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """A small batch beside the large one, as it is and with passages that weigh less."""
    settings = base(model, jobs) | {"arms": _plain(ARMS), "seeds": seeds}
    settings["probes"] = {"at": "every:2", "extras_every": 0, "depths": ["memorization"]}
    settings["batch"] = {"small": SMALL, "large": BATCH, "match": ["none", "share"]}
    return InjectConfig.parse(settings, "batches")


def stage_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """An early and the last checkpoint at the same rate, both with a burnt-in optimizer."""
    settings = base(model, jobs) | {"arms": _plain(ARMS), "seeds": seeds}
    settings["train"] |= {"optimizer": "fresh_burn_in", "burn_in": 50}
    settings["probes"] = {"at": "every:2", "extras_every": 0, "depths": ["memorization"]}
    settings["conditions"] = [{"name": "early", "set": {"revision": str(EARLY)}}]
    return InjectConfig.parse(settings, "checkpoints")


def controls_study(model: Pretrained, seeds: int, jobs: int) -> InjectConfig:
    """The arms beside a run that injects other people, and one that injects nobody."""
    settings = base(model, jobs) | {"arms": _plain(ARMS), "seeds": seeds}
    settings["probes"] = {
        "at": "every:2",
        "extras_every": 0,
        "depths": ["memorization", "semantic"],
    }
    settings["items"] = {"sham": other_people(model.world, model.run.parent / "others")}
    settings["controls"] = {"sham": True, "background_only": True}
    return InjectConfig.parse(settings, "control runs")


STUDIES = {
    "arms": arms_study,
    "sweep": sweep_study,
    "script": script_study,
    "batch": batch_study,
    "stage": stage_study,
    "controls": controls_study,
}


def people(name: str, model: Pretrained) -> World:
    """The world with the people of one of the studies."""
    if name == "arms":
        return model.world
    few = {"items": FEW_ITEMS, "controls": FEW_CONTROLS}
    return World(model.world.config.model_copy(update=few))


def run_stage(
    name: str, model: Pretrained, folder: Path, seeds: int, jobs: int, progress: Any
) -> RunFolder:
    """Run one of the studies, or what is left of it."""
    config = STUDIES[name](model, seeds, jobs)
    fiction = people(name, model).fiction
    return run_inject(config, folder / name, fiction=fiction, progress=progress)


def tables_of(run: RunFolder, condition: str = "main") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Log and exposures of the runs of a condition."""
    runs = run.table("inject_runs").filter(condition=condition)["run_id"].to_list()
    log = run.read("inject_log", runs)
    exposures = [
        run.read("inject_schedule", [unit]).select(
            pl.lit(unit).alias("run_id"), "item_id", "exposure", "step"
        )
        for unit in runs
    ]
    return log, pl.concat(exposures)
