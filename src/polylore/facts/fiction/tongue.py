"""Rule-made languages: names and words that mean nothing anywhere.

Every name and word is made of parts consonant-vowel-consonant. Parts of names, of answers and of
words are different ones, and so are those of different languages unless they are to overlap, so no
name can stand for two things, and none contains another.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polylore.errors import ConfigError
from polylore.facts.fiction.config import WorldConfig
from polylore.text import language

LETTERS = {
    "Latn": ("bdfgklmnprstvz", "aeiou"),
    "Cyrl": ("бдфгклмнпрствз", "аеиоу"),
    "Grek": ("βγδζκλμνπρστφχ", "αειου"),
    "Armn": ("բդֆգկլմնպրստվզ", "աեիոը"),
    "Geor": ("ბდფგკლმნპრსტვზ", "აეიოუ"),
}
"""Consonants and vowels by script; none of them changes with normalisation or place in a word."""
WORDS = 60
"""Words of a language that wordings are made of."""
ANSWER_PARTS = 2


@dataclass(frozen=True)
class Tongue:
    """One language's parts."""

    lang: str
    names: tuple[str, ...]
    answers: tuple[str, ...]
    """Whole names of answers."""
    words: tuple[str, ...]
    spare: tuple[str, ...] = ()
    """Further parts that stand for nothing yet."""

    def name(self, parts: Sequence[int]) -> str:
        """Name of a subject."""
        return "".join(self.names[part] for part in parts).capitalize()


def draw(seed: int, *names: str) -> np.random.Generator:
    """Random numbers for one purpose, whatever else is drawn."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def tongues(config: WorldConfig, spare: int = 0) -> list[Tongue]:
    """Source first, then the targets.

    Args:
        config: the world.
        spare: further parts of every language; asking for them changes no other part.

    Raises:
        ConfigError: an unknown script, or more parts than its letters can make.
    """
    scripts = [_script(config.source, None)]
    scripts += [_script(target.lang, target.script) for target in config.targets]
    pools = {script: _parts(script, config.seed) for script in dict.fromkeys(scripts)}
    n_answers = config.relations * config.answers
    made: list[Tongue] = []
    overlaps = [0.0, *(target.overlap for target in config.targets)]
    langs = [config.source, *(target.lang for target in config.targets)]
    for lang, script, overlap in zip(langs, scripts, overlaps, strict=True):
        need = config.parts + n_answers * ANSWER_PARTS + WORDS
        own, pools[script] = pools[script][:need], pools[script][need:]
        if len(own) < need:
            raise ConfigError(
                f"The letters of {script} make too few parts for '{lang}' beside the languages "
                "before it; use fewer parts, answers or languages, or another script."
            )
        names, rest = own[: config.parts], own[config.parts :]
        answers = [
            "".join(rest[ANSWER_PARTS * i : ANSWER_PARTS * (i + 1)]).capitalize()
            for i in range(n_answers)
        ]
        words = rest[ANSWER_PARTS * n_answers :]
        if made:
            names = _overlapped(names, made[0].names, overlap, draw(config.seed, lang, "names"))
            answers = _overlapped(
                answers, made[0].answers, config.shared_answers, draw(config.seed, "answers")
            )
        made.append(Tongue(lang, tuple(names), tuple(answers), tuple(words)))
    return [
        replace(one, spare=_taken(pools, script, spare, one.lang))
        for one, script in zip(made, scripts, strict=True)
    ]


def _taken(pools: dict[str, list[str]], script: str, n: int, lang: str) -> tuple[str, ...]:
    own, pools[script] = pools[script][:n], pools[script][n:]
    if len(own) < n:
        raise ConfigError(
            f"The letters of {script} make too few parts for the ordinary facts of '{lang}'; use "
            "fewer of them, or another script."
        )
    return tuple(own)


def _script(lang: str, given: str | None) -> str:
    if given is None:
        usual = language(lang).script
        return usual if usual in LETTERS else "Latn"
    if given not in LETTERS:
        raise ConfigError(f"'{given}' has no letters here; choose from {', '.join(LETTERS)}.")
    return given


def _parts(script: str, seed: int) -> list[str]:
    consonants, vowels = LETTERS[script]
    every = [a + v + b for a in consonants for v in vowels for b in consonants]
    order = draw(seed, "parts", script).permutation(len(every))
    return [every[i] for i in order]


def _overlapped(
    own: Sequence[str], source: Sequence[str], share: float, generator: np.random.Generator
) -> list[str]:
    """Some of the parts replaced by the source's, exactly the share of them."""
    chosen = set(generator.permutation(len(own))[: round(share * len(own))].tolist())
    return [source[i] if i in chosen else part for i, part in enumerate(own)]
