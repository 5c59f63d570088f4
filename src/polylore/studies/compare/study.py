"""The study `compare`: finished traces of several models, on the questions they share.

No model is needed: everything comes from the raw rows that the runs hold.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import polars as pl

from polylore import metrics
from polylore.errors import ConfigError
from polylore.runs import RunFolder
from polylore.studies.compare.config import CompareConfig
from polylore.studies.compare.pages import build_report
from polylore.studies.compare.shared import shared_questions
from polylore.studies.compare.side import Side, read_side
from polylore.studies.outputs import write_outputs
from polylore.studies.trace.analyse import guesses

Progress = Callable[[int, int, str], None]


def compare(
    runs: Sequence[str | Path],
    out: str | Path,
    config: CompareConfig | None = None,
    *,
    progress: Progress | None = None,
) -> RunFolder:
    """Stand finished traces beside each other; the first is what the others are held against.

    Of each run its last checkpoint counts. Only questions that all runs asked in the same words,
    with the same right answers and candidates, are compared; whatever else differs is named.

    Args:
        runs: run folders of finished traces, at least two.
        out: folder to write; made anew from the runs each time.
        config: names and bootstrap.
        progress: called with (done, total, what).

    Returns:
        The run folder, with the tables `model_*`, `report.html` and figures.

    Raises:
        PolyloreError: fewer than two runs, a run that is not a finished trace, or no shared
            question.
    """
    config = config or CompareConfig()
    show = progress or (lambda done, total, what: None)
    sides = _open(runs, config.names)
    questions, remarks = shared_questions(sides)
    sides = [side.only(questions) for side in sides]
    inputs = {side.name: str(side.run.manifest["config_digest"]) for side in sides}
    folder = RunFolder.open(out, "compare", config.plain(), inputs)
    with folder.lock():
        folder.annotate("remarks", list(remarks))
        frames = _tables(sides, config, show)
        for name, frame in frames.items():
            folder.write_table(name, frame)
        write_outputs(
            folder, lambda: build_report(folder, sides, config, remarks), frames, progress
        )
    return folder


def _open(runs: Sequence[str | Path], names: Sequence[str] | None) -> list[Side]:
    if len(runs) < 2:
        raise ConfigError("Give at least two finished traces to compare.")
    if names is not None and len(names) != len(runs):
        raise ConfigError(f"There are {len(runs)} runs but {len(names)} names; name each once.")
    given: Sequence[str | None] = names or [None] * len(runs)
    sides = [read_side(Path(run), name) for run, name in zip(runs, given, strict=True)]
    twice = [name for name, n in Counter(side.name for side in sides).items() if n > 1]
    if twice:
        raise ConfigError(
            f"Two runs are called '{twice[0]}'; tell them apart with --names, such as "
            f"--names {','.join(_distinct([side.run.path.name for side in sides]))}."
        )
    return sides


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number."""
    found: list[str] = []
    for name in names:
        again = (f"{name}-{n}" for n in count(2))
        found.append(name if name not in found else next(n for n in again if n not in found))
    return found


def _tables(
    sides: Sequence[Side], config: CompareConfig, show: Progress
) -> dict[str, pl.DataFrame]:
    facts = sides[0].facts
    draws = None
    if config.draws:
        draws = metrics.cluster_draws(facts, n=config.draws, seed=config.seed)
    recalls, grades = {}, {}
    for number, side in enumerate(sides):
        show(number, len(sides), "comparing")
        asked = side.grades.filter(pl.col("matcher") != "candidates_content_free")
        recalls[side.name] = metrics.recall(
            asked,
            side.facts,
            side.run.table("checkpoints"),
            credits=guesses(side.facts, side.prompts, side.answers, side.grades),
            draws=draws,
        )
        grades[side.name] = asked
    made = {
        "model_recall": metrics.model_recall(recalls, grades, facts, draws),
        "model_difference": metrics.model_differences(sides[0].name, grades, facts, draws),
    }
    scores = {side.name: side.scores for side in sides if side.scores.height}
    if scores:
        made["model_tokens"] = metrics.model_tokens(scores, facts)
    show(len(sides), len(sides), "comparing")
    return made
