"""The demo's words: a few concepts that are put into the model.

The model is taught facts and never to translate, so no shared space of words is expected: the page
shows what the measurement says where there is nothing to find.
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from polylore.config import Config
from polylore.errors import ConfigError
from polylore.facts.lexicon import Lexicon, load_lexicon
from polylore.runs import RunFolder
from polylore.studies.patch.config import PatchConfig, PlanConfig
from polylore.studies.patch.running.config import PatchAskConfig, PatchRunConfig
from polylore.studies.work_config import WorkConfig

Progress = Callable[[int, int, str], None]


class WordsConfig(Config):
    """Which words are put into the model."""

    languages: list[str] = Field(default=["en", "fr", "de", "ru", "tr"])
    """Languages that are read and asked."""
    names: dict[str, str] = Field(default={"tr": "Türkçe"})
    """What languages call themselves, where polylore does not know."""
    concepts: int = Field(default=100, ge=6)
    """Concepts, those with the shortest words: a small vocabulary has few tokens for them."""
    pairs: list[str] = Field(default=["en-fr", "en-ru"])
    """Language pairs that a concept is put into."""
    n_pairs: int = Field(default=12, ge=1)
    """Pairs of a concept that is put in and one that is replaced."""

    def lexicon(self) -> Lexicon:
        """Single words of the built-in lexicon, no two of them spelled alike.

        Raises:
            ConfigError: there are too few.
        """
        words, _ = load_lexicon("cldr", self.languages).complete(self.languages)

        def spellings(concept: str) -> list[str]:
            forms = [form for lang in self.languages for form in words.forms(concept, lang)]
            return [key for form in forms for key in sorted(form.keys)]

        def length(concept: str) -> tuple[int, str]:
            return sum(map(len, spellings(concept))), concept

        chosen: list[str] = []
        taken: set[str] = set()
        for concept in sorted(words.concepts, key=length):
            own = spellings(concept)
            if all(map(str.isalpha, own)) and len(set(own)) == len(own) and not taken & set(own):
                chosen.append(concept)
                taken |= set(own)
        if len(chosen) < self.concepts:
            raise ConfigError(f"There are {len(chosen)} single words, not {self.concepts}.")
        return words.filter(concepts=chosen[: self.concepts])

    def plan(self, model: Path) -> PatchConfig:
        """What is asked of the model's checkpoints: the shared space and its main controls."""
        return PatchConfig(
            model=str(model),
            plan=PlanConfig(
                pairs=self.pairs,
                seen=self.languages,
                names=self.names,
                n_pairs=self.n_pairs,
                n_shots=1,
                settings=SETTINGS,
            ),
        )


SETTINGS = [
    "src_unpatched",
    "tgt_unpatched",
    "seen",
    "tgt",
    "identity",
    "random_concept",
    "shuffled_mean",
    "grand_mean",
    "gauss",
]


def patch_words(
    config: WordsConfig,
    words: Lexicon,
    model: Path,
    out: Path,
    execution: WorkConfig,
    progress: Progress | None = None,
) -> RunFolder:
    """Put the concepts into every checkpoint; returns the scored run in `out`."""
    from polylore.models.loading import load_tokenizer
    from polylore.studies.patch.planning.build import make_plan
    from polylore.studies.patch.running.study import run_patch
    from polylore.studies.patch.scoring import score

    plan = out.with_name(f"{out.name}-plan")
    asked = config.plan(model / "checkpoints")
    if not (plan / "plan.json").is_file():
        make_plan(asked, load_tokenizer(model / "tokenizer"), words, progress).save(plan)
    settings = PatchRunConfig(
        model=asked.model,
        plan=str(plan),
        ask=PatchAskConfig(generate=False),
        execution=WorkConfig(jobs=execution.jobs, threads=execution.threads),
    )
    run = run_patch(settings, out, progress=progress)
    with run.lock():
        score(run, progress=progress)
    return run
