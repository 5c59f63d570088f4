"""The demo's words: a few concepts whose names the model learns to translate.

A model that was taught facts alone cannot name a concept in another language, so there would be
nothing to put into it. These words are read as further documents, in the form in which `patch`
asks.
"""

import json
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

from pydantic import Field

from polylore.config import Config
from polylore.errors import ConfigError
from polylore.facts.lexicon import Lexicon, load_lexicon
from polylore.files import atomic_path
from polylore.runs import RunFolder
from polylore.studies.patch.config import PatchConfig, PlanConfig
from polylore.studies.patch.planning.names import endonyms
from polylore.studies.patch.planning.writing import demonstrations
from polylore.studies.patch.running.config import PatchAskConfig, PatchRunConfig
from polylore.studies.trace.config import WorkConfig

Progress = Callable[[int, int, str], None]


class WordsConfig(Config):
    """Which words are translated, how much of the corpus they are, and what is asked of them."""

    languages: list[str] = Field(default=["en", "fr", "de", "ru", "tr"])
    """Languages that are translated into each other."""
    names: dict[str, str] = Field(default={"tr": "Türkçe"})
    """What languages call themselves, where polylore does not know."""
    concepts: int = Field(default=24, ge=6)
    """Concepts, those with the shortest words: a small vocabulary holds each as one token."""
    share: float = Field(default=0.08, gt=0, lt=1)
    """Share of the documents that translate words."""
    pairs: list[str] = Field(default=["en-fr", "en-ru"])
    """Language pairs that a concept is put into."""
    n_pairs: int = Field(default=20, ge=1)
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

    def documents(self, words: Lexicon) -> Iterator[str]:
        """Every two concepts in every two languages, each once: a demonstration and a query."""
        names = endonyms(self.languages, self.names)
        for a, b in permutations(self.languages, 2):
            for two in permutations(words.concepts, 2):
                yield demonstrations(two, two, a, b, words, names)

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


def write_documents(config: WordsConfig, words: Lexicon, path: Path) -> None:
    """Write the documents as rows that a corpus can be mixed with."""
    with atomic_path(path) as temporary:
        rows = (json.dumps({"text": text}, ensure_ascii=False) for text in config.documents(words))
        temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")


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
    # One word is short, and the first onset is where a model of few blocks takes it up.
    ask = PatchAskConfig(max_new_tokens=4, onsets_generate=[-1, 0])
    settings = PatchRunConfig(
        model=asked.model,
        plan=str(plan),
        ask=ask,
        execution=WorkConfig(jobs=execution.jobs, threads=execution.threads),
    )
    run = run_patch(settings, out, progress=progress)
    with run.lock():
        score(run, progress=progress)
    return run
