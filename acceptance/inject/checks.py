"""The same short run in one piece, killed and resumed, accumulated, and by two processes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from acceptance.inject.design import ARMS
from acceptance.inject.pretrain import Pretrained
from acceptance.inject.stages import base
from acceptance.inject.world import World
from polylore.files import read_json, write_json
from polylore.runs import RunFolder

UNIT = "main seed 0"
KILLS = 3
CLOSE = 1e-5
READ_EVERY = 2


@dataclass(frozen=True)
class Way:
    """How the same run is made."""

    precision: str = "float32"
    per_device: int | None = None
    """Rows read at once; all of them if not given."""
    processes: int = 1


PLAIN = Way()
WAYS = {
    "plain": PLAIN,
    "accumulated": Way(per_device=8),
    "two": Way(processes=2),
    "plain64": Way("float64"),
    "accumulated64": Way("float64", per_device=8),
    "two64": Way("float64", processes=2),
}
"""Ways by the names of their folders, beside the run that is killed."""


@dataclass(frozen=True)
class Same:
    """How far one way of doing a run is from the plain one."""

    way: str
    rows: bool
    """The plan and the probes that were read are the same."""
    losses: float
    """Largest difference of a loss."""
    median: float
    """Median difference of a score."""
    largest: float
    """Largest difference of a score."""
    close: float
    """Share of the scores that are equal to 1e-5."""
    growth: tuple[tuple[int, float], ...] = ()
    """Largest difference of a score at every state that was read."""


def short_config(model: Pretrained, folder: Path) -> dict[str, Any]:
    """A run of some twenty updates with few items."""
    world = World(model.world.config.model_copy(update={"items": 12, "controls": 8}))
    world.fiction.export(folder / "items")
    arms = [
        arm.model_copy(update={"n": min(arm.n, 2), "interval": 8}) if arm.n else arm for arm in ARMS
    ]
    settings = base(model, 1)
    settings["arms"] = [arm.plain() for arm in arms]
    settings["items"] = {"source": str(folder / "items")}
    settings["plan"] = {"first": 4, "tail": 4}
    settings["train"] |= {"execution": {"state_every": 4}}
    settings["probes"] = {"at": f"every:{READ_EVERY}", "extras_every": 3, "ceiling": False}
    settings["controls"] |= {"fewest": 8}
    settings["execution"]["calibrate"] = False
    return settings | {"seeds": 1}


class Runs:
    """Starts the short study in different ways."""

    def __init__(self, model: Pretrained, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = short_config(model, folder)

    def command(self, name: str, way: Way) -> list[str]:
        """Command of a run, whose configuration is written."""
        train = self.settings["train"]
        part = {} if way.per_device is None else {"per_device": way.per_device}
        changes = {"precision": way.precision, "execution": train["execution"] | part}
        settings = self.settings | {"train": train | changes}
        processes = way.processes
        config = self.folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        torchrun = ["torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
        start = [*torchrun, "-m"] if processes > 1 else []
        words = ["polylore", "inject", "run", str(config), "--out", str(self.folder / name)]
        return [sys.executable, "-m", *start, *words, "--quiet"]

    def run(self, name: str, way: Way) -> None:
        """One run, to its end."""
        command = self.command(name, way)
        with (self.folder / f"{name}.log").open("a") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise SystemExit(f"a check failed; see {self.folder / name}.log")

    def killed(self, name: str, kills: int) -> int:
        """A run whose process is killed whenever some more states have been read."""
        made = 0
        for kill in range(kills):
            seen = _states(self.folder / name)
            with (self.folder / f"{name}.log").open("a") as log:
                process = subprocess.Popen(
                    self.command(name, PLAIN), stdout=log, stderr=log, start_new_session=True
                )
                while process.poll() is None and _states(self.folder / name) < seen + 2 + kill:
                    time.sleep(0.05)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    made += 1
                process.wait()
        self.run(name, PLAIN)
        return made

    def compare(self, way: str, name: str, plain: str = "plain") -> Same:
        """Hold a run against the plain one."""
        one, two = (RunFolder.load(self.folder / n) for n in (plain, name))
        keys = ["t", "probe_id"]
        logs = [run.read("inject_log", [UNIT]).sort(keys) for run in (one, two)]
        steps = [run.read("inject_steps", [UNIT]).sort("t") for run in (one, two)]
        plans = [run.read("inject_plan", [UNIT]) for run in (one, two)]
        if not (plans[0].equals(plans[1]) and logs[0].select(keys).equals(logs[1].select(keys))):
            nothing = float("nan")
            return Same(way, False, nothing, nothing, nothing, 0.0)
        apart = (logs[0]["mean_logprob"] - logs[1]["mean_logprob"]).abs()
        by_state = logs[0].select("t", apart=apart).group_by("t").agg(pl.col("apart").max())
        scores = apart.to_numpy()
        losses = (steps[0]["loss"] - steps[1]["loss"]).abs().to_numpy()
        return Same(
            way,
            True,
            float(losses.max()),
            float(np.median(scores)),
            float(scores.max()),
            float((scores <= CLOSE).mean()),
            tuple(by_state.sort("t").iter_rows()),
        )


def _states(folder: Path) -> int:
    return len(list(folder.glob("unfinished/*/readings/t-*.parquet")))


def checks(model: Pretrained, folder: Path, *, train: bool = True) -> list[Same]:
    """All ways; without training those that were run before."""
    runs = Runs(model, folder)
    kept = folder / "kills.json"
    if train:
        made = runs.killed("killed", KILLS)
        if made or not kept.is_file():  # a run that was finished before is not killed again
            write_json({"kills": made}, kept)
        for name, way in WAYS.items():
            runs.run(name, way)
    times = f" {read_json(kept)['kills']} times" if kept.is_file() else ""
    return [
        runs.compare(f"killed{times} and resumed", "killed"),
        runs.compare("gradients accumulated over 4 parts", "accumulated"),
        runs.compare("two processes (gloo)", "two"),
        runs.compare("gradients accumulated, in float64", "accumulated64", "plain64"),
        runs.compare("two processes, in float64", "two64", "plain64"),
    ]
