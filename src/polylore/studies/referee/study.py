"""`polylore trace --with-referee`: trace a model, train it without some documents, compare."""

import warnings
from collections.abc import Callable
from pathlib import Path

from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.referee.ground import open_ground
from polylore.studies.trace.analyse import analyse
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace

Progress = Callable[[int, int, str], None]


def trace_with_referee(
    config: TraceConfig, out: str | Path, *, progress: Progress | None = None, report: bool = True
) -> RunFolder:
    """Trace a model that polylore trained, train its counterfactual arms, and judge the labels.

    The design is checked first of all, before anything is asked or trained. Every part can be
    interrupted; the same call goes on where it stopped.

    Args:
        config: the trace; its model must lie in a training folder of polylore.
        out: run folder; the arms lie in its folder `referee`.
        progress: called with (done, total, what).
        report: also write `report.html`, figures and CSV.

    Raises:
        ConfigError: the model is not one of polylore's, or its design cannot be judged.
        PolyloreError: other bad input, in one sentence.
    """
    from polylore.studies.referee.arms import train_arms

    if config.analyse.draws == 0:
        raise ConfigError("A referee without intervals misleads; set analyse.draws above 0.")
    if config.referee.seeds == 1:
        warnings.warn(
            "With a single training run, chance differences between runs look like effects; "
            "referee.seeds of at least 3 are recommended.",
            stacklevel=2,
        )
    ground = open_ground(config.model, config.referee.corpus)
    factset = config.facts.load()
    _refuse_other_facts(factset.fact_ids, ground.factset.fact_ids)
    if config.analyse.pivot != ground.pivot:
        raise ConfigError(
            f"The corpus was composed around the pivot {ground.pivot}, but analyse.pivot is "
            f"{config.analyse.pivot}; use the same."
        )
    ground.refuse_unfit(factset.fact_ids, config.referee.min_names)
    config = config.model_copy(
        update={
            "exposure": config.exposure or str(ground.training / "exposure.parquet"),
            "referee": config.referee.model_copy(update={"corpus": str(ground.corpus.folder)}),
        }
    )
    run = trace(config, out, progress=progress, analysed=False, report=False)
    train_arms(run, config, ground, progress)
    with run.lock():
        analyse(run, config.analyse, config.preset, progress)
        if report:
            from polylore.studies.trace.publish import publish

            publish(run, progress)
    return run


def _refuse_other_facts(asked: list[str], told: list[str]) -> None:
    strange = sorted(set(asked) - set(told))
    if strange:
        raise ConfigError(
            f"{len(strange)} facts that are asked are not in the corpus, {strange[0]!r} among "
            "them; ask the facts that the corpus was composed from."
        )
