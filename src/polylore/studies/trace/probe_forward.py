"""The headline numbers of one probe, and their way to a tracker of experiments."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from polylore import metrics
from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.trace.analyse import grade
from polylore.studies.trace.ask import unit_name
from polylore.studies.trace.config import TraceConfig

Forward = Callable[[dict[str, float], int, int | None], None]
"""Called with (values by name, step, tokens or None)."""

_MODULES = {
    "trackio": "trackio",
    "wandb": "wandb",
    "tensorboard": "torch.utils.tensorboard",
}


def headline(run: RunFolder, config: TraceConfig, ckpt_id: str) -> dict[str, float]:
    """Recall of one checkpoint, by language and on average, as in table `recall`.

    `polylore/recall/<lang>` is the share of free answers that are right (matcher `default`, or
    `paper` in that preset), `polylore/candidates/<lang>` the share of facts whose gold is ranked
    first; `.../mean` is the mean over languages.
    """
    facts = run.table("facts")
    langs = facts["lang"].unique(maintain_order=True).to_list()
    units = [unit_name(ckpt_id, lang) for lang in langs]
    grades = grade(run.read("answers", units), run.read("candidate_scores", units), facts)
    wanted = config.analyse.headline_variants
    if wanted is not None:
        grades = grades.filter(pl.col("variant").is_in(wanted))
    recall = metrics.recall(grades, facts, run.table("checkpoints"))
    whole = recall.filter(relation="all", stratum="all")
    values: dict[str, float] = {}
    for matcher, name in ((config.preset, "recall"), ("candidates", "candidates")):
        rows = whole.filter(pl.col("matcher") == matcher).drop_nulls("acc")
        found = dict(rows.select("lang", "acc").iter_rows())
        values |= {f"polylore/{name}/{lang}": found[lang] for lang in langs if lang in found}
        if found:
            values[f"polylore/{name}/mean"] = sum(found.values()) / len(found)
    return values


def forwarder(to: str | Forward | None, out: Path) -> Forward | None:
    """What takes the numbers of each probe.

    Args:
        to: trackio or wandb (into the run that is active there), tensorboard (into
            `<out>/tensorboard`), a function, or None.
        out: the run folder.

    Raises:
        ConfigError: another name, or a package that is not installed.
    """
    if to is None or callable(to):
        return to
    if to not in _MODULES:
        raise ConfigError(f"forward='{to}' is not known; use {', '.join(_MODULES)}, or a function.")
    try:
        module = import_module(_MODULES[to])
    except ImportError as error:
        raise ConfigError(
            f"forward='{to}' needs the package {to}; install it with pip install {to}."
        ) from error
    if to == "tensorboard":
        return _TensorBoard(module, out / "tensorboard")
    return _wandb(module) if to == "wandb" else _trackio(module)


# Trackers count their own steps, and a number sent for an earlier one is dropped. So the step goes
# along as a value of its own, as transformers does with `train/global_step`.
def _with_axes(values: dict[str, float], step: int, tokens: int | None) -> dict[str, float]:
    axes: dict[str, float] = {"polylore/step": step}
    return values | axes | ({} if tokens is None else {"polylore/tokens": tokens})


def _wandb(wandb: Any) -> Forward:
    defined = None

    def send(values: dict[str, float], step: int, tokens: int | None) -> None:
        nonlocal defined
        if wandb.run is None:
            raise ConfigError("forward='wandb' needs an active run; call wandb.init() first.")
        if defined is not wandb.run:
            wandb.define_metric("polylore/step")
            wandb.define_metric("polylore/*", step_metric="polylore/step")
            defined = wandb.run
        wandb.log(_with_axes(values, step, tokens))

    return send


def _trackio(trackio: Any) -> Forward:
    def send(values: dict[str, float], step: int, tokens: int | None) -> None:
        try:
            trackio.log(_with_axes(values, step, tokens))
        except RuntimeError as error:
            raise ConfigError(
                "forward='trackio' needs an active run; call trackio.init(project=...) first."
            ) from error

    return send


class _TensorBoard:
    def __init__(self, module: Any, folder: Path) -> None:
        self.module, self.folder = module, folder
        self.writer: Any = None

    def __call__(self, values: dict[str, float], step: int, tokens: int | None) -> None:
        if self.writer is None:  # first here: other processes of the training write nothing
            self.writer = self.module.SummaryWriter(str(self.folder))
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        if tokens is not None:
            self.writer.add_scalar("polylore/tokens", tokens, step)
        self.writer.flush()
