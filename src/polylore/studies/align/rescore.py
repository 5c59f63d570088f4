"""`align rescore`: other people's answers, read once and scored without a model.

The run folder holds the raw rows (unit `import`) and every table that follows from them; scoring
again never reads the source files.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError, RunError
from polylore.facts.choices.baselines import baselines
from polylore.facts.choices.from_facts import majority
from polylore.facts.choices.lint import MESSAGES, lint, summary
from polylore.facts.choices.outputs import IMPORTED, Outputs, read_outputs, read_result_lines
from polylore.facts.choices.sets import items_of, read_questions
from polylore.files import sha256_file
from polylore.metrics.align.analysis import align_tables
from polylore.runs import RunFolder
from polylore.studies.align.config import AlignImportConfig, AlignRescoreConfig, AlignScoreConfig
from polylore.studies.align.exposure import seen_facts

Progress = Callable[[int, int, str], None]
KIND = "align"
IMPORT = "import"
PAPER = "paper"
"""Variant of the published form."""


def rescore(
    config: AlignRescoreConfig, out: str | Path, *, progress: Progress | None = None
) -> RunFolder:
    """Read answers and score them.

    Args:
        config: which answers, and how they are scored.
        out: run folder; with the same files in it, reading is skipped.
        progress: called with (done, total, what).

    Raises:
        PolyloreError: rows that cannot be meant, or a folder of another run.
    """
    show = progress or (lambda done, total, what: None)
    what = (out, KIND, {"unit": IMPORT}, _inputs(config))
    run, parts = RunFolder.find(*what), None
    if run is None or not run.is_done(IMPORT):
        # Before the folder is made: a file that must be mended first leaves nothing behind.
        show(0, 1, "reading the files")
        parts = _read_all(config)
    run = RunFolder.open(*what)
    with run.lock():
        if parts is not None:
            run.write_table("align_incomplete", parts.pop("align_incomplete"))
            run.write_unit(IMPORT, parts)
        score(run, config.score, progress=progress)
    return run


def open_align_run(folder: str | Path) -> RunFolder:
    """A run folder of `align`.

    Raises:
        RunError: it is none, or holds no answers.
    """
    run = RunFolder.load(folder)
    if run.manifest.get("kind") != KIND:
        raise RunError(
            f"{folder} is a run of `{run.manifest.get('kind')}`; give one that `polylore align "
            "evaluate` or `rescore` wrote."
        )
    if not run.units():
        raise RunError(f"{folder} holds no answers; run `polylore align rescore` again.")
    return run


def score(
    run: RunFolder, config: AlignScoreConfig | None = None, *, progress: Progress | None = None
) -> dict[str, pl.DataFrame]:
    """Compute and store every derived table; can be repeated at any time.

    Args:
        run: a run folder of `align`.
        config: how; what is not said is as by default.
        progress: called with (done, total, what).
    """
    config = config or AlignScoreConfig()
    questions, items, answers = (
        _raw(run, name) for name in ("align_questions", "align_items", "align_answers")
    )
    rules = config.rules()
    if not set(answers["variant"]) <= {IMPORTED, PAPER}:
        rules = replace(rules, demonstrations={})  # these letters are of the published prompts
    made = align_tables(
        answers,
        items,
        questions if questions.height else None,
        _raw(run, "align_option_scores"),
        facts=run.table("facts") if run.has_table("facts") else None,
        exposure=seen_facts(run, config.exposure, items, questions),
        rules=rules,
        progress=progress,
    )
    if questions.height:
        closed = items.filter(pl.col("n_options") > 0).select("dataset", "item")
        choices = questions.join(closed, on=["dataset", "item"], how="semi", maintain_order="left")
        found = lint(choices, config.pivot)
        made |= {
            "align_lint": found,
            "align_lint_summary": summary(found, MESSAGES),
            "align_baselines": pl.concat([baselines(choices), majority(questions, items)]),
        }
    for name, frame in made.items():
        run.write_table(name, frame)
    run.annotate("analysis", {"score": config.plain()})
    return made


def _raw(run: RunFolder, name: str) -> pl.DataFrame:
    """A raw table: whole where it is asked of all models, else collected from the units."""
    return run.table(name) if run.has_table(name) else run.read(name)


def _inputs(config: AlignImportConfig) -> dict[str, str]:
    """Digests of all files, and the names that one of them needs."""
    path = Path(config.predictions)
    if not path.is_file():
        raise ConfigError(f"There is no file {path}; give the answers to score.")
    inputs = {"predictions": sha256_file(path)}
    if config.tests is not None:
        inputs |= {
            f"tests/{part.name}": sha256_file(part)
            for part in sorted(Path(config.tests).glob("*.jsonl"))
        }
    named = {"model": config.model, "task": config.task, "lang": config.lang}
    return inputs | {key: value for key, value in named.items() if value is not None}


def _read_all(config: AlignImportConfig) -> dict[str, pl.DataFrame]:
    """Raw tables by name, and what is incomplete."""
    questions = None if config.tests is None else read_questions(config.tests)
    read = _read(config, None if questions is None else items_of(questions))
    parts = {
        "align_items": read.items,
        "align_answers": read.answers,
        "align_incomplete": read.incomplete,
    }
    return parts if questions is None else parts | {"align_questions": questions}


def _read(config: AlignImportConfig, items: pl.DataFrame | None) -> Outputs:
    named = (config.model, config.task, config.lang)
    if named == (None, None, None):
        return read_outputs(config.predictions, items)
    if None in named:
        raise ConfigError(
            "Lines with res, label and uuid need all of --model, --task and --lang; other files "
            "name these in their rows."
        )
    return read_result_lines(
        config.predictions,
        model=str(config.model),
        task=str(config.task),
        lang=str(config.lang),
        items=items,
    )
