"""Training the counterfactual arms and asking them what the full model was asked.

```
RUN/referee/corpus-A, corpus-B        the corpus without the pivot's documents about one group
RUN/referee/seed-<n>/<arm>/model      an ordinary training folder
RUN/referee/seed-<n>/<arm>/trace      an ordinary run folder with its answers
```
The full run of the first seed is the traced model itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.corpus.compose import Composed
from polylore.corpus.conditions import GROUPS
from polylore.corpus.without import FILLER, without
from polylore.files import read_json, sha256_file
from polylore.runs import RunFolder
from polylore.studies.referee.config import compared_steps
from polylore.studies.referee.ground import Ground, inspect
from polylore.studies.referee.judge import FULL
from polylore.studies.trace.config import TraceConfig
from polylore.tables.referee import ARMS
from polylore.training.loop import train
from polylore.training.stream import read_config, same_outside
from polylore.training.tokenizer import encode, open_tokenizer

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Arm:
    """One training run."""

    seed: int
    name: str
    corpus: Composed


def train_arms(
    run: RunFolder, config: TraceConfig, ground: Ground, progress: Progress | None = None
) -> None:
    """Train and ask every arm of every seed; write table ARMS.

    What is finished is left as it is, so an interrupted call goes on where it stopped.

    Raises:
        DataError: an arm read something else than it should have.
        KeyboardInterrupt: after SIGINT, when everything is saved.
    """
    home = run.path / "referee"
    corpora = {FULL: ground.corpus} | {g: _corpus(ground, g, home) for g in GROUPS}
    first = read_config(ground.training).seed
    arms = [
        _Arm(first + n, name, corpora[name])
        for n in range(config.referee.seeds)
        for name in (FULL, *GROUPS)
    ]
    rows = []
    for number, arm in enumerate(arms):
        tell = _counted(progress, number, len(arms))
        if arm.name == FULL and arm.seed == first:
            model, answers = ground.training, run
        else:
            place = home / f"seed-{arm.seed}" / arm.name
            model = train(
                arm.corpus.folder,
                place / "model",
                ground.train_config(arm.seed),
                tokenizer=ground.training / "tokenizer",
                progress=tell,
            )
            answers = _ask(run, config, arm, model, place / "trace", tell)
        rows.append(_record(run, ground, arm, model, answers.path))
    run.write_table("arms", ARMS.build(rows))


def _counted(progress: Progress | None, number: int, total: int) -> Progress | None:
    if progress is None:
        return None
    show = progress
    return lambda done, of, what: show(done, of, f"{what}, run {number + 1} of {total}")


def _corpus(ground: Ground, group: str, home: Path) -> Composed:
    tokenizer = open_tokenizer(ground.training / "tokenizer")

    def lengths(texts: list[str]) -> list[int]:
        return [len(ids) for ids in encode(tokenizer, texts)]

    made = sha256_file(ground.training / "tokenizer" / "tokenizer.json")
    folder = home / f"corpus-{group}"
    return without(ground.corpus, ground.factset, group, lengths, made, folder)


def _ask(
    run: RunFolder,
    config: TraceConfig,
    arm: _Arm,
    model: Path,
    out: Path,
    progress: Progress | None,
) -> RunFolder:
    """Ask an arm the same prompts: a full run at all checkpoints, others at those compared."""
    from polylore.studies.trace.study import trace

    series = config.series
    if arm.name != FULL:
        steps = [s for s in run.table("checkpoints")["step"].to_list() if s is not None]
        chosen: list[int | str] = list(compared_steps(steps, config.referee.checkpoints))
        series = series.model_copy(update={"schedule": chosen})
    update: dict[str, Any] = {
        "model": str(model / "checkpoints"),
        "exposure": str(model / "exposure.parquet"),
        "series": series,
        "referee": config.referee.model_copy(update={"corpus": None}),
    }
    return trace(
        config.model_copy(update=update), out, progress=progress, analysed=False, report=False
    )


def _record(run: RunFolder, ground: Ground, arm: _Arm, model: Path, trace: Path) -> dict[str, Any]:
    """Read again what the arm read, compare it with the full run, and note both."""
    inspect(model, arm.corpus, ground.factset)
    fillers = arm.corpus.documents().filter(pl.col("wording") == FILLER).select("doc_id").collect()
    agreed = same_outside(ground.training, model, ground.stream, fillers["doc_id"])
    precision = read_json(model / "manifest.json")["precision"]
    return {
        "seed": arm.seed,
        "arm": arm.name,
        "folder": _relative(model, run.path),
        "trace": _relative(trace, run.path),
        "fillers": fillers.height,
        "tokens": agreed.tokens,
        "tokens_replaced": agreed.replaced,
        "stream_hash": agreed.stream_hash,
        "leaks": 0,  # `inspect` refuses any other number
        "ran": f"{precision['dtype']}, {precision['threads']} threads",
    }


def _relative(path: Path, start: Path) -> str:
    """Path from the run folder where it lies within it, so that the folder can move."""
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path.resolve())
