"""The demo: a small multilingual model is taught real facts and watched while it learns them.

Compose a corpus from the built-in facts, train a model on it, trace every checkpoint, put concepts
into each, write the report. Every part is an ordinary command with the settings below, and each can
be interrupted.
"""

from collections.abc import Callable
from pathlib import Path

from polylore.config import Config
from polylore.corpus.config import ComposeConfig
from polylore.runs import RunFolder
from polylore.studies.demo_words import WordsConfig, patch_words
from polylore.studies.referee.config import RefereeConfig
from polylore.studies.series import SeriesConfig
from polylore.studies.trace.config import (
    AnalyseConfig,
    AskConfig,
    ExecutionConfig,
    FactsConfig,
    TraceConfig,
)
from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig

Progress = Callable[[int, int, str], None]

# Seven scripts, with and without spaces, left to right and right to left; English as the pivot.
LANGUAGES = ["en", "fr", "es", "de", "tr", "ru", "uk", "ar", "hi", "ko", "zh", "ja"]


class DemoConfig(Config):
    """What the demo composes, trains and asks."""

    facts: FactsConfig
    """Which facts, in which languages."""
    compose: ComposeConfig
    """How often each is told, and which are held out of which languages."""
    train: TrainConfig
    """The model and its training."""
    ask: AskConfig
    """How the facts are asked."""
    words: WordsConfig = WordsConfig()
    """Which words are put into the model."""


def full() -> DemoConfig:
    """The demo that `make demo` runs: minutes on two cores."""
    return DemoConfig(
        facts=FactsConfig(source="cldr", languages=LANGUAGES, limit=320),
        # Few wordings: each then recurs often enough for a model of this size to learn it.
        # Some facts are told nowhere, some everywhere but in English: enough for a referee.
        compose=ComposeConfig(min_dose=5, max_dose=120, wordings=2, lang_only=0.1, untaught=0.11),
        train=TrainConfig(checkpoints=ScheduleConfig(per_decade=1, every=200)),
        ask=_ask(),
    )


def quick() -> DemoConfig:
    """The same story in little more than a minute: fewer facts and languages, a smaller model."""
    return DemoConfig(
        facts=FactsConfig(source="cldr", languages=["en", "fr", "tr", "ru", "ar", "zh"], limit=80),
        compose=ComposeConfig(min_dose=5, max_dose=200, wordings=2, lang_only=0.1, untaught=0.11),
        train=TrainConfig(
            batch_size=8,
            model=ModelConfig(hidden_size=128, layers=3, intermediate_size=384),
            tokenizer=TokenizerConfig(vocab_size=2048),
            checkpoints=ScheduleConfig(per_decade=1, every=200),
        ),
        ask=_ask(),
    )


def _ask() -> AskConfig:
    # A wording that occurred in training, and at the end one that did not; no demonstrations, since
    # a model of this size cannot learn from its prompt.
    return AskConfig(variants=[0], final_variants=[2], n_shot=0)


def demo(
    config: DemoConfig,
    out: str | Path,
    *,
    execution: ExecutionConfig,
    progress: Progress | None = None,
) -> RunFolder:
    """Compose, train and trace; returns the traced run, whose folder holds `report.html`.

    Args:
        config: `full()`, `quick()` or a variation.
        out: folder that receives `corpus/`, `model/`, `patch/` and `trace/`.
        execution: how the trace is spread over processes.
        progress: called with (done, total, what).
    """
    from polylore.corpus import compose
    from polylore.studies.trace.concepts import add_concepts
    from polylore.studies.trace.publish import publish
    from polylore.studies.trace.study import trace
    from polylore.training.loop import train

    out = Path(out)
    factset, words = config.facts.load(), config.words.lexicon()
    compose(factset, config.compose, out / "corpus", progress)
    model = train(out / "corpus", out / "model", config.train, progress=progress)
    settings = TraceConfig(
        model=str(model / "checkpoints"),
        series=SeriesConfig(name="a small model that was taught real facts"),
        exposure=str(model / "exposure.parquet"),
        facts=config.facts,
        ask=config.ask,
        # Prompts 0 and 1 are the beginnings of training statements; the others never occur, and
        # whether a fact survives a new wording is another question than whether it is known.
        analyse=AnalyseConfig(
            pivot=config.compose.pivot, seen_variants=[0, 1], headline_variants=[0]
        ),
        # The design is known, so labels can be judged without training anything again.
        referee=RefereeConfig(corpus=str(out / "corpus"), checkpoints=1),
        execution=execution,
    )
    run = trace(settings, out / "trace", progress=progress, report=False)
    patched = patch_words(config.words, words, model, out / "patch", execution, progress)
    with run.lock():
        add_concepts(run, patched)
        publish(run, progress)
    return run
